/* SPDX-License-Identifier: MIT */
/*
 * Two ends joined in memory. What is sent is copied into buffers of the loop, which queue at the
 * receiving end and are lent to its receiver as they are.
 *
 * Both ends and the mails under way keep the pair alive; it lies in an arena of its own.
 */
#include "stream/pair.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/slice.h"
#include "co/wait.h"

#include <string.h>

struct pair;

struct pair_end {
    struct stream stream;
    struct pair *pair;
    struct pair_end *other;
    struct iobuf *oldest, *newest; /* sent by the other end, not received yet */
    size_t queued_bytes;
    struct co *reader, *writer;
    stream_watch_fn *watch;
    void *watch_owner;
    struct mail mail; /* brings a watch's call into the loop */
    bool posted;
    bool shut; /* sends no more */
    bool closed;
    bool broken; /* the other end was closed with a reset */
};

struct pair {
    struct arena memory;
    size_t capacity;
    unsigned use_count; /* open ends and posted mails */
    struct pair_end ends[2];
};

static struct pair_end *of(struct stream *stream)
{
    return container_of(stream, struct pair_end, stream);
}

static struct pair *pair_new(struct loop *loop)
{
    struct arena memory;
    arena_init(&memory, &loop->arenas, ARENA_BLOCK_BYTES);
    struct pair *pair = arena_alloc(&memory, sizeof *pair);
    if (!pair)
        return NULL;
    *pair = (struct pair){.use_count = 2};
    arena_init(&pair->memory, &loop->arenas, 0);
    list_splice(&pair->memory.blocks, &memory.blocks);
    return pair;
}

static void pair_drop(struct pair *pair)
{
    if (--pair->use_count > 0)
        return;
    struct arena memory;
    arena_init(&memory, pair->memory.cache, 0);
    list_splice(&memory.blocks, &pair->memory.blocks);
    arena_fini(&memory);
}

static void deliver(struct mail *mail)
{
    struct pair_end *self = container_of(mail, struct pair_end, mail);
    struct pair *pair = self->pair;
    self->posted = false;
    if (self->reader)
        co_wake(self->reader);
    else if (self->watch)
        self->watch(&self->stream, self->watch_owner);
    pair_drop(pair);
}

/* Something has come for `self`. A watch is called in the loop only, hence the mail. */
static void notify(struct pair_end *self)
{
    if (self->reader) {
        co_wake(self->reader);
    } else if (self->watch && !self->posted) {
        self->posted = true;
        self->pair->use_count++;
        loop_post(self->stream.loop, &self->mail);
    }
}

static enum stream_state take(struct pair_end *self, struct iobuf **ret_buf)
{
    struct iobuf *buf = self->oldest;
    if (self->broken)
        return STREAM_BROKEN;
    if (!buf)
        return self->other->shut ? STREAM_ENDED : STREAM_QUIET;
    self->oldest = buf->next;
    buf->next = NULL;
    self->queued_bytes -= iobuf_slice(buf).len;
    co_wake(self->other->writer);
    *ret_buf = buf;
    return STREAM_BYTES;
}

WEIR_SUSPENDS static enum weir_err pair_recv(struct stream *stream, struct weir_time deadline,
                                             struct iobuf **ret_buf)
{
    struct pair_end *self = of(stream);
    must(!self->reader);
    for (;;) {
        switch (take(self, ret_buf)) {
        case STREAM_BYTES:
            return WEIR_OK;
        case STREAM_ENDED:
            return WEIR_E_EOF;
        case STREAM_BROKEN:
            return WEIR_E_RESET;
        case STREAM_QUIET:
            break;
        }
        self->reader = co_self();
        enum weir_err err = co_wait(deadline);
        self->reader = NULL;
        TRY(err);
    }
}

WEIR_SUSPENDS static enum weir_err wait_for_room(struct pair_end *self, struct weir_time deadline)
{
    const struct pair_end *to = self->other;
    for (;;) {
        if (self->shut || self->broken || to->closed)
            return WEIR_E_RESET;
        if (to->queued_bytes < self->pair->capacity)
            return WEIR_OK;
        self->writer = co_self();
        enum weir_err err = co_wait(deadline);
        self->writer = NULL;
        TRY(err);
    }
}

/* The queue's last buffer if it has room, otherwise a new one behind it. */
static struct iobuf *buf_with_room(struct pair_end *to)
{
    if (to->oldest && to->newest->end < IOBUF_BYTES)
        return to->newest;
    struct iobuf *buf = iobuf_take(&to->stream.loop->bufs);
    if (!buf)
        return NULL;
    if (to->oldest)
        to->newest->next = buf;
    else
        to->oldest = buf;
    to->newest = buf;
    return buf;
}

