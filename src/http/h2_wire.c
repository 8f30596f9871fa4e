/* SPDX-License-Identifier: MIT */
#include "http/h2_wire.h"

#include "base/check.h"
#include "co/wait.h"

#include <stdlib.h>

/* Buffers that are read in a row, before the others of this worker have their turn. */
enum { READS_IN_A_ROW = 8 };

static struct h2_wire *wire_of(struct h2_session *session)
{
    return container_of(session, struct h2_wire, session);
}

static struct iobufs *bufs_of(const struct h2_wire *wire)
{
    return &wire->session.loop->bufs;
}

static void changed(struct h2_wire *wire)
{
    wire->changed(wire->session.owner);
}

/* Nothing runs in it any more. */
static void destroy(struct h2_wire *wire)
{
    h2_session_fini(&wire->session, WEIR_E_EOF);
    stream_close(&wire->stream, wire->reset);
    free(wire);
}

/* --- Sending --------------------------------------------------------------------------------- */

WEIR_SUSPENDS static enum weir_err send_out(struct h2_wire *wire, struct iobuf *out)
{
    struct weir_slice slices[H2_OUT_BUFS];
    unsigned count = 0;
    for (const struct iobuf *buf = out; buf; buf = buf->next)
        slices[count++] = iobuf_slice(buf);
    enum weir_err err = stream_send(wire->stream, slices, count,
                                    loop_deadline(wire->session.loop, wire->write_timeout), NULL);
    iobuf_give_all(bufs_of(wire), &out);
    return err;
}

WEIR_SUSPENDS static void write_all(void *argument)
{
    struct h2_wire *wire = argument;
    enum weir_err err = WEIR_OK;
    wire->writer = co_self();
    for (struct iobuf *out; !err && !wire->closing; h2_session_pack(&wire->session)) {
        out = h2_session_take_out(&wire->session);
        if (!out)
            break;
        err = send_out(wire, out);
    }
    wire->writer = NULL;
    if (wire->closing) {
        destroy(wire);
        return;
    }
    if (err)
        h2_wire_look(wire, LOOK_WELL); /* what had come before it broke counts */
    if (err || wire->session.failed)
        h2_session_ended(&wire->session, err ? err : WEIR_E_NO_MEMORY);
    wire->writing = false;
    co_wake(wire->drained);
    if (h2_wire_is_over(wire))
        changed(wire);
}

void h2_wire_push(struct h2_wire *wire)
{
    struct h2_session *session = &wire->session;
    /* One on its way to another worker has no stream: it says there what it has to say. */
    if (wire->closing || session->failed || !wire->stream)
        return;
    h2_session_pack(session);
    if (session->out && !wire->writing) {
        wire->writing = scope_spawn(wire->scope, "h2 writer", write_all, wire) == WEIR_OK;
        if (!wire->writing)
            session->failed = true;
    }
    if (!session->failed || wire->writing)
        return;
    h2_session_ended(session, WEIR_E_NO_MEMORY);
    loop_timer_arm(session->loop, &wire->again, weir_span_ns(0)); /* who has it is told there */
}

static void on_output(struct h2_session *session)
{
    h2_wire_push(wire_of(session));
}

enum weir_err h2_wire_drain(struct h2_wire *wire)
{
    while (wire->writing) {
        wire->drained = co_self();
        enum weir_err err = co_wait(WEIR_NEVER);
        wire->drained = NULL;
        TRY(err);
    }
    return WEIR_OK;
}

/* --- Receiving ------------------------------------------------------------------------------- */

/* False: there was nothing to be shown yet, such as a part of a record. */
static bool feed(struct h2_wire *wire, struct iobuf **buf)
{
    bool has_bytes = (*buf)->start < (*buf)->end;
    if (has_bytes)
        h2_session_feed(&wire->session, iobuf_slice(*buf));
    iobuf_give(bufs_of(wire), buf);
    return has_bytes;
}

/* What is there, but not without end. */
void h2_wire_look(struct h2_wire *wire, enum look look)
{
    for (unsigned i = 0; i < READS_IN_A_ROW && !wire->session.failed; i++) {
        struct iobuf *buf = NULL;
        switch (stream_look(wire->stream, look, &buf)) {
        case STREAM_QUIET:
            return;
        case STREAM_BYTES:
            if (!feed(wire, &buf))
                return;
            break;
        case STREAM_ENDED:
            h2_session_ended(&wire->session, WEIR_E_EOF);
            return;
        default:
            h2_session_ended(&wire->session, WEIR_E_RESET);
            return;
        }
    }
    if (!wire->session.failed)
        loop_timer_arm(wire->session.loop, &wire->again, weir_span_ns(0));
}

