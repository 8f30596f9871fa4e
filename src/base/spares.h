/* SPDX-License-Identifier: MIT */
#ifndef BASE_SPARES_H
#define BASE_SPARES_H

/*
 * Memory for a library that wants malloc() for every little thing: blocks of a few sizes, which a
 * worker keeps when they are freed. A block may be freed on another worker than the one that it was
 * got on, which keeps it then. Whoever gets one may keep it for long: a block is nobody's but its
 * owner's.
 */

#include <stddef.h>

enum { SPARES_SIZES = 8 };

struct spares {
    struct spare *free[SPARES_SIZES];
    size_t free_count[SPARES_SIZES];
};

void spares_init(struct spares *spares);
/* Frees what is kept. */
void spares_fini(struct spares *spares);

/* As malloc(), calloc(), realloc() and free(). */
void *spares_alloc(struct spares *spares, size_t bytes);
void *spares_alloc_zeroed(struct spares *spares, size_t count, size_t bytes);
void *spares_resize(struct spares *spares, void *block, size_t bytes);
void spares_free(struct spares *spares, void *block);

#endif
