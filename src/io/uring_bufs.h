/* SPDX-License-Identifier: MIT */
#ifndef IO_URING_BUFS_H
#define IO_URING_BUFS_H

/*
 * The buffers that the kernel has to receive into: a provided-buffer ring, filled from the worker's
 * buffers. The kernel takes one only when bytes come, and each that it takes is replaced at once,
 * by the warmest there is. When more came at once than there were, the ring grows, up to a limit;
 * after many receives for which it was large enough it shrinks again.
 */

#include "io/backend.h"

#include <liburing.h>

struct uring_bufs {
    struct iobufs *from;
    struct io_stats *stats;
    struct io_uring_buf_ring *ring;
    struct iobuf **slots; /* by the number that the kernel knows it by; NULL: not in the ring */
    uint16_t *empty;      /* numbers of the empty slots */
    unsigned entries, empty_count;
    unsigned wanted, first, max; /* how many the ring should hold: now, at least, at most */
    unsigned calm_count;         /* receives since there were too few */
};

/* The only group of buffers of a ring. */
enum { URING_BUF_GROUP = 0 };

/* `first` in the ring now, at most `max` later. WEIR_E_NO_MEMORY, _IO. */
enum weir_err uring_bufs_init(struct uring_bufs *bufs, struct io_uring *ring, struct loop *loop,
                              unsigned first, unsigned max);
/* The kernel may not receive any more. */
void uring_bufs_fini(struct uring_bufs *bufs, struct io_uring *ring);

/* What the kernel put into a buffer, which is the caller's now. */
struct iobuf *uring_bufs_received(struct uring_bufs *bufs, const struct io_uring_cqe *completion);

/* There were too few: takes more from now on. */
void uring_bufs_grow(struct uring_bufs *bufs);

/* Fills up; false while there is none at all, because memory is out. */
bool uring_bufs_fill(struct uring_bufs *bufs);

#endif
