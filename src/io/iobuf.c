/* SPDX-License-Identifier: MIT */
#include "io/iobuf.h"

#include "base/check.h"
#include "base/poison.h"

#include <stdlib.h>

/* Free buffers beyond this many go back to the system: a burst does not stay for ever. */
enum { FREE_MAX = 256 };

void iobufs_init(struct iobufs *bufs)
{
    bufs->free = NULL;
    bufs->free_count = 0;
    atomic_init(&bufs->used_count, 0);
}

void iobufs_fini(struct iobufs *bufs)
{
    must(stat_read(&bufs->used_count) == 0);
    while (bufs->free) {
        struct iobuf *buf = bufs->free;
        bufs->free = buf->next;
        unpoison(buf->bytes, IOBUF_BYTES);
        free(buf);
    }
    bufs->free_count = 0;
}

struct iobuf *iobuf_take(struct iobufs *bufs)
{
    struct iobuf *buf = bufs->free;
    if (buf) {
        bufs->free = buf->next;
        bufs->free_count--;
        unpoison(buf->bytes, IOBUF_BYTES);
    } else {
        buf = malloc(sizeof *buf);
        if (!buf)
            return NULL;
    }
    buf->next = NULL;
    buf->start = buf->end = 0;
    stat_add(&bufs->used_count, 1);
    return buf;
}

void iobuf_give(struct iobufs *bufs, struct iobuf **buf)
{
    struct iobuf *given = *buf;
    *buf = NULL;
    if (!given)
        return;
    iobuf_leave(bufs);
    if (bufs->free_count >= FREE_MAX) {
        free(given);
        return;
    }
    poison(given->bytes, IOBUF_BYTES);
    given->next = bufs->free;
    bufs->free = given;
    bufs->free_count++;
}

void iobuf_give_all(struct iobufs *bufs, struct iobuf **first)
{
    while (*first) {
        struct iobuf *next = (*first)->next;
        iobuf_give(bufs, first);
        *first = next;
    }
}

void iobuf_leave(struct iobufs *bufs)
{
    must(stat_read(&bufs->used_count) > 0);
    stat_sub(&bufs->used_count, 1);
}

void iobuf_join(struct iobufs *bufs)
{
    stat_add(&bufs->used_count, 1);
}
