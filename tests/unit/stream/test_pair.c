/* SPDX-License-Identifier: MIT */
#include "stream/pair.h"

#include "base/slice.h"
#include "tests/unit/io/drive.h"

enum { CAPACITY = 1000 };

WEIR_SUSPENDS static enum weir_err send_text(struct stream *stream, const char *text)
{
    struct weir_slice slice = slice_str(text);
    return stream_send(stream, &slice, 1, WEIR_NEVER, NULL);
}

/* The next bytes are exactly these. */
WEIR_SUSPENDS static void recv_text(struct drive *drive, struct stream *stream, const char *text)
{
    struct iobuf *buf = NULL;
    if (!CHECK_OK(stream_recv(stream, within_s(drive, 5), &buf)))
        return;
    CHECK_SLICE(iobuf_slice(buf), text);
    iobuf_give(&drive->loop.bufs, &buf);
    CHECK(!buf);
}

static void talk(struct drive *drive)
{
    struct stream *a, *b;
    struct iobuf *buf = NULL;
    struct addr addr;
    CHECK_OK(stream_pair(&drive->loop, CAPACITY, &a, &b));
    CHECK_EQ(STREAM_QUIET, stream_look(a, LOOK_WELL, &buf));
    CHECK_ERR(WEIR_E_ADDRESS, stream_peer(a, &addr));
    struct weir_slice slices[3] = {SLICE("one "), SLICE(""), SLICE("two")};
    size_t sent = 99;
    CHECK_OK(stream_send(a, slices, 3, WEIR_NEVER, &sent));
    CHECK_EQ(7, sent);
    CHECK_OK(send_text(a, " three"));
    CHECK_OK(send_text(b, "back"));
    recv_text(drive, b, "one two three"); /* what was sent before comes together */
    recv_text(drive, a, "back");
    CHECK_EQ(STREAM_QUIET, stream_look(b, LOOK_WELL, &buf));
    CHECK_ERR(WEIR_E_TIMEOUT, stream_recv(b, loop_deadline(&drive->loop, weir_span_ms(5)), &buf));
    stream_close(&a, false);
    CHECK(!a);
    stream_close(&b, false);
    stream_close(&b, false); /* NULL is fine */
}

TEST(bytes_go_both_ways)
{
    drive(talk);
}

static void end_after_bytes(struct drive *drive)
{
    struct stream *a, *b;
    struct iobuf *buf = NULL;
    CHECK_OK(stream_pair(&drive->loop, CAPACITY, &a, &b));
    CHECK_OK(send_text(a, "last words"));
    CHECK(!stream_peer_ended(b));
    stream_close(&a, false);
    CHECK(stream_peer_ended(b)); /* announced, although bytes lie before it */
    recv_text(drive, b, "last words");
    CHECK_ERR(WEIR_E_EOF, stream_recv(b, WEIR_NEVER, &buf));
    CHECK_ERR(WEIR_E_EOF, stream_recv(b, WEIR_NEVER, &buf));
    CHECK_EQ(STREAM_ENDED, stream_look(b, LOOK_WELL, &buf));
    CHECK_ERR(WEIR_E_RESET, send_text(b, "anyone?"));
    stream_close(&b, false);
}

TEST(a_close_is_an_end_after_the_bytes)
{
    drive(end_after_bytes);
}

static void reset_at_once(struct drive *drive)
{
    struct stream *a, *b;
    struct iobuf *buf = NULL;
    CHECK_OK(stream_pair(&drive->loop, CAPACITY, &a, &b));
    CHECK_OK(send_text(a, "lost"));
    stream_close(&a, true);
    CHECK(stream_peer_ended(b));
    CHECK_EQ(STREAM_BROKEN, stream_look(b, LOOK_TOLD, &buf));
    CHECK_ERR(WEIR_E_RESET, stream_recv(b, WEIR_NEVER, &buf));
    CHECK_ERR(WEIR_E_RESET, send_text(b, "anyone?"));
    stream_close(&b, true);
}

TEST(a_reset_comes_at_once)
{
    drive(reset_at_once);
}

