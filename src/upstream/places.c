/* SPDX-License-Identifier: MIT */
#include "upstream/places.h"

#include "base/check.h"

#include <stdlib.h>

bool places_init(struct places *places, unsigned size, unsigned share_count)
{
    places->shares = aligned_alloc(64, share_count * sizeof *places->shares);
    if (!places->shares)
        return false;
    places->size = size;
    places->share_count = share_count;
    for (unsigned i = 0; i < share_count; i++) {
        unsigned share = size / share_count + (i < size % share_count ? 1 : 0);
        atomic_init(&places->shares[i].free, share);
        atomic_init(&places->shares[i].oldest_ns, INT64_MAX);
    }
    return true;
}

void places_fini(struct places *places)
{
    unsigned free_count = 0;
    for (unsigned i = 0; i < places->share_count; i++)
        free_count += atomic_load(&places->shares[i].free);
    must(free_count == places->size);
    free(places->shares);
    places->shares = NULL;
}

static bool take_from(struct place_share *share)
{
    unsigned seen = atomic_load_explicit(&share->free, memory_order_relaxed);
    while (seen > 0)
        if (atomic_compare_exchange_weak_explicit(&share->free, &seen, seen - 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

bool places_take(struct places *places, unsigned worker)
{
    for (unsigned i = 0; i < places->share_count; i++)
        if (take_from(&places->shares[(worker + i) % places->share_count]))
            return true;
    return false;
}

void places_give(struct places *places, unsigned worker)
{
    atomic_fetch_add_explicit(&places->shares[worker].free, 1, memory_order_relaxed);
}

void places_tell_oldest(struct places *places, unsigned worker, struct weir_time released)
{
    int64_t ns = weir_time_is_never(released) ? INT64_MAX : released.ns;
    atomic_store_explicit(&places->shares[worker].oldest_ns, ns, memory_order_relaxed);
}

int places_find_oldest(const struct places *places)
{
    int64_t oldest = INT64_MAX;
    int found = -1;
    for (unsigned i = 0; i < places->share_count; i++) {
        int64_t ns = atomic_load_explicit(&places->shares[i].oldest_ns, memory_order_relaxed);
        if (ns < oldest) {
            oldest = ns;
            found = (int)i;
        }
    }
    return found;
}
