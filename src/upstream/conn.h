/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_CONN_H
#define UPSTREAM_CONN_H

/*
 * One established upstream connection. It belongs to one part of a pool, and so to one worker,
 * until it moves to another one or is closed.
 *
 *   in use   owned by one session; or on its way: to an ask, to another worker, to a place
 *   idle     owned by the pool: no coroutine and no buffer, only a watch on its stream and a timer
 */

#include "stream/stream.h"
#include "upstream/move.h"
#include "upstream/peer.h"
#include "upstream/stats.h"

struct pool;
struct pool_key;

enum { CONN_MAGIC = 0xc0991dd1 };

enum conn_state { CONN_IN_USE, CONN_IDLE };

struct conn {
    uint32_t magic;
    enum conn_state state;
    enum http_protocol protocol;
    unsigned streams; /* sessions on it now; HTTP/1 has one at most */
    uint64_t id;               /* never used again in this process */
    struct weir_span tls_took; /* its handshake; 0 after it has moved, or without one */
    struct pool *pool;
    struct pool_key *key;
    struct peer *peer; /* referred to */
    struct stream *stream;
    struct conn_h2 *h2;             /* conn_h2.h; NULL: HTTP/1 */
    struct list all_link;           /* in pool.conns */
    struct list key_link;           /* in key.idle while idle */
    struct list idle_link;          /* in pool.idle while idle */
    struct timer rest;              /* ends its idleness */
    enum close_reason rest_ends_by; /* what the timer stands for */
    bool probes; /* idle, and not given out: it tests what was learned (census.h) */
    bool moved;  /* from another worker, and not used since */
    bool rested; /* was idle at least once */
    struct weir_time born, released;
    struct weir_span rest_for;       /* as its last exchange allows */
    struct weir_span rest_taken;     /* before its present exchange */
    struct weir_span max_age;        /* drawn at birth: options.max_connection_age +- 10 % */
    uint64_t requests, max_requests; /* the latter drawn at birth; 0: none */
    uint64_t released_turn;
    struct parcel *parcel; /* while it moves out */
    move_sent_fn *sent;
    void *sent_owner;
};

#endif
