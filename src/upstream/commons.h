/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_COMMONS_H
#define UPSTREAM_COMMONS_H

/*
 * What the parts of one service's pool, one for each worker, have in common: the places for idle
 * connections, and what all of them know of each key (census.h) and address (gate.h). Each part
 * keeps what it found here, so the lock is taken only when a part meets a key for the first time,
 * when it forgets one, and when room is looked for under the other keys of an address.
 */

#include "upstream/census.h"
#include "upstream/places.h"

struct pool;

struct commons {
    unsigned part_count;
    struct pool **parts; /* by worker; each enters itself before any request comes */
    struct places places;
    _Atomic uint64_t next_conn_id;
    pthread_mutex_t lock;
    struct map censuses, gates;
};

/* For a pool of `size` idle connections over `part_count` workers; NULL when memory is out. */
struct commons *commons_new(unsigned part_count, unsigned size);
/* Every part must be closed (checked). Nulls the pointer; NULL is fine. */
void commons_free(struct commons **commons);

/* The census of a key, and the gate of its address, made if need be; NULL when memory is out. */
struct census *commons_get(struct commons *commons, const struct key *key, const struct addr *addr);
void commons_release(struct commons *commons, struct census **census);

/*
 * A worker where connections to this address rest under another key than `except` (NULL: under any
 * key), and that key; -1: none do. *ret_other is the caller's to release.
 */
int commons_find_other(struct commons *commons, const struct gate *gate,
                       const struct census *except, struct census **ret_other);

#endif
