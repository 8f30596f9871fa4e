/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

/*
 * One worker's part of a service's pool: every connection of the service that this worker owns,
 * idle or in use. What the parts share is in commons.h.
 *
 * Vocabulary
 *   take   an idle connection leaves the pool for a session;  put  it comes back.
 *   offer  a connection that is in use by nobody goes to who waits for it, or to rest.
 *   move   a connection goes from one part to another.
 *   A key has one struct pool_key in each part that has met it, with its idle connections, the one
 *   released last first. All idle ones of a part stand in pool.idle too, the one released first at
 *   the front.
 *
 * Invariants, which pool_audit() checks
 *   opened + moved in - closed - moved out = idle + in use, per key and in the part; over all parts
 *   idle <= the pool's size; an idle connection holds no buffer and nobody reads from it; each
 *   connection has one owner at every moment.
 *
 * Life
 *   dial -> in use -> put? -> idle -> take -> in use ... -> close, with a reason, counted once
 */

#include "base/map.h"
#include "base/rand.h"
#include "base/slab.h"
#include "co/scope.h"
#include "stream/streams.h"
#include "upstream/commons.h"
#include "upstream/conn.h"

/* The parts of all services on one worker: they share its descriptors. */
struct pool_family {
    struct list pools;
};

struct pool_options {
    struct loop *loop;
    struct streams *streams;
    struct commons *commons;      /* outlives the part */
    struct pool_family *family;   /* likewise; NULL: the part is alone */
    unsigned worker;              /* its number among the commons' parts */
    struct upstream_stats *stats; /* one for each upstream_number; the owner's */
    uint64_t seed;                /* for jitter */
};

struct pool {
    struct loop *loop;
    struct streams *streams;
    struct commons *commons;
    struct pool_family *family;
    struct list family_link;
    unsigned worker;
    struct upstream_stats *stats;
    bool draining;
    struct map keys;
    struct list conns; /* all of them */
    struct list idle;  /* released longest ago first */
    struct list dials;
    struct scope work; /* the coroutines that dial, and that move connections out */
    unsigned idle_count, in_use_count, dialling_count;
    unsigned errand_count;    /* on their way or there */
    unsigned abandoned_count; /* asks whose answer nobody waits for */
    uint64_t opened_count, closed_count, moved_in_count, moved_out_count;
    struct slab conn_slab, session_slab, trailer_slab, ask_slab, errand_slab, dial_slab;
    struct slab h2_slab, h2_session_slab, custom_session_slab;
    struct rand rand;
    unsigned next_source; /* of peer_options.sources */
};

/* What one part knows of one key. */
struct pool_key {
    struct map_link link;
    struct key key;
    struct census *census;
    unsigned upstream_number; /* of the peer that came last with this key */
    unsigned row;             /* for who lists all keys: this one's place */
    bool unwanted;            /* its peer was drained: it is forgotten when nothing is left of it */
    struct list idle;         /* released last first */
    struct list shared;       /* in use, with room for more streams (registry.h) */
    struct list asks;         /* who waits for a connection, oldest first */
    unsigned ask_count;       /* of them */
    unsigned hopes;           /* connections on their way that may serve several (share.h) */
    unsigned tests;           /* those of them that are not new, but asked for a sign of life */
    unsigned stream_limit;    /* of the connection that was settled last; 0: none was, or it is 0 */
    bool picks_http1;         /* the server did, when it had the choice last */
    unsigned holds;           /* asks, dials and errands that refer to it */
    unsigned idle_count, in_use_count, dialling_count, waiting_count;
    unsigned probe_count; /* of the idle ones: not given out (census.h) */
    uint64_t opened_count, closed_count, moved_in_count, moved_out_count;
    uint64_t reused_count, taken_over_count;
};

void pool_init(struct pool *pool, const struct pool_options *options);
/* No connection may be in use, and the part must be quiet (checked); idle ones are closed. */
void pool_fini(struct pool *pool);

/* From now on nothing is kept; idle connections are closed at once. */
void pool_drain(struct pool *pool);

/* Whether nothing of the part is on its way: no dial, no move, no question to another part. */
bool pool_is_quiet(const struct pool *pool);

