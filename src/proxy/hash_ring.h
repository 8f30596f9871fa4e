/* SPDX-License-Identifier: MIT */
#ifndef PROXY_HASH_RING_H
#define PROXY_HASH_RING_H

/*
 * A consistent hash: each server has points on a ring, in proportion to its weight, and a request
 * goes to the server of the first point at or behind its own. Where a server's points lie depends
 * on its name alone, so one that comes or goes takes or leaves only its own share; on a ring at its
 * limit, where the number of points depends on all weights, nearly so. Pure.
 */

#include <weir/slice.h>

#include <stdbool.h>
#include <stdint.h>

enum {
    HASH_RING_POINTS = 160,   /* of a server of weight 1 */
    HASH_RING_MOST = 1 << 17, /* in all; where that would be too few, each gets fewer, but one */
};

struct hash_ring_point {
    uint32_t at, server;
};

struct hash_ring {
    struct hash_ring_point *points;
    unsigned count;
    uint64_t weights; /* of all servers */
};

/* Room for `servers` whose weights add up to `weights`; false when memory is out. */
bool hash_ring_init(struct hash_ring *ring, unsigned servers, uint64_t weights);
void hash_ring_fini(struct hash_ring *ring);

/* Adds a server's points; after the last one the ring must be sorted. */
void hash_ring_add(struct hash_ring *ring, unsigned server, struct weir_slice name,
                   unsigned weight);
void hash_ring_sort(struct hash_ring *ring);

/* A request's place, from what it is distributed by. */
uint64_t hash_ring_hash(struct weir_slice text);

/* The place of the first point at or behind `hash`. */
unsigned hash_ring_find(const struct hash_ring *ring, uint64_t hash);

#endif
