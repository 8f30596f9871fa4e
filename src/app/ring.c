/* SPDX-License-Identifier: MIT */
#include "app/ring.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdlib.h>

bool ring_init(struct ring *ring)
{
    *ring = (struct ring){.bytes = malloc(RING_BYTES)};
    return ring->bytes != NULL;
}

void ring_fini(struct ring *ring)
{
    free(ring->bytes);
    ring->bytes = NULL;
}

size_t ring_fill(struct ring *ring)
{
    size_t taken = atomic_load(&ring->taken);
    return atomic_load(&ring->put) - taken;
}

/* The stretch of the ring that begins at a count and is at most `bytes` long. */
static struct weir_slice stretch(const struct ring *ring, size_t count, size_t bytes)
{
    size_t at = count % RING_BYTES;
    size_t left = RING_BYTES - at;
    return slice_of(ring->bytes + at, bytes < left ? bytes : left);
}

bool ring_put(struct ring *ring, struct weir_slice bytes)
{
    size_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    if (bytes.len > RING_BYTES - (put - taken))
        return false;
    struct weir_slice first = stretch(ring, put, bytes.len);
    memcpy(ring->bytes + put % RING_BYTES, bytes.at, first.len);
    memcpy(ring->bytes, bytes.at + first.len, bytes.len - first.len);
    /* Ordered before what the producer looks at next: whether the consumer sleeps. */
    atomic_store(&ring->put, put + bytes.len);
    return true;
}

void ring_peek(struct ring *ring, struct weir_slice ret_views[static 2])
{
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    size_t fill = atomic_load_explicit(&ring->put, memory_order_acquire) - taken;
    ret_views[0] = stretch(ring, taken, fill);
    ret_views[1] = slice_of(ring->bytes, fill - ret_views[0].len);
}

void ring_drop(struct ring *ring, size_t bytes)
{
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    must(bytes <= ring_fill(ring));
    atomic_store_explicit(&ring->taken, taken + bytes, memory_order_release);
}
