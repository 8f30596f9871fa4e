/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PEER_H
#define WEIR_PEER_H

/*
 * A peer: where to connect and how. Two peers that agree in all that matters to a connection share
 * their connections, whoever made them (docs/reuse.md). Immutable, and any thread may use it.
 */

#include <weir/api.h>
#include <weir/err.h>
#include <weir/time.h>

#include <stdint.h>

WEIR_BEGIN

struct weir_peer;

/* What is spoken with it. AUTO: what the server picks in TLS's handshake, HTTP/2 first. */
enum weir_protocol { WEIR_HTTP1, WEIR_HTTP2, WEIR_HTTP_AUTO };

enum { WEIR_WHY_BYTES = 256 };

struct weir_peer_options {
    /*
     * "http://host:port", "https://host", "h2c://host:port" (HTTP/2 without TLS), "unix:/path", or
     * "NAME:address" of a transport (transport.h). A name is resolved on the way, again when its
     * time is over.
     */
    const char *url;
    enum weir_protocol protocol;
    uint64_t group_key;  /* peers that differ in it never share */
    const char *bind_to; /* a source address, an IP; NULL: the kernel's choice */

    /* Of TLS; https:// turns it on. */
    const char *sni;       /* NULL: the URL's host */
    const char *ca_file;   /* PEM; NULL: the system's */
    const char *cert_file; /* who we are; NULL: nobody */
    const char *key_file;
    const char *alternative_cn; /* another name that the certificate may have; NULL */
    bool verify_cert, verify_hostname;

    struct weir_span connection_timeout;       /* one attempt to connect */
    struct weir_span total_connection_timeout; /* all that comes before the first request */
    struct weir_span read_timeout;             /* from one receive to the next */
    struct weir_span write_timeout;            /* from one send to the next */
    struct weir_span idle_timeout;        /* how long a connection may rest; 0: it is not kept */
    struct weir_span max_connection_age;  /* WEIR_FOREVER: none */
    uint64_t max_requests_per_connection; /* 0: none */
    unsigned max_connections;             /* to its address, over all threads; 0: none */
    unsigned queue_size;                  /* who may wait when those are reached */
    struct weir_span queue_timeout;
    unsigned max_dials;   /* at once; 0: none */
    unsigned max_streams; /* of HTTP/2, on one connection */
    bool learn;           /* when it closes, and to be earlier */
};

/* The defaults of docs/configuration.md; url is left NULL. */
WEIR_API void weir_peer_options_init(struct weir_peer_options *options);

/*
 * The caller's until weir_peer_free(); everything in `options` is copied. `ret_why` (may be NULL)
 * gets a sentence when it fails: WEIR_E_ADDRESS, _CONFIG, _TRANSPORT (no such transport),
 * _NO_MEMORY.
 */
WEIR_API enum weir_err weir_peer_new(const struct weir_peer_options *options,
                                     char ret_why[WEIR_WHY_BYTES], struct weir_peer **ret_peer);
/*
 * Gives up the caller's reference and nulls the pointer; NULL is fine. Whoever still uses it goes
 * on; connections that rest are kept as long as they may.
 */
WEIR_API void weir_peer_free(struct weir_peer **peer);
/* One more reference, for one more weir_peer_free(). */
WEIR_API struct weir_peer *weir_peer_ref(struct weir_peer *peer);
/* The URL that it was made of. */
WEIR_API const char *weir_peer_url(const struct weir_peer *peer);

WEIR_END

#endif
