/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_PEER_H
#define UPSTREAM_PEER_H

/*
 * A peer: where to connect and how. What makes two connections interchangeable is its key (key.h);
 * what only bounds an exchange (timeouts) is not.
 */

#include "base/list.h"
#include "io/addr.h"
#include "stream/custom.h"
#include "stream/preface.h"
#include "stream/tls_client.h"
#include "upstream/key.h"
#include <weir/time.h>

enum peer_protocol {
    PEER_HTTP1,
    PEER_HTTP2, /* and nothing else */
    PEER_AUTO,  /* what the server picks in TLS's handshake, HTTP/2 first; HTTP/1 without TLS */
};

/* How HTTP/2 is spoken with it. */
struct peer_h2 {
    unsigned max_streams;           /* at once on one connection, if the server allows as many */
    unsigned stream_window;         /* bytes: how far the window of a stream grows */
    unsigned connection_window;     /* bytes */
    struct weir_span ping_interval; /* WEIR_FOREVER: none */
    struct weir_span ping_timeout;
};

/* How long things may take and how often a connection may be used. */
struct peer_limits {
    struct weir_span connection_timeout; /* one attempt to connect */
    struct weir_span
        total_connection_timeout;         /* connecting and what comes before the first request */
    struct weir_span read_timeout;        /* from one receive to the next */
    struct weir_span write_timeout;       /* from one send to the next */
    struct weir_span idle_timeout;        /* 0: no pooling */
    struct weir_span max_connection_age;  /* WEIR_FOREVER: none */
    uint64_t max_requests_per_connection; /* 0: none */
    bool learn;                           /* when the peer closes (learn.h), and to be earlier */
    unsigned max_connections;             /* to its address, over all workers; 0: no limit */
    unsigned max_dials;                   /* at once, likewise; 0: no limit */
    unsigned min_idle;                    /* kept ready, dialled ahead */
    struct weir_span fail_timeout;  /* for how long others are preferred when connecting failed */
    unsigned queue_size;            /* who may wait when max_connections is reached */
    struct weir_span queue_timeout; /* how long */
};

/* How its sockets are set up. */
struct peer_tcp {
    struct weir_span keepalive_idle, keepalive_interval; /* idle 0: off */
    int keepalive_count;
    struct weir_span user_timeout; /* how long sent bytes may go unacknowledged; WEIR_FOREVER: the
                                      kernel's own limit */
    bool fast_open;                /* send with the SYN (RFC 7413) */
    unsigned dscp;                 /* 0 to 63 (RFC 2474) */
    unsigned receive_buffer;       /* bytes; 0: the kernel's choice */
};

struct peer_proxy_field {
    const char *name, *value;
};

/* An HTTP proxy on the way to a server: the connection is a tunnel through it (CONNECT). */
struct peer_proxy {
    struct addr addr;
    const struct peer_proxy_field *fields; /* sent with the CONNECT */
    unsigned field_count;
};

struct pool_key;

struct peer_options {
    const char *upstream;     /* the name of its group, for logs and metrics; outlives the peer */
    unsigned upstream_number; /* which of its pool's upstream_stats counts it */
    struct addr addr;         /* with a proxy it may be a name (addr_of_name()); with a transport
                                 it is what addr_of_text() makes of all that is below */
    struct custom_transport transport; /* in place of a socket; none: TCP or a Unix socket */
    const char *transport_address;     /* what it is told to open; outlives the peer */
    struct addr source;                /* bind_to; .len 0: none */
    const struct addr *sources; /* where there is none: one of these for each dial, in turn; any
                                   will do, so they are not in the key. They outlive the peer */
    unsigned source_count;
    enum peer_protocol protocol;
    const struct tls_client *tls;   /* NULL: plain. It and all below outlive the peer */
    const char *tls_name;           /* SNI, and what the certificate should say; NULL: the IP */
    const struct peer_proxy *proxy; /* NULL: none */
    enum preface_version preface;   /* what it is told first of the client, and that goes with */
    struct addr preface_source, preface_destination; /* the connection; .len 0: of our own */
    uint64_t preface_client;                         /* the number of that client's connection */
    bool counts_active; /* balancing wants to know how many sessions all workers have with it */
    uint64_t group_key; /* of two peers that differ in it none shares the other's connections */
    struct peer_limits limits;
    struct peer_tcp tcp;
    struct peer_h2 h2;
};

/*
 * Of one worker, immutable but for what its pool notes in it: who refers to it, whether connecting
 * failed of late, and that it is wanted no more.
 */
struct peer {
    struct peer_options options;
    struct key key;
    char address_text[ADDR_TEXT_SIZE];
    char ip_text[ADDR_TEXT_SIZE]; /* without the port */
    struct list sibling; /* a ring, without a head, of the peers that one server name stands for,
                            in the order in which they are tried; alone where there is no other */
    struct weir_time held_until; /* connecting failed: others are preferred before that */
    struct pool_key *known;      /* its key in its pool, which is held; NULL: it was not adopted */
    struct peer *base;           /* of whom it is a variety for one client, see peer_new_for() */
    bool drained;
    bool disowned; /* nobody asks with it any more, but what it has may rest and be reused */
    unsigned references;
    void (*unused)(struct peer *peer); /* called when it is drained or disowned and the last
                                          reference goes; may be NULL */
};

/* Defaults of docs/configuration.md; the address is left empty. */
void peer_options_init(struct peer_options *options);

/*
 * The same server for the connections of one client, which are told of it by a preface and are
 * nobody else's. It has one reference, the caller's, and goes with the last. NULL: no memory.
 */
struct peer *peer_new_for(struct peer *base, const struct addr *client,
                          const struct addr *destination, uint64_t client_number);

/* The peer that balancing knows. */
static inline struct peer *peer_base(struct peer *peer)
{
    return peer->base ? peer->base : peer;
}

static inline bool peer_is_drained(const struct peer *peer)
{
    return peer->drained || (peer->base && peer->base->drained);
}

static inline struct peer *peer_ref(struct peer *peer)
{
    peer->references++;
    return peer;
}
void peer_unref(struct peer *peer);

static inline bool peer_is_held(const struct peer *peer, struct weir_time now)
{
    return weir_time_before(now, peer->held_until);
}

/* Whether it can be asked to go on in another protocol (RFC 9110 section 7.8). */
static inline bool peer_can_upgrade(const struct peer *peer)
{
    return peer->options.protocol != PEER_HTTP2 && !peer->options.transport.sessions;
}

/* The name that TLS is about. */
static inline const char *peer_tls_name(const struct peer *peer)
{
    return peer->options.tls_name ? peer->options.tls_name : peer->ip_text;
}

/* Makes a peer in memory of the caller's, without references. */
void peer_init(struct peer *peer, const struct peer_options *options);

#endif
