/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_CONN_H
#define UPSTREAM_CONN_H

/*
 * One established upstream connection. It belongs to one pool, and so to one worker, from its dial
 * to its close. It is either in use, owned by one session, or idle, owned by the pool: then it has
 * no coroutine and no buffer, only a watch on its stream and a timer.
 */

#include "stream/stream.h"
#include "upstream/peer.h"
#include "upstream/stats.h"

struct pool;
struct pool_key;

enum { CONN_MAGIC = 0xc0991dd1 };

enum conn_state { CONN_IN_USE, CONN_IDLE };

struct conn {
    uint32_t magic;
    enum conn_state state;
    uint64_t id; /* never used again in this process */
    struct pool *pool;
    struct pool_key *key;
    const struct peer *peer;
    struct stream *stream;
    struct list all_link;           /* in pool.conns */
    struct list key_link;           /* in key.idle while idle */
    struct list idle_link;          /* in pool.idle while idle */
    struct timer rest;              /* ends its idleness */
    enum close_reason rest_ends_by; /* what the timer stands for */
    struct weir_time born, released;
    struct weir_span max_age; /* drawn at birth: options.max_connection_age +- 10 % */
    uint64_t requests;
    uint64_t released_turn;
};

#endif
