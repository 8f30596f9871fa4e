/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_CENSUS_H
#define UPSTREAM_CENSUS_H

/*
 * What all workers know of one key: how many connections rest at each of them, when the peer
 * closes connections by itself, TLS sessions that it gave, and the gate of its address.
 *
 * A count is written by its worker alone and read by all. Writes and reads are sequentially
 * consistent, because of a race with the gate's queue that must not be lost: who releases counts
 * the connection here and then looks whether somebody waits; who waits says so and then looks here.
 * One of the two sees the other.
 */

#include "base/list.h"
#include "base/map.h"
#include "stream/tls_sessions.h"
#include "upstream/gate.h"
#include "upstream/key.h"
#include "upstream/learn.h"

#include <pthread.h>
#include <stdatomic.h>

struct pool_key;

/* One worker's count, on a cache line of its own. */
struct census_count {
    _Alignas(64) _Atomic unsigned idle;
    struct pool_key *local; /* the worker's own; nobody else looks at it */
};

struct census {
    struct map_link link;  /* in commons.censuses */
    struct list gate_link; /* in gate.censuses */
    struct key key;
    struct gate *gate;
    unsigned references;     /* under the lock of the commons */
    struct list standing_by; /* asks that dial, in the order of coming, under the gate's lock */
    _Atomic unsigned standing_by_count; /* may be read without it */
    pthread_mutex_t lock;               /* over `learn` alone */
    struct learn learn;
    struct tls_sessions sessions; /* for the next handshake; under a lock of their own */
    /* What was learned, for those who only read. */
    _Atomic int64_t idle_timeout_ns, safe_rest_ns; /* INT64_MAX: nothing */
    _Atomic int64_t told_ns;        /* what the peer's last Keep-Alive field said; -1: nothing */
    _Atomic uint64_t max_requests;  /* 0: nothing */
    _Atomic int64_t news_rest_ns;   /* survivors of a longer rest are news */
    _Atomic uint64_t news_requests; /* and so are more requests on one */
    _Atomic bool probing;           /* a connection tests what was learned */
    _Atomic int64_t http1_until_ns; /* HTTP/1 is preferred where there is a choice */
    unsigned worker_count;
    struct census_count counts[];
};

/* NULL when memory is out. */
struct census *census_new(const struct key *key, struct gate *gate, unsigned worker_count);
void census_free(struct census *census);

static inline bool census_has_standing_by(const struct census *census)
{
    return atomic_load(&census->standing_by_count) > 0;
}

static inline void census_set(struct census *census, unsigned worker, unsigned idle)
{
    atomic_store(&census->counts[worker].idle, idle);
}

/* The worker with the most, other than `self`; -1: nobody else has any. */
int census_most(const struct census *census, unsigned self);

/* Whether who comes now would have to wait: the limit is reached, and nothing of this key rests. */
bool census_is_full(const struct census *census, unsigned connections_max);

/* What was seen of the peer, for the learner. From any worker. */
void census_closed(struct census *census, struct weir_time now, struct weir_span idle_age,
                   uint64_t requests);
void census_closed_after(struct census *census, struct weir_time now, uint64_t requests);
void census_survived(struct census *census, struct weir_time now, struct weir_span idle_age,
                     uint64_t requests);

/*
 * When the peer closes, by what was learned or else by its own word, and how long a connection may
 * rest because of what was learned; WEIR_FOREVER: nothing is known. And the number of requests
 * after which the peer closes; 0.
 */
struct weir_span census_idle_timeout(const struct census *census);
struct weir_span census_safe_rest(const struct census *census);
uint64_t census_max_requests(const struct census *census);
/* Whether the learner should be told of one that survived such a rest, or was used so often. */
bool census_is_news(const struct census *census, struct weir_span idle_age, uint64_t requests);
/* The peer's own word, in a Keep-Alive field; and what it said last, below 0: nothing. */
void census_tell(struct census *census, struct weir_span idle_timeout);
struct weir_span census_told(const struct census *census);
/*
 * HTTP/2 does not work with this peer: HTTP/1 is preferred for a while (CENSUS_HTTP1_FOR).
 */
#define CENSUS_HTTP1_FOR weir_span_s(600)
void census_prefer_http1(struct census *census, struct weir_time now);
bool census_prefers_http1(const struct census *census, struct weir_time now);

/* Forgets what has expired. */
void census_refresh(struct census *census, struct weir_time now);

/*
 * True for one caller at a time, and only when what was learned should be tested: its connection,
 * which has rested for `age`, stays, and is not given out, until the peer closes it or for
 * *ret_stay more. Who got it ends it with census_end_probe().
 */
bool census_begin_probe(struct census *census, struct weir_time now, struct weir_span age,
                        struct weir_span *ret_stay);
void census_end_probe(struct census *census);

#endif
