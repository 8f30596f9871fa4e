/* SPDX-License-Identifier: MIT */
#include "proxy/hash_ring.h"

#include "base/check.h"

#include <stdlib.h>
#include <xxhash.h>

bool hash_ring_init(struct hash_ring *ring, unsigned servers, uint64_t weights)
{
    *ring = (struct hash_ring){.weights = weights};
    uint64_t room = weights * HASH_RING_POINTS;
    if (room > HASH_RING_MOST)
        room = HASH_RING_MOST + (uint64_t)servers;
    ring->points = calloc((size_t)room + 1, sizeof *ring->points);
    return ring->points;
}

void hash_ring_fini(struct hash_ring *ring)
{
    free(ring->points);
    *ring = (struct hash_ring){0};
}

static uint64_t points_of(const struct hash_ring *ring, unsigned weight)
{
    if (ring->weights * HASH_RING_POINTS <= HASH_RING_MOST)
        return (uint64_t)weight * HASH_RING_POINTS;
    uint64_t points = weight * (uint64_t)HASH_RING_MOST / ring->weights;
    return points > 0 ? points : 1;
}

void hash_ring_add(struct hash_ring *ring, unsigned server, struct weir_slice name, unsigned weight)
{
    for (uint64_t i = points_of(ring, weight); i > 0; i--)
        ring->points[ring->count++] = (struct hash_ring_point){
            .at = (uint32_t)XXH3_64bits_withSeed(name.at, name.len, i - 1),
            .server = server,
        };
}

static int compare(const void *a, const void *b)
{
    const struct hash_ring_point *left = a, *right = b;
    if (left->at != right->at)
        return left->at < right->at ? -1 : 1;
    return left->server < right->server ? -1 : left->server > right->server;
}

void hash_ring_sort(struct hash_ring *ring)
{
    qsort(ring->points, ring->count, sizeof *ring->points, compare);
}

uint64_t hash_ring_hash(struct weir_slice text)
{
    return XXH3_64bits(text.at, text.len);
}

unsigned hash_ring_find(const struct hash_ring *ring, uint64_t hash)
{
    uint32_t at = (uint32_t)hash;
    unsigned low = 0, high = ring->count;
    must(ring->count > 0);
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (ring->points[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low == ring->count ? 0 : low;
}
