/* SPDX-License-Identifier: MIT */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

/*
 * Objects of one size for one worker. Pages are kept until the slab ends; a freed object is handed
 * out again first (it is warm). Freed objects are poisoned under AddressSanitizer.
 */

#include "base/list.h"

#include <stddef.h>

struct slab {
    const char *name;
    size_t object_bytes;
    size_t used_count;
    size_t page_count;
    void *free;
    struct list pages;
};

/* `name` is for checks and must outlive the slab. */
void slab_init(struct slab *slab, const char *name, size_t object_bytes);
/* Frees all pages; no object may be in use (checked). */
void slab_fini(struct slab *slab);

/* A zeroed object; NULL when memory is out. */
void *slab_alloc(struct slab *slab);
void slab_free(struct slab *slab, void *object);

#endif
