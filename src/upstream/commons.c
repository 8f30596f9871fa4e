/* SPDX-License-Identifier: MIT */
#include "upstream/commons.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdlib.h>
#include <xxhash.h>

struct commons *commons_new(unsigned part_count, unsigned size)
{
    struct commons *commons = calloc(1, sizeof *commons);
    if (!commons)
        return NULL;
    commons->part_count = part_count;
    commons->parts = calloc(part_count, sizeof(struct pool *));
    if (!commons->parts || !places_init(&commons->places, size, part_count)) {
        free(commons->parts);
        free(commons);
        return NULL;
    }
    atomic_init(&commons->next_conn_id, 1);
    must(pthread_mutex_init(&commons->lock, NULL) == 0);
    map_init(&commons->censuses);
    map_init(&commons->gates);
    return commons;
}

void commons_free(struct commons **commons)
{
    struct commons *freed = *commons;
    *commons = NULL;
    if (!freed)
        return;
    for (unsigned i = 0; i < freed->part_count; i++)
        must(!freed->parts[i]);
    map_fini(&freed->censuses);
    map_fini(&freed->gates);
    places_fini(&freed->places);
    pthread_mutex_destroy(&freed->lock);
    free(freed->parts);
    free(freed);
}

static struct census *find_census(const struct commons *commons, const struct key *key)
{
    for (struct map_link *at = map_find(&commons->censuses, key->hash); at; at = map_next(at)) {
        struct census *census = container_of(at, struct census, link);
        if (key_equal(&census->key, key))
            return census;
    }
    return NULL;
}

static struct gate *find_gate(const struct commons *commons, const struct addr *addr, uint64_t hash)
{
    for (struct map_link *at = map_find(&commons->gates, hash); at; at = map_next(at)) {
        struct gate *gate = container_of(at, struct gate, link);
        if (addr_equal(&gate->addr, addr))
            return gate;
    }
    return NULL;
}

static struct gate *find_or_add_gate(struct commons *commons, const struct addr *addr)
{
    char text[ADDR_TEXT_SIZE];
    struct weir_slice printed = slice_str(addr_print(addr, text));
    uint64_t hash = XXH3_64bits(printed.at, printed.len);
    struct gate *gate = find_gate(commons, addr, hash);
    if (gate)
        return gate;
    gate = gate_new(addr);
    if (gate && !map_insert(&commons->gates, &gate->link, hash)) {
        gate_free(gate);
        gate = NULL;
    }
    return gate;
}

static void release_gate(struct commons *commons, struct gate *gate)
{
    if (!list_is_empty(&gate->censuses))
        return;
    map_remove(&commons->gates, &gate->link);
    gate_free(gate);
}

static struct census *add_census(struct commons *commons, const struct key *key,
                                 const struct addr *addr)
{
    struct gate *gate = find_or_add_gate(commons, addr);
    if (!gate)
        return NULL;
    struct census *census = census_new(key, gate, commons->part_count);
    if (census && map_insert(&commons->censuses, &census->link, key->hash)) {
        list_push_back(&gate->censuses, &census->gate_link);
        atomic_fetch_add(&gate->census_count, 1);
        return census;
    }
    if (census)
        census_free(census);
    release_gate(commons, gate);
    return NULL;
}

struct census *commons_get(struct commons *commons, const struct key *key, const struct addr *addr)
{
    pthread_mutex_lock(&commons->lock);
    struct census *census = find_census(commons, key);
    if (!census)
        census = add_census(commons, key, addr);
    if (census)
        census->references++;
    pthread_mutex_unlock(&commons->lock);
    return census;
}

void commons_release(struct commons *commons, struct census **census)
{
    struct census *released = *census;
    *census = NULL;
    pthread_mutex_lock(&commons->lock);
    if (--released->references == 0) {
        struct gate *gate = released->gate;
        map_remove(&commons->censuses, &released->link);
        list_remove(&released->gate_link);
        atomic_fetch_sub(&gate->census_count, 1);
        census_free(released);
        release_gate(commons, gate);
    }
    pthread_mutex_unlock(&commons->lock);
}

int commons_find_other(struct commons *commons, const struct gate *gate,
                       const struct census *except, struct census **ret_other)
{
    int worker = -1;
    pthread_mutex_lock(&commons->lock);
    list_each (link, &gate->censuses) {
        struct census *other = container_of(link, struct census, gate_link);
        if (worker >= 0 || other == except)
            continue;
        worker = census_most(other, other->worker_count);
        if (worker >= 0) {
            other->references++;
            *ret_other = other;
        }
    }
    pthread_mutex_unlock(&commons->lock);
    return worker;
}
