/* SPDX-License-Identifier: MIT */
#ifndef IO_IOBUF_H
#define IO_IOBUF_H

/*
 * Buffers that receiving lends. A worker has one list of them; a receive takes one only when bytes
 * exist, its caller owns it until iobuf_give(). Last given, first taken: it is warm.
 */

#include "base/stat.h"
#include <weir/slice.h>

#include <stdint.h>

/*
 * Large enough that a 16 KiB response comes with its head in one receive; the pages that nothing
 * was written to cost no memory.
 */
enum { IOBUF_BYTES = 32768 };

struct iobuf {
    struct iobuf *next;
    uint32_t start, end; /* the bytes not used yet lie between */
    char bytes[IOBUF_BYTES];
};

struct iobufs {
    struct iobuf *free;
    uint32_t free_count;
    stat_count used_count; /* read by other threads too */
};

void iobufs_init(struct iobufs *bufs);
/* No buffer may be in use (checked). */
void iobufs_fini(struct iobufs *bufs);

/* An empty buffer; NULL when memory is out. */
struct iobuf *iobuf_take(struct iobufs *bufs);
/* Gives *buf back and nulls it; NULL is fine. */
void iobuf_give(struct iobufs *bufs, struct iobuf **buf);

/* The same for one and all that are linked behind it. */
void iobuf_give_all(struct iobufs *bufs, struct iobuf **first);

/* One in use goes elsewhere, to another worker or the kernel; one from there comes into use here.
 */
void iobuf_leave(struct iobufs *bufs);
void iobuf_join(struct iobufs *bufs);

static inline struct weir_slice iobuf_slice(const struct iobuf *buf)
{
    return (struct weir_slice){buf->bytes + buf->start, buf->end - buf->start};
}

#endif
