/* SPDX-License-Identifier: MIT */
/*
 * Ends and what travels between them. They keep what the kernel keeps too:
 *
 *   - segments of one direction arrive in the order in which they were sent;
 *   - bytes that reach a closed end are answered with a reset, and an end that is closed with bytes
 *     unread resets its peer;
 *   - what has come is announced once, by poll, and may lie there before it is announced;
 *   - an end that was announced keeps the socket readable.
 */
#include "tests/sim/part.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

static struct sim_end *end_of(const struct sock *sock)
{
    return sock->backend_part;
}

static struct sim_world *world_of(const struct sock *sock)
{
    return sock->loop->backend->world;
}

struct weir_time sim_later(struct sim_world *world)
{
    struct weir_span latency =
        sim_span(world, world->faults.latency_min, world->faults.latency_max);
    return weir_time_after(world->now, latency);
}

static struct weir_time much_later(struct sim_world *world)
{
    /* One after the other: compilers differ in the order of arguments, and so would the runs. */
    struct weir_time at = sim_later(world);
    return weir_time_after(at, sim_span(world, weir_span_ns(0), world->faults.late_max));
}

struct sim_end *sim_end_new(struct sim_world *world)
{
    struct sim_end *end = calloc(1, sizeof *end);
    must(end);
    size_t min = world->faults.window_min, max = world->faults.window_max;
    end->window = min + rand_below(&world->rand, max - min + 1);
    end->queue = malloc(end->window);
    must(end->queue);
    end->id = ++world->next_end;
    end->descriptor = -1;
    list_init(&end->backlog_link);
    list_push_back(&world->ends, &end->all_link);
    return end;
}

void sim_end_free(struct sim_end *end)
{
    free(end->queue);
    free(end);
}

/* Sends a segment on its way to the other end, behind those that are. */
static void post_segment(struct sim_world *world, struct sim_end *from, struct sim_event *event,
                         struct weir_time at)
{
    if (!weir_time_before(from->last_out, at))
        at = weir_time_after(from->last_out, weir_span_ns(1));
    from->last_out = at;
    sim_event_post(world, event, at);
}

static void post_fin(struct sim_world *world, struct sim_end *from)
{
    bool late = sim_chance(world, world->faults.late_end);
    post_segment(world, from, sim_event_new(SIM_FIN, from->peer, 0),
                 late ? much_later(world) : sim_later(world));
}

void sim_post_reset(struct sim_world *world, struct sim_end *from)
{
    post_segment(world, from, sim_event_new(SIM_RESET, from->peer, 0), sim_later(world));
}

void sim_announce(struct sim_world *world, struct sim_end *end)
{
    if (!end->sock || end->announcing)
        return;
    bool late = sim_chance(world, world->faults.late_announce);
    end->announcing = true;
    sim_event_post(world, sim_event_new(SIM_ANNOUNCE, end, 0),
                   late ? much_later(world) : world->now);
}

static void give_room(struct sim_world *world, struct sim_end *end)
{
    if (!end->sock || end->giving_room)
        return;
    end->giving_room = true;
    sim_event_post(world, sim_event_new(SIM_ROOM, end, 0), sim_later(world));
}

void sim_end_close(struct sim_world *world, struct sim_end *end, bool reset)
{
    sim_trace(world, reset ? "close!" : "close", end->id, end->queued);
    if (end->peer && !end->reset_came) {
        if (reset || end->queued > 0 || !end->connected)
            sim_post_reset(world, end);
        else if (!end->shut)
            post_fin(world, end);
    }
    end->closed = end->shut = true;
    end->sock = NULL;
    end->queued = 0;
    free(end->queue);
    end->queue = NULL;
    if (end->descriptor >= 0)
        sim_slot_release(world, end->descriptor);
    end->descriptor = -1;
}

/* Sending. */

static size_t room_for(const struct sim_end *from)
{
    const struct sim_end *to = from->peer;
    return to->closed ? SIZE_MAX : to->window - to->queued - to->in_flight;
}

static void transmit(struct sim_world *world, struct sim_end *from, const char *bytes, size_t len)
{
    if (sim_chance(world, world->faults.reset)) {
        sim_post_reset(world, from);
        sim_post_reset(world, from->peer);
        return;
    }
    while (len > 0) {
        bool split = sim_chance(world, world->faults.split);
        size_t piece = split ? 1 + rand_below(&world->rand, len) : len;
        struct sim_event *event = sim_event_new(SIM_BYTES, from->peer, piece);
        memcpy(event->bytes, bytes, piece);
        from->peer->in_flight += piece;
        post_segment(world, from, event, sim_later(world));
        bytes += piece;
        len -= piece;
    }
}

static void op_advance(struct send_op *op, size_t len)
{
    struct iovec *slice = &op->slices[op->first];
    op->sent_bytes += len;
    slice->iov_base = (char *)slice->iov_base + len;
    slice->iov_len -= len;
    if (slice->iov_len == 0) {
        op->first++;
        op->count--;
    }
}

/* Sends some of the first slice; false when no more goes out now. */
static bool push_some(struct sim_world *world, struct sim_end *end, struct send_op *op)
{
    size_t room = room_for(end);
    size_t len = op->slices[op->first].iov_len;
    bool cut_short = sim_chance(world, world->faults.short_send);
    if (room == 0) {
        end->starved = true;
        return false;
    }
    if (len > room)
        len = room;
    if (cut_short)
        len = 1 + rand_below(&world->rand, len);
    sim_trace(world, "send", end->id, len);
    transmit(world, end, op->slices[op->first].iov_base, len);
    op_advance(op, len);
    if (cut_short)
        give_room(world, end);
    return !cut_short;
}