static void half_close(struct drive *drive)
{
    struct stream *a, *b;
    struct iobuf *buf = NULL;
    CHECK_OK(stream_pair(&drive->loop, CAPACITY, &a, &b));
    CHECK_OK(send_text(a, "question"));
    stream_shut(a, WEIR_NEVER);
    CHECK_ERR(WEIR_E_RESET, send_text(a, "more"));
    recv_text(drive, b, "question");
    CHECK_ERR(WEIR_E_EOF, stream_recv(b, WEIR_NEVER, &buf));
    CHECK_OK(send_text(b, "answer"));
    recv_text(drive, a, "answer");
    CHECK(!stream_peer_ended(a));
    stream_close(&b, false);
    CHECK_ERR(WEIR_E_EOF, stream_recv(a, WEIR_NEVER, &buf));
    stream_close(&a, false);
}

TEST(a_half_close_leaves_the_other_way)
{
    drive(half_close);
}

struct courier {
    struct stream *stream;
    size_t len, sent;
    struct co *co;
    enum weir_err err;
    bool done;
};

static char long_text[100000];

static void send_long(void *argument)
{
    struct courier *self = argument;
    struct weir_slice slice = slice_of(long_text, self->len);
    self->co = co_self();
    self->err = stream_send(self->stream, &slice, 1, WEIR_NEVER, &self->sent);
    self->done = true;
}

/* Both the limit and the content hold, whatever the capacity. */
static void push_back(struct drive *drive, size_t capacity)
{
    struct stream *a, *b;
    struct iobuf *buf;
    struct scope scope;
    size_t got = 0;
    CHECK_OK(stream_pair(&drive->loop, capacity, &a, &b));
    struct courier courier = {.stream = a, .len = sizeof long_text};
    for (size_t i = 0; i < sizeof long_text; i++)
        long_text[i] = (char)(i * 13 + i / 257);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "send", send_long, &courier));
    for (int i = 0; i < 5; i++)
        CHECK_OK(co_yield ());
    CHECK_EQ(capacity >= sizeof long_text, courier.done);
    while (got < sizeof long_text && CHECK_OK(stream_recv(b, within_s(drive, 5), &buf))) {
        struct weir_slice bytes = iobuf_slice(buf);
        CHECK(bytes.len > 0 && bytes.len <= capacity);
        CHECK(memcmp(bytes.at, long_text + got, bytes.len) == 0);
        got += bytes.len;
        iobuf_give(&drive->loop.bufs, &buf);
    }
    CHECK_OK(scope_join(&scope));
    CHECK_OK(courier.err);
    CHECK_EQ(sizeof long_text, courier.sent);
    stream_close(&a, false);
    stream_close(&b, false);
}

static void push_back_all(struct drive *drive)
{
    push_back(drive, 1);
    push_back(drive, CAPACITY);
    push_back(drive, IOBUF_BYTES);
    push_back(drive, IOBUF_BYTES + 1);
    push_back(drive, sizeof long_text);
}

TEST(a_sender_waits_beyond_the_capacity)
{
    drive(push_back_all);
}

/* A sender that waits for room is told when that will never come. */
static void end_a_waiting_send(struct drive *drive)
{
    for (int way = 0; way < 3; way++) {
        struct stream *a, *b;
        struct scope scope;
        CHECK_OK(stream_pair(&drive->loop, CAPACITY, &a, &b));
        struct courier courier = {.stream = a, .len = sizeof long_text};
        scope_init(&scope);
        CHECK_OK(scope_spawn(&scope, "send", send_long, &courier));
        CHECK_OK(co_yield ());
        CHECK(!courier.done);
        if (way == 2)
            co_cancel(courier.co);
        else
            stream_close(&b, way == 1);
        CHECK_OK(scope_join(&scope));
        CHECK_ERR(way == 2 ? WEIR_E_CANCELED : WEIR_E_RESET, courier.err);
        CHECK_EQ(CAPACITY, courier.sent);
        stream_close(&a, false);
        stream_close(&b, false);
    }
}

TEST(a_waiting_send_ends_with_the_other_end_or_its_coroutine)
{
    drive(end_a_waiting_send);
}

struct seen {
    struct drive *drive;
    struct stream **close; /* what to close when it is called */
    unsigned calls;
    bool called;
};

static void on_seen(struct stream *stream, void *owner)
{
    struct seen *seen = owner;
    CHECK(!co_self() && stream->ops);
    seen->calls++;
    seen->called = true;
    if (seen->close)
        stream_close(seen->close, false);
    co_wake(seen->drive->waiting);
}