/* Queues some of the bytes, which are not empty, where there is room; 0 when memory is out. */
static size_t put(struct pair_end *to, struct weir_slice bytes)
{
    struct iobuf *buf = buf_with_room(to);
    if (!buf)
        return 0;
    size_t count = bytes.len;
    if (count > to->pair->capacity - to->queued_bytes)
        count = to->pair->capacity - to->queued_bytes;
    if (count > IOBUF_BYTES - buf->end)
        count = IOBUF_BYTES - buf->end;
    memcpy(buf->bytes + buf->end, bytes.at, count);
    buf->end += (uint32_t)count;
    to->queued_bytes += count;
    notify(to);
    return count;
}

WEIR_SUSPENDS static enum weir_err send_slice(struct pair_end *self, struct weir_slice slice,
                                              struct weir_time deadline, size_t *sent_bytes)
{
    while (slice.len > 0) {
        TRY(wait_for_room(self, deadline));
        size_t count = put(self->other, slice);
        if (count == 0)
            return WEIR_E_NO_MEMORY;
        *sent_bytes += count;
        slice.at += count;
        slice.len -= count;
    }
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err pair_send(struct stream *stream, const struct weir_slice *slices,
                                             unsigned count, struct weir_time deadline,
                                             size_t *ret_sent)
{
    struct pair_end *self = of(stream);
    must(!self->writer && count <= SEND_SLICES_MAX);
    size_t sent_bytes = 0;
    enum weir_err err = WEIR_OK;
    for (unsigned i = 0; i < count && !err; i++)
        err = send_slice(self, slices[i], deadline, &sent_bytes);
    if (ret_sent)
        *ret_sent = sent_bytes;
    return err;
}

static size_t pair_send_now(struct stream *stream, struct weir_slice bytes)
{
    struct pair_end *self = of(stream);
    const struct pair_end *to = self->other;
    size_t sent = 0, room = to->closed ? 0 : self->pair->capacity - to->queued_bytes;
    if (self->writer || self->shut || self->broken)
        return 0;
    if (bytes.len > room)
        bytes.len = room;
    for (size_t count = 1; count > 0 && sent < bytes.len; sent += count)
        count = put(self->other, slice_of(bytes.at + sent, bytes.len - sent));
    return sent;
}

static enum stream_state pair_look(struct stream *stream, enum look look, struct iobuf **ret_buf)
{
    (void)look; /* nothing here is there and not announced */
    return take(of(stream), ret_buf);
}

static bool pair_peer_ended(const struct stream *stream)
{
    const struct pair_end *self = container_of(stream, const struct pair_end, stream);
    return self->broken || self->other->shut;
}

static void pair_watch(struct stream *stream, stream_watch_fn *watch, void *owner)
{
    struct pair_end *self = of(stream);
    self->watch = watch;
    self->watch_owner = owner;
}

WEIR_SUSPENDS static void pair_shut(struct stream *stream, struct weir_time deadline)
{
    (void)deadline;
    struct pair_end *self = of(stream);
    self->shut = true;
    notify(self->other);
}

static enum weir_err pair_peer(struct stream *stream, struct addr *ret_addr)
{
    (void)stream;
    (void)ret_addr;
    return WEIR_E_ADDRESS;
}

static void give_queued(struct pair_end *self)
{
    while (self->oldest) {
        struct iobuf *buf = self->oldest;
        self->oldest = buf->next;
        iobuf_give(&self->stream.loop->bufs, &buf);
    }
    self->queued_bytes = 0;
}

static void pair_close(struct stream **stream, bool reset)
{
    struct pair_end *self = of(*stream);
    struct pair_end *other = self->other;
    *stream = NULL;
    must(!self->reader && !self->writer && !self->closed);
    give_queued(self);
    self->watch = NULL;
    self->shut = self->closed = true;
    if (reset && !other->closed) {
        give_queued(other);
        other->broken = true;
    }
    notify(other);
    co_wake(other->writer);
    pair_drop(self->pair);
}

static const struct stream_ops pair_ops = {
    .name = "pair",
    .recv = pair_recv,
    .send = pair_send,
    .look = pair_look,
    .peer_ended = pair_peer_ended,
    .watch = pair_watch,
    .send_now = pair_send_now,
    .shut = pair_shut,
    .peer = pair_peer,
    .close = pair_close,
};

enum weir_err stream_pair(struct loop *loop, size_t capacity, struct stream **ret_a,
                          struct stream **ret_b)
{
    must(capacity > 0);
    struct pair *pair = pair_new(loop);
    if (!pair)
        return WEIR_E_NO_MEMORY;
    pair->capacity = capacity;
    for (int i = 0; i < 2; i++) {
        struct pair_end *end = &pair->ends[i];
        end->stream = (struct stream){.ops = &pair_ops, .loop = loop};
        end->pair = pair;
        end->other = &pair->ends[1 - i];
        end->mail.deliver = deliver;
    }
    *ret_a = &pair->ends[0].stream;
    *ret_b = &pair->ends[1].stream;
    return WEIR_OK;
}
