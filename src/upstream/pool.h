/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

/*
 * One worker's part of a service's pool: every connection of the service that this worker owns,
 * idle or in use.
 *
 * Vocabulary
 *   take  an idle connection leaves the pool for a session;  put  it comes back.
 *   A key has one struct pool_key while the pool lives, with its idle connections, the one
 *   released last first. All idle ones stand in pool.idle too, the one released first at the front.
 *
 * Invariants, which pool_audit() checks
 *   opened - closed = idle + in use, per key and in all; idle <= size; an idle connection holds
 *   no buffer and nobody reads from it; each connection has one owner at every moment.
 *
 * Life
 *   dial -> in use -> put? -> idle -> take -> in use ... -> close, with a reason, counted once
 */

#include "base/map.h"
#include "base/rand.h"
#include "base/slab.h"
#include "stream/socket.h"
#include "upstream/conn.h"

struct pool_options {
    struct loop *loop;
    struct socket_streams *streams;
    unsigned size;                /* idle connections that this part keeps; 0: no pooling */
    struct upstream_stats *stats; /* one for each upstream_number; the owner's */
    uint64_t seed;                /* for jitter */
};

struct pool {
    struct loop *loop;
    struct socket_streams *streams;
    struct upstream_stats *stats;
    unsigned size;
    bool draining;
    struct map keys;
    struct list conns; /* all of them */
    struct list idle;  /* released longest ago first */
    unsigned idle_count, in_use_count, dialling_count;
    uint64_t opened_count, closed_count;
    struct slab conn_slab, session_slab, trailer_slab;
    struct rand rand;
};

/* What is known of one key; never freed before the pool. */
struct pool_key {
    struct map_link link;
    struct key key;
    const struct peer *peer; /* the first one that came with this key */
    struct list idle;        /* released last first */
    unsigned idle_count, in_use_count, dialling_count;
    uint64_t opened_count, closed_count, reused_count;
};

void pool_init(struct pool *pool, const struct pool_options *options);
/* No connection may be in use (checked); idle ones are closed. */
void pool_fini(struct pool *pool);

/* From now on nothing is kept; idle connections are closed at once. */
void pool_drain(struct pool *pool);

/*
 * An idle connection for this peer that is alive, the one released last first; dead ones that are
 * met are closed and counted. NULL when there is none. It is in use then, and the caller's. `look`:
 * LOOK_WELL, or LOOK_SURELY for a request that cannot be sent twice.
 */
struct conn *pool_take(struct pool *pool, const struct peer *peer, enum look look);

/*
 * A new connection. WEIR_E_REFUSED, _UNREACHABLE, _CONNECT_TIMEOUT, _NO_PORTS, _NO_DESCRIPTORS,
 * _CANCELED, ...; each is counted.
 */
WEIR_SUSPENDS enum weir_err pool_dial(struct pool *pool, const struct peer *peer,
                                      struct weir_time deadline, struct conn **ret_conn);

/*
 * Gives a connection back that may be kept: its session has read and written all and found no
 * reason against it. The look at release happens here. Nulls *conn.
 */
void pool_put(struct conn **conn, struct keep_facts *facts);

/* Closes a connection, for a reason that is counted; with a reset when a FIN could pass for an end.
 */
void pool_close(struct conn **conn, enum close_reason reason, bool reset);

/*
 * Closes the idle connections of this peer's key that are no younger than `age` allows: those
 * released at `released` or before. For after one of them broke under a request (docs/reuse.md).
 */
void pool_close_idle_since(struct pool *pool, const struct peer *peer, struct weir_time released);

/* Checks every invariant by walking over everything. */
void pool_audit(const struct pool *pool);

static inline struct upstream_stats *conn_stats(const struct conn *conn)
{
    return &conn->pool->stats[conn->peer->options.upstream_number];
}

#endif
