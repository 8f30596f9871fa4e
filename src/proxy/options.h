/* SPDX-License-Identifier: MIT */
#ifndef PROXY_OPTIONS_H
#define PROXY_OPTIONS_H

/*
 * What a service is told to do. Plain structs, filled by whoever starts a service (the
 * configuration, the command line, a test) and read-only from then on; every pointer stays the
 * filler's and must outlive the service. *_init() fills in the defaults of docs/configuration.md.
 */

#include "client/url.h"
#include "downstream/options.h"
#include "io/addr.h"
#include "io/resolve.h"
#include "upstream/peer.h"
#include <weir/proxy.h>
#include <weir/time.h>

#include <stdbool.h>
#include <stdint.h>

/* One server of an upstream. */
struct server_options {
    const char *text; /* as it was written, for messages */
    const char *host; /* a name, to be resolved while weir runs; NULL: `addr` is all */
    const char *name; /* the same where a proxy on the way resolves it; NULL: an address */
    uint16_t port;    /* of `host` */
    struct addr addr;
    struct custom_transport transport; /* in place of a socket; none: a socket */
    const char *transport_address;     /* what it is told to open; `addr` is for eyes then */
    unsigned weight;                   /* 1 to 1000 */
    enum url_scheme scheme;
};

/* How a server is picked. */
enum balance_policy {
    BALANCE_ROUND_ROBIN,
    BALANCE_LEAST_CONNECTIONS,
    BALANCE_RANDOM, /* the less busy of two that chance picks */
    BALANCE_CONSISTENT_HASH,
};

/* What a consistent hash is made of. */
enum hash_on { HASH_ON_URI, HASH_ON_HOST, HASH_ON_CLIENT };

/* Asking a server by itself whether it is well. */
struct health_options {
    const char *path; /* NULL: never asked */
    struct weir_span interval, timeout;
    unsigned rise, fall; /* answers in a row that make it well, or unwell */
};

/* When and how a request is tried again (docs/reuse.md). */
struct retry_options {
    unsigned attempts;       /* more tries on other servers when connecting fails */
    uint64_t body_buffer;    /* how much of a request's body is kept for a replay, bytes */
    unsigned budget_percent; /* such tries, of all requests */
    bool non_idempotent;     /* replay whatever the method is */
};

struct upstream_options {
    const char *name;
    struct server_options *servers;
    unsigned server_count; /* at least 1 */
    const struct addr
        *bind_to; /* source addresses, one picked per server in turn; IPs without port */
    unsigned bind_to_count;
    uint64_t group_key;
    enum peer_protocol protocol;
    const struct tls_client *tls;   /* NULL: plain */
    const char *sni;                /* NULL: the server's own name */
    const struct peer_proxy *proxy; /* NULL: none */
    enum preface_version preface;   /* tells servers of the client */
    struct peer_limits limits;
    struct peer_tcp tcp;
    struct peer_h2 h2;
    struct retry_options retry;
    enum balance_policy balance;
    enum hash_on hash_on;
    struct health_options health;
};

/* A server that decides on requests first (auth.h). */
struct auth_options {
    unsigned upstream;       /* index in service_options.upstreams */
    const char *path;        /* that it is asked for */
    const char *const *copy; /* fields of its answer that the request gets */
    unsigned copy_count;
};

/* A server that gets a copy of each request (mirror.h). */
struct mirror_options {
    unsigned upstream;   /* index in service_options.upstreams */
    uint64_t body_limit; /* of a request's body, bytes: a larger one is not sent */
};

struct route_options {
    const char *host;                    /* lower case, without port; "*.example.com"; NULL: any */
    const char *path;                    /* prefix, begins with '/'; NULL: any */
    unsigned upstream;                   /* index in service_options.upstreams */
    const struct auth_options *auth;     /* NULL: nobody is asked */
    const struct mirror_options *mirror; /* NULL: none */
};

struct service_options {
    const char *name;
    const struct listener_options *listen;
    unsigned listen_count;
    struct client_options client;
    unsigned upstream_keepalive_pool_size;              /* over all workers */
    struct resolver_options resolver;                   /* who is asked for the names of servers */
    const struct addr *client_bind_v4, *client_bind_v6; /* where an upstream has no bind_to */
    unsigned client_bind_v4_count, client_bind_v6_count;
    const struct route_options *routes;
    unsigned route_count;
    const struct upstream_options *upstreams;
    unsigned upstream_count;
    weir_handler_fn *handler;         /* answers everything; NULL: it is a proxy */
    const struct weir_proxy_ops *ops; /* of a program; NULL: the routes are all there is */
    weir_started_fn *started;         /* on each worker, once all accept; NULL: none */
    void *owner;                      /* of these */
    struct upstream_options program;  /* what holds for peers that the program brings */
    struct weir_service *door;        /* as the program sees the service; NULL: it does not */
};

void mirror_options_init(struct mirror_options *options);
void upstream_options_init(struct upstream_options *options);
void service_options_init(struct service_options *options);

#endif