static void watch_an_end(struct drive *drive)
{
    struct stream *a, *b;
    struct iobuf *buf = NULL;
    struct seen seen = {.drive = drive};
    CHECK_OK(stream_pair(&drive->loop, CAPACITY, &a, &b));
    stream_watch(b, on_seen, &seen);
    CHECK_OK(send_text(a, "x"));
    CHECK_OK(send_text(a, "y"));
    CHECK_EQ(0, seen.calls); /* in the loop, not in the sender */
    CHECK(expect_soon(drive, &seen.called));
    CHECK_EQ(1, seen.calls);
    CHECK_EQ(STREAM_BYTES, stream_look(b, LOOK_TOLD, &buf));
    CHECK_SLICE(iobuf_slice(buf), "xy");
    iobuf_give(&drive->loop.bufs, &buf);

    seen.called = false;
    stream_shut(a, WEIR_NEVER);
    CHECK(expect_soon(drive, &seen.called));
    CHECK_EQ(STREAM_ENDED, stream_look(b, LOOK_TOLD, &buf));

    stream_watch(b, NULL, NULL);
    stream_close(&a, true);
    CHECK_OK(co_sleep(weir_span_ms(5)));
    CHECK_EQ(2, seen.calls);
    stream_close(&b, false);
}

TEST(a_watch_is_called_in_the_loop)
{
    drive(watch_an_end);
}

static void close_in_a_watch(struct drive *drive)
{
    struct stream *a, *b;
    struct seen seen = {.drive = drive, .close = &b};
    CHECK_OK(stream_pair(&drive->loop, CAPACITY, &a, &b));
    stream_watch(b, on_seen, &seen);
    stream_close(&a, false);
    CHECK(expect_soon(drive, &seen.called));
    CHECK(!b);

    /* A call that is on its way when its end is closed does not come. */
    CHECK_OK(stream_pair(&drive->loop, CAPACITY, &a, &b));
    stream_watch(b, on_seen, &seen);
    CHECK_OK(send_text(a, "x"));
    stream_close(&b, false);
    stream_close(&a, false);
    CHECK_OK(co_sleep(weir_span_ms(5)));
    CHECK_EQ(1, seen.calls);
}

TEST(a_watch_may_close_its_end)
{
    drive(close_in_a_watch);
}

static void wait_for_bytes(void *argument)
{
    struct courier *self = argument;
    struct iobuf *buf;
    self->co = co_self();
    self->err = stream_recv(self->stream, WEIR_NEVER, &buf);
    self->done = true;
    if (!self->err)
        iobuf_give(&self->stream->loop->bufs, &buf);
}

static void wake_a_receiver(struct drive *drive)
{
    static const enum weir_err ends[] = {WEIR_OK, WEIR_E_EOF, WEIR_E_EOF, WEIR_E_RESET,
                                         WEIR_E_CANCELED};
    for (unsigned i = 0; i < COUNT_OF(ends); i++) {
        struct stream *a, *b;
        struct scope scope;
        struct seen seen = {.drive = drive};
        CHECK_OK(stream_pair(&drive->loop, CAPACITY, &a, &b));
        struct courier courier = {.stream = b};
        stream_watch(b, on_seen, &seen);
        scope_init(&scope);
        CHECK_OK(scope_spawn(&scope, "receive", wait_for_bytes, &courier));
        CHECK_OK(co_yield ());
        CHECK(!courier.done);
        if (i == 0)
            CHECK_OK(send_text(a, "x"));
        else if (i == 1)
            stream_shut(a, WEIR_NEVER);
        else if (i == 4)
            co_cancel(courier.co);
        else
            stream_close(&a, i == 3);
        CHECK_OK(scope_join(&scope));
        CHECK_ERR(ends[i], courier.err);
        CHECK_EQ(0, seen.calls); /* somebody received */
        stream_close(&a, false);
        stream_close(&b, false);
    }
}

TEST(a_receiver_is_woken_for_everything)
{
    drive(wake_a_receiver);
}

TEST(memory_comes_from_the_loop)
{
    struct loop loop;
    struct stream *a, *b;
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = &epoll_ops}));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(stream_pair(&loop, CAPACITY, &a, &b));
        CHECK_EQ(1, loop.arenas.used_count);
        stream_close(&b, false);
        CHECK_EQ(1, loop.arenas.used_count);
        stream_close(&a, true);
        CHECK_EQ(0, loop.arenas.used_count);
        CHECK_EQ(1, loop.arenas.free_count);
    }
    loop_fini(&loop);
}

CHECK_MAIN
