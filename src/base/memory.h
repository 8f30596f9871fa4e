/* SPDX-License-Identifier: MIT */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

/*
 * What a whole takes that is made once, piece by piece, such as a configuration from the first node
 * of its tree to the last option: freed at once. Running out is remembered, so that it need be
 * looked at only once, at the end.
 */

#include "base/arena.h"
#include <weir/slice.h>

#include <stdbool.h>
#include <stddef.h>

struct memory {
    struct arena_cache cache;
    struct arena arena;
    bool failed;                /* something was asked for and not given */
    struct memory_owned *owned; /* the last one first */
};

/* NULL when memory is out. */
struct memory *memory_new(void);
/* Frees everything; nulls the pointer. NULL is accepted. */
void memory_free(struct memory **memory);

/* Zeroed, aligned for any type; NULL, and `failed`, when memory is out. */
void *memory_alloc(struct memory *memory, size_t bytes);
/* `count` objects of `bytes` each, zeroed; as memory_alloc(). At least one is there to point at. */
void *memory_array(struct memory *memory, size_t count, size_t bytes);
/* Ends with the memory, by `free`; at once when there is no room to note it. */
void memory_own(struct memory *memory, void *object, void (*free)(void *object));
/* A copy that ends in NUL; as memory_alloc(). */
char *memory_string(struct memory *memory, struct weir_slice text);

#endif