/*
 * A peer that stays for a while: its key is known from now on, and kept until it is drained.
 * WEIR_E_NO_MEMORY.
 */
enum weir_err pool_adopt_peer(struct pool *pool, struct peer *peer);

/*
 * A peer is wanted no more: its idle connections are closed at once, those in use when they are
 * released, and who waits for one is told WEIR_E_PEER_DRAINED.
 */
void pool_drain_peer(struct pool *pool, struct peer *peer);

/*
 * Nobody will ask with this peer any more: what it has goes on for others with the same key, which
 * is kept as long as there is something under it.
 */
void pool_disown_peer(struct pool *pool, struct peer *peer);

/* What this part knows of the peer's key; NULL when memory is out. */
struct pool_key *pool_key_of(struct pool *pool, const struct peer *peer);
/* As long as it is held the key is not forgotten. */
void pool_key_hold(struct pool_key *key);
void pool_key_let_go(struct pool *pool, struct pool_key *key);

/*
 * An idle connection of this part that is alive, the one released last first; dead ones that are
 * met are closed and counted in *ret_dead. NULL when there is none. It is in use then, and the
 * caller's. `look`: LOOK_WELL, or LOOK_SURELY for a request that cannot be sent twice. With
 * `only_http1` those that speak HTTP/2 are passed over.
 */
struct conn *pool_take(struct pool *pool, struct pool_key *key, enum look look, bool only_http1,
                       unsigned *ret_dead);

/* From now on another peer with the same key counts it: an equal key may stand in two upstreams. */
void pool_change_peer(struct conn *conn, struct peer *peer);

/*
 * A new connection of a part, in use: one that was dialled, and speaks `protocol`, or one moved in
 * from another part when `parcel` is not NULL. NULL when memory is out; the stream is closed then.
 */
struct conn *pool_add(struct pool *pool, struct pool_key *key, struct peer *peer,
                      struct stream **stream, enum http_protocol protocol, struct parcel *parcel);

/* Takes a connection whose stream has gone to another part out of the books. */
void pool_remove_moved(struct conn **conn);

/*
 * Gives a connection back after an exchange: it is kept unless something speaks against it, which
 * the facts tell. The look at release happens here. Nulls *conn; returns the verdict.
 */
enum keep pool_put(struct conn **conn, struct keep_facts *facts);

/*
 * Whether a connection whose exchange is over may carry another one at once, without having been
 * given back: as pool_put() would decide. When not, it is still to be given back.
 */
bool pool_may_go_on(struct conn *conn, struct keep_facts *facts);

/*
 * As pool_put() after one stream of a connection that speaks HTTP/2, which others may still use:
 * then it is KEEP.
 */
enum keep pool_put_stream(struct conn **conn);

/* A connection in use that nobody has: for who waits, or to rest. Nulls *conn. */
void pool_offer(struct conn **conn);
/*
 * The end of an offer, once the connection has a place: it rests, unless somebody stands in the
 * queue after all. (Who dials meanwhile has its dial.)
 */
void pool_lay_to_rest(struct conn *conn);
/* The same without a look at who waits. */
void pool_rest(struct conn *conn);
/* Wakes an idle connection for a purpose of the pool's own: it is in use then, and nobody's. */
void pool_rouse(struct conn *conn);

/* Closes a connection, for a reason that is counted; with a reset when a FIN could pass for an end.
 */
void pool_close(struct conn **conn, enum close_reason reason, bool reset);

/*
 * Closes the idle connections of this peer's key that are no younger than `age` allows: those
 * released at `released` or before. For after one of them broke under a request (docs/reuse.md).
 */
void pool_close_idle_since(struct pool *pool, const struct peer *peer, struct weir_time released);

/* Checks every invariant of this part by walking over everything. */
void pool_audit(const struct pool *pool);

static inline struct upstream_stats *peer_stats(const struct pool *pool, const struct peer *peer)
{
    return &pool->stats[peer->options.upstream_number];
}

static inline struct upstream_stats *conn_stats(const struct conn *conn)
{
    return peer_stats(conn->pool, conn->peer);
}

static inline struct gate *gate_of(const struct pool_key *key)
{
    return key->census->gate;
}

#endif
