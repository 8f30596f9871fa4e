/* SPDX-License-Identifier: MIT */
#include "base/spares.h"

#include "base/check.h"
#include "base/poison.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The smallest block has 32 bytes, each further size is twice the one before; beyond, malloc(). */
enum { SMALLEST = 32, NO_SIZE = SPARES_SIZES, FREE_BYTES_MAX = 512 * 1024 /* of each size */ };

/* Stands before every block. */
struct spare {
    union {
        struct spare *next; /* free */
        size_t bytes;       /* in use */
    };
    size_t size; /* its number, or NO_SIZE */
};

_Static_assert(sizeof(struct spare) % 16 == 0, "what follows is aligned for any type");

static unsigned size_of(size_t bytes)
{
    unsigned size = 0;
    for (size_t room = SMALLEST; room < bytes && size < NO_SIZE; room *= 2)
        size++;
    return size;
}

static size_t room_of(unsigned size)
{
    return (size_t)SMALLEST << size;
}

static struct spare *spare_of(void *block)
{
    return (struct spare *)block - 1;
}

void spares_init(struct spares *spares)
{
    *spares = (struct spares){.free = {NULL}};
}

void spares_fini(struct spares *spares)
{
    for (unsigned i = 0; i < SPARES_SIZES; i++)
        for (struct spare *next; spares->free[i]; spares->free[i] = next) {
            next = spares->free[i]->next;
            unpoison(spares->free[i] + 1, room_of(i));
            free(spares->free[i]);
        }
}

void *spares_alloc(struct spares *spares, size_t bytes)
{
    unsigned size = size_of(bytes);
    struct spare *spare = size < NO_SIZE ? spares->free[size] : NULL;
    if (spare) {
        spares->free[size] = spare->next;
        spares->free_count[size]--;
    } else {
        size_t room = size < NO_SIZE ? room_of(size) : bytes;
        spare = room > SIZE_MAX - sizeof *spare ? NULL : malloc(sizeof *spare + room);
        if (!spare)
            return NULL;
        spare->size = size;
    }
    spare->bytes = bytes;
    unpoison(spare + 1, bytes);
    return spare + 1;
}

void *spares_alloc_zeroed(struct spares *spares, size_t count, size_t bytes)
{
    if (bytes > 0 && count > SIZE_MAX / bytes)
        return NULL;
    void *block = spares_alloc(spares, count * bytes);
    if (block)
        memset(block, 0, count * bytes);
    return block;
}

void *spares_resize(struct spares *spares, void *block, size_t bytes)
{
    void *resized = spares_alloc(spares, bytes);
    if (!block || !resized)
        return resized;
    size_t kept = spare_of(block)->bytes;
    memcpy(resized, block, kept < bytes ? kept : bytes);
    spares_free(spares, block);
    return resized;
}

void spares_free(struct spares *spares, void *block)
{
    if (!block)
        return;
    struct spare *spare = spare_of(block);
    must(spare->size <= NO_SIZE);
    bool is_enough = spare->size == NO_SIZE || spares->free_count[spare->size] >=
                                                   FREE_BYTES_MAX / room_of((unsigned)spare->size);
    if (is_enough) {
        free(spare);
        return;
    }
    poison(block, room_of((unsigned)spare->size));
    spare->next = spares->free[spare->size];
    spares->free[spare->size] = spare;
    spares->free_count[spare->size]++;
}
