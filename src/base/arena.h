/* SPDX-License-Identifier: MIT */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

/*
 * Memory that is freed all at once: for what lives as long as one exchange. Blocks come from a
 * cache that belongs to the worker, so the steady state allocates nothing. Running out is an
 * ordinary error (NULL), because an arena has a limit.
 */

#include "base/list.h"
#include <weir/slice.h>

#include <stddef.h>

enum { ARENA_BLOCK_BYTES = 8192 };

/* Free blocks of one worker. */
struct arena_cache {
    struct list free;
    size_t free_count;
    size_t used_count;
};

struct arena {
    struct arena_cache *cache;
    struct list blocks;
    char *at, *end;
    size_t left_bytes;
};

void arena_cache_init(struct arena_cache *cache);
/* Frees the cached blocks; every arena over it must be gone (checked). */
void arena_cache_fini(struct arena_cache *cache);

/* An empty arena that may take `limit_bytes` from the cache. */
void arena_init(struct arena *arena, struct arena_cache *cache, size_t limit_bytes);
/* Gives every block back; all that was allocated is gone. May be called twice. */
void arena_fini(struct arena *arena);
/* Makes `to`, which is no arena yet, the owner of all that `from` has; it may lie in there. */
void arena_move(struct arena *to, struct arena *from);

/* `bytes` aligned for any type; NULL when over the limit. Not zeroed. */
void *arena_alloc(struct arena *arena, size_t bytes);
/* A copy of `slice` in the arena; `.at` is NULL when over the limit. */
struct weir_slice arena_copy(struct arena *arena, struct weir_slice slice);

#endif