static void read_all(struct h2_wire *wire)
{
    h2_wire_look(wire, LOOK_TOLD);
    changed(wire);
}

static void on_bytes(struct stream *stream, void *owner)
{
    (void)stream;
    read_all(owner);
}

static void on_again(struct timer *timer)
{
    read_all(container_of(timer, struct h2_wire, again));
}

void h2_wire_rest(struct h2_wire *wire)
{
    stream_watch(wire->stream, on_bytes, wire);
}

/* --- Beginning and end ----------------------------------------------------------------------- */

enum weir_err h2_wire_open(struct stream **stream, struct iobuf **buf,
                           const struct h2_wire_options *options, struct h2_wire **ret_wire)
{
    struct h2_session_options how = options->session;
    struct h2_wire *wire = malloc(sizeof *wire);
    how.output = on_output;
    enum weir_err err = wire ? h2_session_init(&wire->session, &how) : WEIR_E_NO_MEMORY;
    if (err) {
        free(wire);
        iobuf_give_all(&how.loop->bufs, buf);
        stream_close(stream, true);
        return err;
    }
    wire->stream = *stream;
    *stream = NULL;
    wire->scope = options->scope;
    wire->writer = wire->drained = NULL;
    wire->writing = wire->closing = wire->reset = false;
    wire->write_timeout = options->write_timeout;
    wire->changed = options->changed;
    timer_init(&wire->again, on_again);
    *ret_wire = wire;
    for (struct iobuf *next; *buf; *buf = next) {
        next = (*buf)->next;
        (void)feed(wire, buf);
    }
    h2_wire_push(wire);
    stream_watch(wire->stream, on_bytes, wire);
    /* What came before the watch was set is not announced. */
    loop_timer_arm(how.loop, &wire->again, weir_span_ns(0));
    return WEIR_OK;
}

/* A GOAWAY, say, if there is room for it in the socket. */
static void send_last_words(struct h2_wire *wire)
{
    struct h2_session *session = &wire->session;
    if (session->failed || wire->writing)
        return;
    nghttp2_session_terminate_session(session->ng, NGHTTP2_NO_ERROR);
    h2_session_pack(session);
    struct iobuf *out = h2_session_take_out(session);
    for (const struct iobuf *buf = out; buf; buf = buf->next)
        (void)stream_send_now(wire->stream, iobuf_slice(buf));
    iobuf_give_all(bufs_of(wire), &out);
}

void h2_wire_close(struct h2_wire **wire, enum weir_err err, bool reset)
{
    struct h2_wire *closing = *wire;
    *wire = NULL;
    if (!closing)
        return;
    must(!closing->session.feeding && !closing->closing);
    stream_watch(closing->stream, NULL, NULL);
    loop_timer_disarm(closing->session.loop, &closing->again);
    if (!reset)
        send_last_words(closing);
    h2_session_ended(&closing->session, err);
    closing->closing = true;
    closing->reset = reset;
    if (!closing->writing)
        destroy(closing);
    else if (closing->writer)
        co_cancel(closing->writer);
}

struct stream *h2_wire_release(struct h2_wire **wire)
{
    struct h2_wire *released = *wire;
    struct stream *stream = released->stream;
    *wire = NULL;
    must(!released->writing);
    stream_watch(stream, NULL, NULL);
    loop_timer_disarm(released->session.loop, &released->again);
    released->stream = NULL;
    destroy(released);
    return stream;
}

/* --- From one worker to another -------------------------------------------------------------- */

void h2_wire_let_go(struct h2_wire *wire)
{
    must(!wire->writing && !wire->session.out && list_is_empty(&wire->session.streams));
    stream_watch(wire->stream, NULL, NULL);
    loop_timer_disarm(wire->session.loop, &wire->again);
    wire->stream = NULL;
}

void h2_wire_resume(struct h2_wire *wire, struct stream *stream, struct scope *scope, void *owner)
{
    wire->stream = stream;
    wire->session.loop = stream->loop;
    wire->session.owner = owner;
    wire->scope = scope;
    stream_watch(stream, on_bytes, wire);
    loop_timer_arm(stream->loop, &wire->again, weir_span_ns(0));
    h2_wire_push(wire);
}

void h2_wire_drop(struct h2_wire **wire)
{
    struct h2_wire *dropped = *wire;
    *wire = NULL;
    if (!dropped)
        return;
    must(!dropped->stream && list_is_empty(&dropped->session.streams));
    dropped->session.loop = loop_here(); /* whose memory it becomes */
    nghttp2_session_del(dropped->session.ng);
    free(dropped);
}
