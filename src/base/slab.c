/* SPDX-License-Identifier: MIT */
#include "base/slab.h"

#include "base/check.h"
#include "base/poison.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 32768 };

struct page {
    struct list link;
    alignas(max_align_t) char memory[];
};

/* A free object holds the link to the next one in its first word. */
static void *free_next(void *object)
{
    void *next;
    unpoison(object, sizeof next);
    memcpy(&next, object, sizeof next);
    return next;
}

static void push_free(struct slab *slab, void *object)
{
    unpoison(object, sizeof slab->free);
    memcpy(object, &slab->free, sizeof slab->free);
    slab->free = object;
    poison(object, slab->object_bytes);
}

void slab_init(struct slab *slab, const char *name, size_t object_bytes)
{
    size_t align = alignof(max_align_t);
    must(object_bytes >= sizeof(void *) && object_bytes <= PAGE_BYTES / 2);
    *slab = (struct slab){
        .name = name,
        .object_bytes = (object_bytes + align - 1) & ~(align - 1),
    };
    list_init(&slab->pages);
}

void slab_fini(struct slab *slab)
{
    must(slab->used_count == 0);
    for (struct list *link; (link = list_pop_front(&slab->pages));) {
        struct page *page = container_of(link, struct page, link);
        unpoison(page->memory, PAGE_BYTES);
        free(page);
    }
    slab->free = NULL;
}

static bool add_page(struct slab *slab)
{
    struct page *page = malloc(sizeof *page + PAGE_BYTES);
    if (!page)
        return false;
    list_push_back(&slab->pages, &page->link);
    slab->page_count++;
    for (size_t i = PAGE_BYTES / slab->object_bytes; i-- > 0;)
        push_free(slab, page->memory + i * slab->object_bytes);
    return true;
}

void *slab_alloc(struct slab *slab)
{
    if (!slab->free && !add_page(slab))
        return NULL;
    void *object = slab->free;
    slab->free = free_next(object);
    unpoison(object, slab->object_bytes);
    memset(object, 0, slab->object_bytes);
    slab->used_count++;
    return object;
}

void slab_free(struct slab *slab, void *object)
{
    if (!object)
        return;
    must(slab->used_count > 0);
    slab->used_count--;
    push_free(slab, object);
}
