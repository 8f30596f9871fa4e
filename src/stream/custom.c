/* SPDX-License-Identifier: MIT */
#include "stream/custom.h"

#include "base/check.h"
#include "base/slice.h"
#include "co/wait.h"
#include "io/poller.h"

#include <stdlib.h>

/* The connection's half that is ours. It may go on on another worker: so it is the heap's. */
struct weir_wire {
    struct stream stream;
    struct custom_streams *streams; /* of the worker that has it */
    struct custom_transport transport;
    void *conn;
    enum stream_state end; /* STREAM_ENDED or _BROKEN once the transport has said so */
    struct iobuf *kept;    /* what came while it moved */
    struct co *reader, *writer;
    stream_watch_fn *watch;
    void *watch_owner;
    struct poller poller; /* on its descriptor, once somebody has waited */
    struct timer told;    /* brings what weir_wire_ready() said to the watch, in the loop */
};

/* Cancels a transport that opens for too long. */
struct patience {
    struct timer timer;
    struct co *co;
    bool is_over;
};

static struct weir_wire *of(struct stream *stream)
{
    return container_of(stream, struct weir_wire, stream);
}

/* --- Waiting --------------------------------------------------------------------------------- */

static int descriptor_of(const struct weir_wire *self)
{
    const struct custom_transport *transport = &self->transport;
    int (*descriptor)(void *conn) =
        transport->bytes ? transport->bytes->descriptor : transport->sessions->descriptor;
    return descriptor ? descriptor(self->conn) : -1;
}

static bool wants_read(const struct weir_wire *self)
{
    return self->reader || self->watch;
}

static void on_ready(struct poller *poller, bool readable, bool writable)
{
    struct weir_wire *self = container_of(poller, struct weir_wire, poller);
    bool read = poller->want_read && (wants_read(self) || !readable);
    bool write = poller->want_write && (self->writer || !writable);
    /* What is ready and nobody waits for would be told every turn. */
    if (poller_want(poller, read, write) != WEIR_OK) {
        self->end = STREAM_BROKEN;
        readable = writable = true;
    }
    if (writable)
        co_wake(self->writer);
    if (readable && self->reader)
        co_wake(self->reader);
    else if (readable && self->watch)
        self->watch(&self->stream, self->watch_owner);
}

/* Has the descriptor polled for what is waited for; what was wanted before stays, since it is
 * mostly wanted again. */
static enum weir_err poll_on(struct weir_wire *self)
{
    struct poller *poller = &self->poller;
    int descriptor = descriptor_of(self);
    if (descriptor < 0)
        return WEIR_OK;
    if (!poller->loop)
        return poller_start(self->stream.loop, poller, descriptor, wants_read(self), self->writer,
                            on_ready);
    return poller_want(poller, poller->want_read || wants_read(self),
                       poller->want_write || self->writer);
}

/* `waiting` is the wire's reader or writer. */
WEIR_SUSPENDS static enum weir_err wait_as(struct weir_wire *self, struct co **waiting,
                                           struct weir_time deadline)
{
    *waiting = co_self();
    enum weir_err err = poll_on(self);
    if (!err)
        err = co_wait(deadline);
    *waiting = NULL;
    return err;
}

static void on_told(struct timer *timer)
{
    struct weir_wire *self = container_of(timer, struct weir_wire, told);
    if (self->watch)
        self->watch(&self->stream, self->watch_owner);
}

void weir_wire_ready(struct weir_wire *wire)
{
    co_wake(wire->reader);
    co_wake(wire->writer);
    if (wire->watch && !wire->reader)
        loop_timer_arm(wire->stream.loop, &wire->told, weir_span_ns(0));
    if (wire->stream.loop && !co_self()) /* it may be said from outside, while the loop waits */
        wire->stream.loop->ops->interrupt(wire->stream.loop->backend);
}

/* --- Bytes ----------------------------------------------------------------------------------- */

