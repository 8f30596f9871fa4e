/* SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Three times what the largest configuration, full of short keys, has been seen to take. */
enum { MEMORY_BYTES_MAX = 256 << 20 };

/* Something that is not in the arena. */
struct memory_owned {
    struct memory_owned *next;
    void *object;
    void (*free)(void *object);
};

struct memory *memory_new(void)
{
    struct memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return NULL;
    arena_cache_init(&memory->cache);
    arena_init(&memory->arena, &memory->cache, MEMORY_BYTES_MAX);
    return memory;
}

void memory_free(struct memory **memory)
{
    if (!*memory)
        return;
    for (struct memory_owned *at = (*memory)->owned; at; at = at->next)
        at->free(at->object);
    arena_fini(&(*memory)->arena);
    arena_cache_fini(&(*memory)->cache);
    free(*memory);
    *memory = NULL;
}

void *memory_alloc(struct memory *memory, size_t bytes)
{
    void *at = arena_alloc(&memory->arena, bytes);
    if (!at) {
        memory->failed = true;
        return NULL;
    }
    return memset(at, 0, bytes);
}

void *memory_array(struct memory *memory, size_t count, size_t bytes)
{
    if (count > MEMORY_BYTES_MAX / bytes) {
        memory->failed = true;
        return NULL;
    }
    return memory_alloc(memory, (count ? count : 1) * bytes);
}

void memory_own(struct memory *memory, void *object, void (*free)(void *object))
{
    struct memory_owned *owned = memory_alloc(memory, sizeof *owned);
    if (!owned) {
        free(object); /* and the memory has failed: nobody will use it */
        return;
    }
    *owned = (struct memory_owned){memory->owned, object, free};
    memory->owned = owned;
}

char *memory_string(struct memory *memory, struct weir_slice text)
{
    char *copy = memory_alloc(memory, text.len + 1);
    if (copy && text.len > 0)
        memcpy(copy, text.at, text.len);
    return copy;
}
