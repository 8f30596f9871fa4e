/* SPDX-License-Identifier: MIT */
#ifndef SIM_CONTRACT_WATCH_H
#define SIM_CONTRACT_WATCH_H

/* Scenarios of watching and looking. */

#include "tests/sim/contract.h"

/* What a watch has seen. */
struct seen {
    struct contract *test;
    unsigned count;
    bool called;
    enum stream_state state;
};

static void on_seen(struct stream *stream, void *owner)
{
    struct seen *seen = owner;
    CHECK(stream->loop->sched.running == NULL);
    seen->count++;
    seen->called = true;
    co_wake(seen->test->waiting);
}

/* Looks until something else than quiet is there, for as long as the watch is called. */
WEIR_SUSPENDS static enum stream_state look_when_seen(struct seen *seen, struct stream *stream,
                                                      enum look look)
{
    struct iobuf *buf = NULL;
    enum stream_state state = STREAM_QUIET;
    while (state == STREAM_QUIET && CHECK(expect_soon(seen->test, &seen->called))) {
        seen->called = false;
        state = stream_look(stream, look, &buf);
    }
    CHECK_EQ(state == STREAM_BYTES, buf != NULL);
    iobuf_give(&stream->loop->bufs, &buf);
    return state;
}

static void a_watch_is_called_for_bytes_and_end(struct contract *self)
{
    struct seen seen = {.test = self};
    struct iobuf *buf = NULL;
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_orders, self));
    struct stream *stream = dial_server(self);
    CHECK_EQ(STREAM_QUIET, stream_look(stream, LOOK_WELL, &buf));
    CHECK(!stream_peer_ended(stream));
    stream_watch(stream, on_seen, &seen);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(send_text(stream, "s", soon(self)));
        CHECK_EQ(STREAM_BYTES, look_when_seen(&seen, stream, LOOK_TOLD));
        CHECK_EQ(STREAM_QUIET, stream_look(stream, LOOK_WELL, &buf));
    }
    CHECK_OK(send_text(stream, "c", soon(self)));
    CHECK_EQ(STREAM_ENDED, look_when_seen(&seen, stream, LOOK_TOLD));
    CHECK_EQ(STREAM_ENDED, stream_look(stream, LOOK_WELL, &buf));
    CHECK(stream_peer_ended(stream));
    stream_close(&stream, false);
    server_close(&self->server);
}

static void a_watch_is_called_for_a_reset(struct contract *self)
{
    struct seen seen = {.test = self};
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_orders, self));
    struct stream *stream = dial_server(self);
    stream_watch(stream, on_seen, &seen);
    CHECK_OK(send_text(stream, "r", soon(self)));
    CHECK_EQ(self->has_resets ? STREAM_BROKEN : STREAM_ENDED,
             look_when_seen(&seen, stream, LOOK_WELL));
    CHECK(stream_peer_ended(stream));
    stream_close(&stream, false);
    server_close(&self->server);
}

static void a_watch_rests_while_someone_receives(struct contract *self)
{
    struct seen seen = {.test = self};
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_orders, self));
    struct stream *stream = dial_server(self);
    stream_watch(stream, on_seen, &seen);
    CHECK_OK(send_text(stream, "s", soon(self)));
    recv_text(stream, "!", soon(self));
    CHECK_EQ(0, seen.count);
    stream_watch(stream, NULL, NULL);
    CHECK_OK(send_text(stream, "s", soon(self)));
    CHECK_OK(co_sleep(weir_span_ms(20)));
    CHECK_EQ(0, seen.count);
    recv_text(stream, "!", soon(self));
    stream_close(&stream, false);
    server_close(&self->server);
}

/* Asking finds what was sent although nobody was told: the loop has not polled since. */
static void asking_finds_what_was_not_announced(struct contract *self)
{
    struct iobuf *buf = NULL;
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_orders, self));
    struct stream *stream = dial_server(self);
    CHECK_OK(send_text(stream, "sc", soon(self)));
    while (stream_look(stream, LOOK_WELL, &buf) == STREAM_QUIET)
        CHECK_OK(co_yield ());
    CHECK(buf && slice_equal(iobuf_slice(buf), SLICE("!")));
    iobuf_give(&self->loop->bufs, &buf);
    while (stream_look(stream, LOOK_WELL, &buf) == STREAM_QUIET)
        CHECK_OK(co_yield ());
    CHECK_EQ(STREAM_ENDED, stream_look(stream, LOOK_WELL, &buf));
    stream_close(&stream, false);
    server_close(&self->server);
}

enum { CROWD = 8 };

struct crowd {
    struct contract *test;
    struct stream *streams[CROWD];
    unsigned calls;
    bool all_sent, any;
};

static void close_all(struct stream *stream, void *owner)
{
    struct crowd *crowd = owner;
    (void)stream;
    if (!crowd->all_sent)
        return; /* a stream that is being sent on may not be closed */
    crowd->calls++;
    crowd->any = true;
    for (int i = 0; i < CROWD; i++)
        stream_close(&crowd->streams[i], i % 2);
    co_wake(crowd->test->waiting);
}

static void a_watch_may_close_any_stream(struct contract *self)
{
    struct crowd crowd = {.test = self};
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_orders, self));
    for (int i = 0; i < CROWD; i++)
        crowd.streams[i] = dial_server(self);
    for (int i = 0; i < CROWD; i++) {
        CHECK_OK(send_text(crowd.streams[i], "s", soon(self)));
        stream_watch(crowd.streams[i], close_all, &crowd);
    }
    crowd.all_sent = true;
    CHECK(expect_soon(self, &crowd.any));
    CHECK_OK(co_sleep(weir_span_ms(20)));
    CHECK_EQ(1, crowd.calls);
    server_close(&self->server);
}

#endif
