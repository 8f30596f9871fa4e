/* SPDX-License-Identifier: MIT */
#ifndef BASE_MAP_H
#define BASE_MAP_H

/*
 * An intrusive hash table: the hash finds, the caller's comparison decides. Grows by doubling while
 * it can; when memory is out it stays as it is and its chains grow instead.
 *
 *     for (struct map_link *at = map_find(map, hash); at; at = map_next(at))
 *         if (equal(container_of(at, struct thing, link), key)) ...
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_link {
    struct map_link *next;
    uint64_t hash;
};

struct map {
    struct map_link **buckets;
    size_t bucket_count; /* 0 or a power of two */
    size_t count;
};

void map_init(struct map *map);
/* The map must be empty (checked). */
void map_fini(struct map *map);

/* False only when the first table cannot be allocated; the link is not in the map then. */
bool map_insert(struct map *map, struct map_link *link, uint64_t hash);
/* The link must be in the map (checked). */
void map_remove(struct map *map, struct map_link *link);

/* The first link with that hash, and the next one with the same; NULL at the end. */
struct map_link *map_find(const struct map *map, uint64_t hash);
struct map_link *map_next(const struct map_link *link);

/* Some link of the map, in no order; NULL when it is empty. For emptying a map. */
struct map_link *map_any(const struct map *map);

#endif