/* What can be read now. *ret_err: why it is broken. */
static enum stream_state read_now(struct weir_wire *self, struct iobuf **ret_buf)
{
    struct iobufs *bufs = &self->stream.loop->bufs;
    size_t count = 0;
    if (self->kept) {
        *ret_buf = self->kept;
        self->kept = self->kept->next;
        (*ret_buf)->next = NULL;
        return STREAM_BYTES;
    }
    struct iobuf *buf = self->end == STREAM_QUIET ? iobuf_take(bufs) : NULL;
    if (!buf)
        return self->end == STREAM_QUIET ? STREAM_BROKEN : self->end;
    enum weir_err err = self->transport.bytes->read(self->conn, buf->bytes, IOBUF_BYTES, &count);
    must(err || count <= IOBUF_BYTES);
    if (!err && count > 0) {
        buf->end = (uint32_t)count;
        *ret_buf = buf;
        return STREAM_BYTES;
    }
    iobuf_give(bufs, &buf);
    if (err)
        self->end = err == WEIR_E_EOF ? STREAM_ENDED : STREAM_BROKEN;
    return self->end;
}

/* As a socket's: who is fed faster than he works lets the others run now and then. */
WEIR_SUSPENDS static enum weir_err take_turns(struct weir_wire *self)
{
    if (!loop_receives_enough(self->stream.loop))
        return WEIR_OK;
    self->reader = co_self();
    enum weir_err err = co_yield ();
    self->reader = NULL;
    return err;
}

WEIR_SUSPENDS static enum weir_err custom_recv(struct stream *stream, struct weir_time deadline,
                                               struct iobuf **ret_buf)
{
    struct weir_wire *self = of(stream);
    must(!self->reader);
    TRY(take_turns(self));
    for (;;) {
        enum stream_state state = read_now(self, ret_buf);
        if (state == STREAM_BYTES)
            return WEIR_OK;
        if (state != STREAM_QUIET)
            return state == STREAM_ENDED ? WEIR_E_EOF : WEIR_E_RESET;
        TRY(wait_as(self, &self->reader, deadline));
    }
}

/* Takes `count` bytes off the front of the slices. */
static void advance(struct weir_slice *slices, unsigned slice_count, unsigned *first, size_t count)
{
    while (count > 0) {
        must(*first < slice_count);
        struct weir_slice *slice = &slices[*first];
        size_t part = count < slice->len ? count : slice->len;
        *slice = slice_skip(*slice, part);
        *first += slice->len == 0;
        count -= part;
    }
}

WEIR_SUSPENDS static enum weir_err custom_send(struct stream *stream,
                                               const struct weir_slice *slices, unsigned count,
                                               struct weir_time deadline, size_t *ret_sent)
{
    struct weir_wire *self = of(stream);
    struct weir_slice left[SEND_SLICES_MAX];
    unsigned first = 0, left_count = 0;
    size_t sent = 0;
    enum weir_err err = WEIR_OK;
    must(!self->writer && count <= SEND_SLICES_MAX);
    for (unsigned i = 0; i < count; i++)
        if (slices[i].len > 0)
            left[left_count++] = slices[i];
    while (first < left_count && !err) {
        size_t taken = 0;
        if (self->transport.bytes->write(self->conn, left + first, left_count - first, &taken)) {
            err = WEIR_E_RESET;
        } else if (taken > 0) {
            sent += taken;
            advance(left, left_count, &first, taken);
        } else {
            err = wait_as(self, &self->writer, deadline);
        }
    }
    if (ret_sent)
        *ret_sent = sent;
    return err;
}

static size_t custom_send_now(struct stream *stream, struct weir_slice bytes)
{
    struct weir_wire *self = of(stream);
    size_t taken = 0;
    if (self->writer || bytes.len == 0 ||
        self->transport.bytes->write(self->conn, &bytes, 1, &taken) != WEIR_OK)
        return 0;
    must(taken <= bytes.len);
    return taken;
}

