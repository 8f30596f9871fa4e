/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include "base/check.h"

#include <stdlib.h>

enum { FIRST_BUCKETS = 16 };

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_fini(struct map *map)
{
    must(map->count == 0);
    free(map->buckets);
    *map = (struct map){0};
}

static struct map_link **bucket_of(const struct map *map, uint64_t hash)
{
    return &map->buckets[hash & (map->bucket_count - 1)];
}

static void grow(struct map *map)
{
    size_t bucket_count = map->bucket_count ? map->bucket_count * 2 : FIRST_BUCKETS;
    struct map_link **buckets = calloc(bucket_count, sizeof *buckets);
    if (!buckets)
        return;
    struct map old = *map;
    map->buckets = buckets;
    map->bucket_count = bucket_count;
    for (size_t i = 0; i < old.bucket_count; i++) {
        for (struct map_link *link = old.buckets[i], *next; link; link = next) {
            next = link->next;
            struct map_link **bucket = bucket_of(map, link->hash);
            link->next = *bucket;
            *bucket = link;
        }
    }
    free(old.buckets);
}

bool map_insert(struct map *map, struct map_link *link, uint64_t hash)
{
    if (map->count >= map->bucket_count)
        grow(map);
    if (map->bucket_count == 0)
        return false;
    struct map_link **bucket = bucket_of(map, hash);
    link->hash = hash;
    link->next = *bucket;
    *bucket = link;
    map->count++;
    return true;
}

void map_remove(struct map *map, struct map_link *link)
{
    must(map->count > 0);
    struct map_link **at = bucket_of(map, link->hash);
    while (*at && *at != link)
        at = &(*at)->next;
    must(*at == link);
    *at = link->next;
    link->next = NULL;
    map->count--;
}

static struct map_link *first_with(struct map_link *link, uint64_t hash)
{
    while (link && link->hash != hash)
        link = link->next;
    return link;
}

struct map_link *map_find(const struct map *map, uint64_t hash)
{
    return map->bucket_count ? first_with(*bucket_of(map, hash), hash) : NULL;
}

struct map_link *map_next(const struct map_link *link)
{
    return first_with(link->next, link->hash);
}

struct map_link *map_any(const struct map *map)
{
    for (size_t i = 0; map->count && i < map->bucket_count; i++)
        if (map->buckets[i])
            return map->buckets[i];
    return NULL;
}
