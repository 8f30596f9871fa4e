/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_PLACES_H
#define UPSTREAM_PLACES_H

/*
 * Room for idle connections: as many places as the service's pool is large. An idle connection has
 * one. Those that are free lie with the workers: each takes from its own share and puts back
 * there, which costs no more than a counter of its own; when its share is empty it takes from
 * another's. So the total holds at every moment, and nobody locks.
 *
 * Beside its share each worker tells when the connection that rests longest there was released:
 * that is how the oldest of all is found when no place is free.
 */

#include <weir/time.h>

#include <stdatomic.h>
#include <stdbool.h>

/* One worker's; on a cache line of its own. */
struct place_share {
    _Alignas(64) _Atomic unsigned free;
    _Atomic int64_t oldest_ns; /* written by its worker; INT64_MAX: nothing rests there */
};

struct places {
    unsigned size, share_count;
    struct place_share *shares;
};

/* False when memory is out. */
bool places_init(struct places *places, unsigned size, unsigned share_count);
/* Every place must have been given back (checked). */
void places_fini(struct places *places);

/* A free place, of the worker's share if it has one. False: every place is taken. */
bool places_take(struct places *places, unsigned worker);
void places_give(struct places *places, unsigned worker);

/* What rests longest at this worker was released then; WEIR_NEVER: nothing rests. */
void places_tell_oldest(struct places *places, unsigned worker, struct weir_time released);
/* The worker with the connection that was released longest ago; -1: nothing rests anywhere. */
int places_find_oldest(const struct places *places);

#endif