/* Who announces nothing is asked, however hard one looks. */
static enum stream_state custom_look(struct stream *stream, enum look look, struct iobuf **ret_buf)
{
    (void)look;
    return read_now(of(stream), ret_buf);
}

WEIR_SUSPENDS static void custom_shut(struct stream *stream, struct weir_time deadline)
{
    struct weir_wire *self = of(stream);
    (void)deadline;
    if (self->transport.bytes->shut)
        self->transport.bytes->shut(self->conn);
}

/* --- At rest and at the end ------------------------------------------------------------------ */

static bool custom_peer_ended(const struct stream *stream)
{
    return container_of(stream, const struct weir_wire, stream)->end != STREAM_QUIET;
}

static void custom_watch(struct stream *stream, stream_watch_fn *watch, void *owner)
{
    struct weir_wire *self = of(stream);
    self->watch = watch;
    self->watch_owner = owner;
    /* One that cannot be polled is looked at all the same before it is used. */
    if (watch && poll_on(self) != WEIR_OK)
        poller_stop(&self->poller);
}

static enum weir_err custom_peer(struct stream *stream, struct addr *ret_addr)
{
    (void)stream;
    (void)ret_addr;
    return WEIR_E_ADDRESS;
}

/* It is no loop's any more. */
static void leave_loop(struct weir_wire *self)
{
    must(!self->reader && !self->writer);
    self->watch = NULL;
    poller_stop(&self->poller);
    loop_timer_disarm(self->stream.loop, &self->told);
    self->streams->count--;
}

static void end(struct weir_wire *self, struct loop *loop, bool cut)
{
    iobuf_give_all(&loop->bufs, &self->kept);
    if (self->transport.bytes)
        self->transport.bytes->close(self->conn, cut);
    else
        self->transport.sessions->close(self->conn);
    free(self);
}

static void custom_close(struct stream **stream, bool reset)
{
    struct weir_wire *self = of(*stream);
    *stream = NULL;
    leave_loop(self);
    end(self, self->stream.loop, reset);
}

WEIR_SUSPENDS static void custom_detach(struct stream **stream, struct stream_parcel *ret_parcel)
{
    struct weir_wire *self = of(*stream);
    struct detached *came = &ret_parcel->socket;
    *stream = NULL;
    leave_loop(self);
    *came = (struct detached){.descriptor = -1, .end = IO_NOTHING, .done = true};
    enum stream_state state = read_now(self, &came->received);
    if (state == STREAM_BYTES)
        iobuf_leave(&self->stream.loop->bufs);
    else if (state != STREAM_QUIET)
        came->end = state == STREAM_ENDED ? IO_EOF : IO_RESET;
    must(!self->kept);
    self->stream.loop = NULL;
    self->streams = NULL;
    ret_parcel->custom = self;
}

static void take_came(struct weir_wire *self, struct loop *loop, struct detached *came)
{
    self->kept = came->received;
    came->received = NULL;
    for (struct iobuf *buf = self->kept; buf; buf = buf->next)
        iobuf_join(&loop->bufs);
}

void custom_stream_adopt(struct custom_streams *streams, struct stream_parcel *parcel,
                         struct stream **ret_stream)
{
    struct weir_wire *self = parcel->custom;
    parcel->custom = NULL;
    self->streams = streams;
    self->stream.loop = streams->loop;
    streams->count++;
    take_came(self, streams->loop, &parcel->socket);
    *ret_stream = &self->stream;
}

void custom_stream_drop(struct loop *loop, struct stream_parcel *parcel)
{
    struct weir_wire *self = parcel->custom;
    parcel->custom = NULL;
    take_came(self, loop, &parcel->socket);
    end(self, loop, false);
}

#define CUSTOM_OPS                                                                                 \
    .name = "custom", .recv = custom_recv, .send = custom_send, .look = custom_look,               \
    .peer_ended = custom_peer_ended, .watch = custom_watch, .send_now = custom_send_now,           \
    .shut = custom_shut, .peer = custom_peer, .close = custom_close

