/* SPDX-License-Identifier: MIT */
#ifndef APP_RING_H
#define APP_RING_H

/*
 * Bytes from one thread to one other, without a lock: the producer never waits, it is told when
 * there is no room. `put` and `taken` count all bytes there ever were; only their own thread writes
 * each.
 */

#include <weir/slice.h>

#include <stdatomic.h>
#include <stdbool.h>

enum { RING_BYTES = 1 << 20 };

struct ring {
    char *bytes;
    _Atomic size_t put;
    char apart[64]; /* so that the threads do not write to one cache line */
    _Atomic size_t taken;
};

/* False when memory is out. */
bool ring_init(struct ring *ring);
void ring_fini(struct ring *ring);

/* For the producer: puts all of it, or nothing when it does not fit. */
bool ring_put(struct ring *ring, struct weir_slice bytes);

/* How many bytes lie there; the true number may have grown or shrunk by the other side's work. */
size_t ring_fill(struct ring *ring);

/* For the consumer: views of all that lies there, the second empty unless it wraps around. */
void ring_peek(struct ring *ring, struct weir_slice ret_views[static 2]);
/* For the consumer: gives the room of the oldest bytes back. */
void ring_drop(struct ring *ring, size_t bytes);

#endif
