/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include "base/check.h"
#include "base/poison.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Blocks beyond this many are freed rather than cached: a burst does not stay for ever. */
enum { CACHED_BLOCKS_MAX = 1024 };

struct block {
    struct list link;
    size_t bytes; /* of `memory` */
    alignas(max_align_t) char memory[];
};

static void block_free(struct block *block)
{
    unpoison(block->memory, block->bytes);
    free(block);
}

void arena_cache_init(struct arena_cache *cache)
{
    list_init(&cache->free);
    cache->free_count = cache->used_count = 0;
}

void arena_cache_fini(struct arena_cache *cache)
{
    must(cache->used_count == 0);
    for (struct list *link; (link = list_pop_front(&cache->free));)
        block_free(container_of(link, struct block, link));
    cache->free_count = 0;
}

void arena_init(struct arena *arena, struct arena_cache *cache, size_t limit_bytes)
{
    arena->cache = cache;
    list_init(&arena->blocks);
    arena->at = arena->end = NULL;
    arena->left_bytes = limit_bytes;
}

void arena_fini(struct arena *arena)
{
    struct arena_cache *cache = arena->cache;
    for (struct list *link; (link = list_pop_front(&arena->blocks));) {
        struct block *block = container_of(link, struct block, link);
        cache->used_count--;
        if (block->bytes != ARENA_BLOCK_BYTES || cache->free_count >= CACHED_BLOCKS_MAX) {
            block_free(block);
            continue;
        }
        poison(block->memory, block->bytes);
        list_push_front(&cache->free, &block->link);
        cache->free_count++;
    }
    arena->at = arena->end = NULL;
}

void arena_move(struct arena *to, struct arena *from)
{
    *to = *from;
    list_init(&to->blocks);
    list_splice(&to->blocks, &from->blocks);
    from->at = from->end = NULL;
}

static struct block *block_get(struct arena_cache *cache, size_t bytes)
{
    struct list *link = bytes == ARENA_BLOCK_BYTES ? list_pop_front(&cache->free) : NULL;
    if (link) {
        cache->free_count--;
        return container_of(link, struct block, link);
    }
    struct block *block = malloc(sizeof *block + bytes);
    if (block) {
        block->bytes = bytes;
        poison(block->memory, bytes);
    }
    return block;
}

/* A new block becomes the current one, unless it was made for one large allocation alone. */
static void *alloc_from_new_block(struct arena *arena, size_t bytes)
{
    size_t block_bytes = bytes > ARENA_BLOCK_BYTES ? bytes : ARENA_BLOCK_BYTES;
    if (block_bytes > arena->left_bytes)
        return NULL;
    struct block *block = block_get(arena->cache, block_bytes);
    if (!block)
        return NULL;
    arena->left_bytes -= block_bytes;
    arena->cache->used_count++;
    list_push_front(&arena->blocks, &block->link);
    if (block_bytes == ARENA_BLOCK_BYTES) {
        arena->at = block->memory + bytes;
        arena->end = block->memory + block_bytes;
    }
    return block->memory;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    if (bytes == 0)
        bytes = 1; /* NULL means only that there is no room */
    if (bytes > arena->left_bytes && bytes > ARENA_BLOCK_BYTES)
        return NULL;
    size_t rounded = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    void *at = arena->at;
    if (rounded > (size_t)(arena->end - arena->at))
        at = alloc_from_new_block(arena, rounded);
    else
        arena->at += rounded;
    if (at)
        unpoison(at, bytes);
    return at;
}

struct weir_slice arena_copy(struct arena *arena, struct weir_slice slice)
{
    char *at = arena_alloc(arena, slice.len ? slice.len : 1);
    if (!at)
        return (struct weir_slice){NULL, 0};
    if (slice.len)
        memcpy(at, slice.at, slice.len);
    return (struct weir_slice){at, slice.len};
}