static const struct stream_ops custom_ops = {CUSTOM_OPS};
static const struct stream_ops moving_ops = {CUSTOM_OPS, .detach = custom_detach};

/* --- Of a session transport ------------------------------------------------------------------ */

static enum stream_state session_look(struct stream *stream, enum look look, struct iobuf **ret_buf)
{
    struct weir_wire *self = of(stream);
    (void)look;
    (void)ret_buf;
    if (self->end == STREAM_QUIET && !self->transport.sessions->alive(self->conn))
        self->end = STREAM_ENDED;
    return self->end;
}

/* In use the descriptor is the transport's alone to wait for. */
static void session_watch(struct stream *stream, stream_watch_fn *watch, void *owner)
{
    custom_watch(stream, watch, owner);
    if (!watch)
        poller_stop(&of(stream)->poller);
}

static const struct stream_ops session_ops = {
    .name = "custom session",
    .look = session_look,
    .peer_ended = custom_peer_ended,
    .watch = session_watch,
    .peer = custom_peer,
    .close = custom_close,
};

void *custom_stream_conn(struct stream *stream)
{
    must(stream->ops == &session_ops);
    return of(stream)->conn;
}

/* --- Opening --------------------------------------------------------------------------------- */

static void lose_patience(struct timer *timer)
{
    struct patience *patience = container_of(timer, struct patience, timer);
    patience->is_over = true;
    co_cancel(patience->co);
}

/* What a transport says is no word of the pool's own: who hears that a server is drained asks for
 * another one, and again. */
WEIR_SUSPENDS static enum weir_err open_conn(const struct custom_transport *transport,
                                             const struct weir_transport_to *to, void **ret_conn)
{
    enum weir_err err = transport->bytes ? transport->bytes->open(to, ret_conn)
                                         : transport->sessions->open(to, ret_conn);
    return err == WEIR_E_PEER_DRAINED || (unsigned)err >= WEIR_E_COUNT ? WEIR_E_IO : err;
}

WEIR_SUSPENDS static enum weir_err open_in_time(struct weir_wire *self, const char *address,
                                                struct weir_time deadline)
{
    const struct custom_transport *transport = &self->transport;
    struct timers *timers = &self->stream.loop->sched.timers;
    struct patience patience = {.co = co_self()};
    struct weir_transport_to to = {
        .owner = transport->bytes ? transport->bytes->owner : transport->sessions->owner,
        .address = address,
        .deadline = deadline,
        .wire = self,
    };
    timer_init(&patience.timer, lose_patience);
    timer_arm(timers, &patience.timer, deadline);
    enum weir_err err = open_conn(transport, &to, &self->conn);
    timer_disarm(timers, &patience.timer);
    if (!patience.is_over)
        return err;
    co_uncancel();
    return err == WEIR_E_CANCELED ? WEIR_E_TIMEOUT : err;
}

static const struct stream_ops *ops_of(const struct custom_transport *transport)
{
    if (transport->sessions)
        return &session_ops;
    return transport->bytes->moves ? &moving_ops : &custom_ops;
}

enum weir_err custom_stream_open(struct custom_streams *streams,
                                 const struct custom_transport *transport, const char *address,
                                 struct weir_time deadline, struct stream **ret_stream)
{
    struct weir_wire *self = calloc(1, sizeof *self);
    if (!self)
        return WEIR_E_NO_MEMORY;
    self->stream = (struct stream){.ops = ops_of(transport), .loop = streams->loop};
    self->streams = streams;
    self->transport = *transport;
    self->end = STREAM_QUIET;
    timer_init(&self->told, on_told);
    enum weir_err err = open_in_time(self, address, deadline);
    if (err) {
        free(self);
        return err;
    }
    streams->count++;
    *ret_stream = &self->stream;
    return WEIR_OK;
}

void custom_streams_init(struct custom_streams *streams, struct loop *loop)
{
    *streams = (struct custom_streams){.loop = loop};
}

void custom_streams_fini(struct custom_streams *streams)
{
    must(streams->count == 0);
}