static void push(struct sock *sock, struct send_op *op)
{
    struct sim_end *end = end_of(sock);
    bool going = true;
    if (end->reset_came || end->shut) {
        op->result = WEIR_E_RESET;
        op->done = true;
        return;
    }
    while (op->count > 0 && going)
        going = push_some(world_of(sock), end, op);
    op->done = op->count == 0;
    sock->writable = going;
}

void sim_send(struct sock *sock, struct send_op *op)
{
    if (sock->writable)
        push(sock, op);
    sock->sending = op->done ? NULL : op;
}

void sim_send_cancel(struct sock *sock, struct send_op *op)
{
    must(sock->sending == op);
    sock->sending = NULL;
    op->result = WEIR_E_CANCELED;
    op->done = true;
}

size_t sim_send_now(struct sock *sock, struct weir_slice bytes)
{
    struct send_op op = {
        .slices = {{.iov_base = (void *)(uintptr_t)bytes.at, .iov_len = bytes.len}},
        .count = bytes.len > 0,
    };
    if (sock->writable)
        push(sock, &op);
    return op.sent_bytes;
}

static void push_pending(struct sock *sock)
{
    struct send_op *op = sock->sending;
    sock->writable = true;
    if (!op)
        return;
    push(sock, op);
    if (op->done) {
        sock->sending = NULL;
        sock_notify_writable(sock);
    }
}

void sim_shut(struct sock *sock)
{
    struct sim_end *end = end_of(sock);
    if (!end->shut && !end->reset_came)
        post_fin(world_of(sock), end);
    end->shut = true;
}

/* Receiving. */

static void queue_bytes(struct sim_end *end, const char *bytes, size_t len)
{
    must(end->queued + len <= end->window);
    if (end->queue_start + end->queued + len > end->window) {
        memmove(end->queue, end->queue + end->queue_start, end->queued);
        end->queue_start = 0;
    }
    memcpy(end->queue + end->queue_start + end->queued, bytes, len);
    end->queued += len;
    end->newest_segment = len;
}

/* How much a receive brings that does not bring all: up to where a segment begins, or anything. */
static size_t cut_length(struct sim_world *world, const struct sim_end *end, size_t len)
{
    bool by_segment = sim_chance(world, 500);
    if (by_segment && end->newest_segment < end->queued && end->queued <= len)
        return end->queued - end->newest_segment;
    return 1 + rand_below(&world->rand, len);
}

static enum io_got lend(struct sock *sock, struct iobuf **ret_buf)
{
    struct sim_end *end = end_of(sock);
    struct sim_world *world = world_of(sock);
    struct iobuf *buf = iobuf_take(&sock->loop->bufs);
    if (!buf)
        return IO_NO_MEMORY;
    size_t len = end->queued < IOBUF_BYTES ? end->queued : IOBUF_BYTES;
    if (sim_chance(world, world->faults.short_recv))
        len = cut_length(world, end, len);
    memcpy(buf->bytes, end->queue + end->queue_start, len);
    buf->end = (uint32_t)len;
    end->queued -= len;
    end->queue_start = end->queued ? end->queue_start + len : 0;
    sock->readable = end->queued > 0 || sock->ended;
    sim_trace(world, "recv", end->id, len);
    if (end->peer->starved)
        give_room(world, end->peer);
    *ret_buf = buf;
    return IO_BYTES;
}

enum io_got sim_look(struct sock *sock, bool surely, struct iobuf **ret_buf)
{
    (void)surely;
    struct sim_end *end = end_of(sock);
    if (end->queued > 0)
        return lend(sock, ret_buf);
    sock->readable = end->reset_came || end->fin_came;
    if (end->reset_came)
        return IO_RESET;
    return end->fin_came ? IO_EOF : IO_NOTHING;
}

enum io_got sim_recv(struct sock *sock, struct iobuf **ret_buf)
{
    return sock->readable ? sim_look(sock, true, ret_buf) : IO_NOTHING;
}

/* Arriving. */

void sim_fire_bytes(struct sim_world *world, struct sim_end *end, const struct sim_event *event)
{
    end->in_flight -= event->len;
    if (end->closed) {
        if (!end->peer->closed)
            sim_post_reset(world, end);
        return;
    }
    if (end->reset_came)
        return;
    queue_bytes(end, event->bytes, event->len);
    sim_announce(world, end);
}

void sim_fire_fin(struct sim_world *world, struct sim_end *end)
{
    end->fin_came = true;
    sim_announce(world, end);
}

void sim_fire_reset(struct sim_world *world, struct sim_end *end)
{
    if (end->closed)
        return;
    end->reset_came = true;
    if (sim_chance(world, world->faults.reset_drops))
        end->queued = 0;
    sim_announce(world, end);
}

void sim_fire_announce(struct sim_end *end)
{
    struct sock *sock = end->sock;
    end->announcing = false;
    if (!sock)
        return;
    sock->readable = true;
    sock->ended |= end->fin_came || end->reset_came;
    if (end->reset_came)
        push_pending(sock);
    sock_notify_readable(sock); /* the last word: a watch may close it */
}

/* As with a receive that the kernel still held: it may bring something, and must not lose it. */
void sim_fire_detached(struct sim_end *end)
{
    struct sock *sock = end->sock;
    struct iobuf *buf;
    if (end->queued > 0 && lend(sock, &buf) == IO_BYTES)
        sock_keep(sock, buf);
    if (end->queued == 0 && (end->reset_came || end->fin_came))
        sock_keep_end(sock, end->reset_came ? IO_RESET : IO_EOF);
    end->sock = NULL;
    sock->detaching->done = true;
    sock_notify_writable(sock);
}

void sim_fire_room(struct sim_end *end)
{
    end->giving_room = end->starved = false;
    if (end->sock)
        push_pending(end->sock);
}
