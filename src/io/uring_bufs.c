/* SPDX-License-Identifier: MIT */
#include "io/uring_bufs.h"

#include "base/check.h"
#include "io/kernel.h"
#include "io/loop.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    ENTRIES_MAX = 32768, /* the kernel counts in powers of two, up to this */
    CALM_RECEIVES = 65536
};

static unsigned power_of_two(unsigned least)
{
    unsigned entries = 1;
    while (entries < least && entries < ENTRIES_MAX)
        entries *= 2;
    return entries;
}

static unsigned ready_count(const struct uring_bufs *bufs)
{
    return bufs->entries - bufs->empty_count;
}

static enum weir_err get_memory(struct uring_bufs *bufs)
{
    bufs->slots = calloc(bufs->entries, sizeof(struct iobuf *));
    bufs->empty = calloc(bufs->entries, sizeof(uint16_t));
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t ring_bytes = bufs->entries * sizeof(struct io_uring_buf);
    bufs->ring = aligned_alloc(page_bytes, (ring_bytes + page_bytes - 1) / page_bytes * page_bytes);
    return bufs->slots && bufs->empty && bufs->ring ? WEIR_OK : WEIR_E_NO_MEMORY;
}

static enum weir_err enroll(struct uring_bufs *bufs, struct io_uring *ring)
{
    TRY(get_memory(bufs));
    io_uring_buf_ring_init(bufs->ring);
    struct io_uring_buf_reg group = {
        .ring_addr = (uintptr_t)bufs->ring, .ring_entries = bufs->entries, .bgid = URING_BUF_GROUP};
    int result = io_uring_register_buf_ring(ring, &group, 0);
    return result < 0 ? kernel_err(-result) : WEIR_OK;
}

static void free_memory(struct uring_bufs *bufs)
{
    free(bufs->slots);
    free(bufs->empty);
    free(bufs->ring);
}

enum weir_err uring_bufs_init(struct uring_bufs *bufs, struct io_uring *ring, struct loop *loop,
                              unsigned first, unsigned max)
{
    *bufs = (struct uring_bufs){.from = &loop->bufs, .stats = &loop->stats};
    bufs->entries = power_of_two(max);
    bufs->max = max < bufs->entries ? max : bufs->entries;
    bufs->wanted = bufs->first = first < bufs->max ? first : bufs->max;
    enum weir_err err = enroll(bufs, ring);
    if (err) {
        free_memory(bufs);
        return err;
    }
    for (unsigned i = 0; i < bufs->entries; i++)
        bufs->empty[bufs->empty_count++] = (uint16_t)(bufs->entries - 1 - i);
    uring_bufs_fill(bufs);
    return WEIR_OK;
}

void uring_bufs_fini(struct uring_bufs *bufs, struct io_uring *ring)
{
    must(io_uring_unregister_buf_ring(ring, URING_BUF_GROUP) == 0);
    for (unsigned i = 0; i < bufs->entries; i++) {
        if (!bufs->slots[i])
            continue;
        iobuf_join(bufs->from);
        iobuf_give(bufs->from, &bufs->slots[i]);
    }
    free_memory(bufs);
}

bool uring_bufs_fill(struct uring_bufs *bufs)
{
    unsigned count = 0;
    while (ready_count(bufs) < bufs->wanted) {
        struct iobuf *buf = iobuf_take(bufs->from);
        if (!buf)
            break;
        iobuf_leave(bufs->from);
        uint16_t number = bufs->empty[--bufs->empty_count];
        bufs->slots[number] = buf;
        io_uring_buf_ring_add(bufs->ring, buf->bytes, IOBUF_BYTES, number, (int)bufs->entries - 1,
                              (int)count++);
    }
    io_uring_buf_ring_advance(bufs->ring, (int)count);
    stat_set(&bufs->stats->buffers_ready, ready_count(bufs));
    return ready_count(bufs) > 0;
}

/* What is too much is not replaced when it is taken. */
static void shrink_when_calm(struct uring_bufs *bufs)
{
    if (++bufs->calm_count < CALM_RECEIVES)
        return;
    bufs->calm_count = 0;
    bufs->wanted = bufs->wanted / 2 > bufs->first ? bufs->wanted / 2 : bufs->first;
}

struct iobuf *uring_bufs_received(struct uring_bufs *bufs, const struct io_uring_cqe *completion)
{
    unsigned number = completion->flags >> IORING_CQE_BUFFER_SHIFT;
    must(number < bufs->entries && bufs->slots[number]);
    struct iobuf *buf = bufs->slots[number];
    bufs->slots[number] = NULL;
    iobuf_join(bufs->from);
    bufs->empty[bufs->empty_count++] = (uint16_t)number;
    buf->end = completion->res > 0 ? (uint32_t)completion->res : 0;
    shrink_when_calm(bufs);
    uring_bufs_fill(bufs);
    return buf;
}

void uring_bufs_grow(struct uring_bufs *bufs)
{
    stat_add(&bufs->stats->shortages[SHORT_OF_BUFFERS], 1);
    bufs->calm_count = 0;
    bufs->wanted = bufs->wanted * 2 < bufs->max ? bufs->wanted * 2 : bufs->max;
    uring_bufs_fill(bufs);
}
