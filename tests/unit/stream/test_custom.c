/* SPDX-License-Identifier: MIT */
#include "stream/custom.h"

#include "io/poller.h"
#include "tests/unit/base/aborts.h"
#include "tests/unit/http/stage.h"
#include "tests/unit/stream/toy_transport.h"

static struct stream *stream;

WEIR_SUSPENDS static bool begin(const struct weir_byte_transport *transport)
{
    struct custom_transport custom = {.bytes = transport};
    toy = (struct toy){.ours = -1, .theirs = -1};
    stream = NULL;
    return CHECK_OK(
        custom_stream_open(&stage.streams.custom, &custom, "an address", in_ms(5000), &stream));
}

static void finish(void)
{
    stream_close(&stream, false);
    CHECK_EQ(toy.opened, toy.closed);
    if (toy.theirs >= 0)
        close(toy.theirs);
}

WEIR_SUSPENDS static void check_recv(const char *want)
{
    struct iobuf *buf = NULL;
    if (!CHECK_OK(stream_recv(stream, in_ms(5000), &buf)))
        return;
    CHECK_SLICE(iobuf_slice(buf), want);
    iobuf_give(&stage.loop.bufs, &buf);
}

static void check_look(enum stream_state want)
{
    struct iobuf *buf = NULL;
    CHECK_EQ(want, stream_look(stream, LOOK_WELL, &buf));
    iobuf_give(&stage.loop.bufs, &buf);
}

static void write_theirs(const char *text)
{
    CHECK_EQ(strlen(text), write(toy.theirs, text, strlen(text)));
}

/* What happens while the test waits. */
static void later(co_fn *fn)
{
    CHECK_OK(co_spawn(&stage.loop.sched, NULL, "later", fn, NULL, NULL));
}

/* --- Over a descriptor ----------------------------------------------------------------------- */

WEIR_SUSPENDS static void answer_later(void *unused)
{
    (void)unused;
    stage_turns();
    write_theirs("back");
}

STAGE_EACH(bytes_pass_both_ways_over_a_descriptor)
{
    struct weir_slice words[] = {SLICE("he"), SLICE(""), SLICE("llo")};
    size_t sent = 0;
    char got[8] = "";
    if (!begin(&toy_sockets))
        return;
    CHECK(!strcmp("an address", toy.address));
    CHECK_OK(stream_send(stream, words, 3, in_ms(5000), &sent));
    CHECK_EQ(5, sent);
    CHECK_EQ(5, read(toy.theirs, got, sizeof got));
    CHECK(!strcmp("hello", got));
    for (int i = 0; i < 3; i++) {
        later(answer_later);
        check_recv("back");
    }
    CHECK_EQ(4, stream_send_now(stream, SLICE("words")));
    stream_shut(stream, in_ms(5000));
    CHECK(toy.shut);
    struct addr addr;
    CHECK_ERR(WEIR_E_ADDRESS, stream_peer(stream, &addr));
    CHECK(!stream_peer_ended(stream));
    finish();
    CHECK(!toy.cut);
}

enum { MUCH = 3 << 20 };
static char much[MUCH];
static size_t much_read;

WEIR_SUSPENDS static void read_much(void *unused)
{
    static char bytes[65536];
    (void)unused;
    while (much_read < MUCH && stage_breathe()) {
        ssize_t count = read(toy.theirs, bytes, sizeof bytes);
        for (ssize_t i = 0; i < count; i++)
            if (bytes[i] != (char)((much_read + (size_t)i) % 251))
                CHECK(false);
        much_read += count > 0 ? (size_t)count : 0;
    }
}

STAGE_EACH(what_finds_no_room_waits_for_it)
{
    struct weir_slice all = slice_of(much, MUCH);
    for (size_t i = 0; i < MUCH; i++)
        much[i] = (char)(i % 251);
    much_read = 0;
    if (!begin(&toy_sockets))
        return;
    later(read_much);
    CHECK_OK(stream_send(stream, &all, 1, WEIR_NEVER, NULL));
    STAGE_UNTIL(much_read == MUCH);
    finish();
}

STAGE_EACH(an_end_and_a_reset_are_told_apart)
{
    struct iobuf *buf = NULL;
    for (int reset = 0; reset < 2; reset++) {
        if (!begin(&toy_sockets))
            return;
        struct weir_slice word = SLICE("word");
        if (reset)
            CHECK_OK(stream_send(stream, &word, 1, in_ms(5000), NULL)); /* and nobody reads it */
        write_theirs("last");
        close(toy.theirs);
        toy.theirs = -1;
        if (!reset)
            check_recv("last");
        else if (stream_look(stream, LOOK_WELL, &buf) == STREAM_BYTES)
            iobuf_give(&stage.loop.bufs, &buf);
        CHECK_ERR(reset ? WEIR_E_RESET : WEIR_E_EOF, stream_recv(stream, in_ms(5000), &buf));
        CHECK_ERR(reset ? WEIR_E_RESET : WEIR_E_EOF, stream_recv(stream, in_ms(5000), &buf));
        check_look(reset ? STREAM_BROKEN : STREAM_ENDED);
        CHECK(stream_peer_ended(stream));
        CHECK_ERR(WEIR_E_RESET, stream_send(stream, &word, 1, in_ms(5000), NULL));
        CHECK_EQ(0, stream_send_now(stream, word));
        stream_close(&stream, true);
        CHECK(toy.cut);
        finish();
    }
}

static enum weir_err waited;

WEIR_SUSPENDS static void recv_until_canceled(void *unused)
{
    struct iobuf *buf = NULL;
    (void)unused;
    waited = stream_recv(stream, WEIR_NEVER, &buf);
}

WEIR_SUSPENDS static void send_until_canceled(void *unused)
{
    struct weir_slice all = slice_of(much, MUCH);
    size_t sent = 0;
    (void)unused;
    waited = stream_send(stream, &all, 1, WEIR_NEVER, &sent);
    CHECK(sent > 0 && sent < MUCH);
}

STAGE_EACH(waits_end_with_their_deadline_and_their_coroutine)
{
    struct iobuf *buf = NULL;
    struct co *co;
    co_fn *const waits[] = {recv_until_canceled, send_until_canceled};
    if (!begin(&toy_sockets))
        return;
    CHECK_ERR(WEIR_E_TIMEOUT, stream_recv(stream, in_ms(20), &buf));
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        waited = WEIR_OK;
        CHECK_OK(co_spawn(&stage.loop.sched, NULL, "waits", waits[i], NULL, &co));
        stage_turns();
        co_cancel(co);
        STAGE_UNTIL(waited == WEIR_E_CANCELED);
    }
    write_theirs("on");
    check_recv("on");
    finish();
}

static unsigned watched;
static bool closes;

static void on_watch(struct stream *of, void *owner)
{
    CHECK(of == stream && owner == &watched && !co_self());
    watched++;
    if (closes)
        stream_close(&stream, false);
}

STAGE_EACH(a_watch_is_told_of_bytes_and_ends)
{
    watched = 0;
    closes = false;
    if (!begin(&toy_sockets))
        return;
    stream_watch(stream, on_watch, &watched);
    stage_turns();
    CHECK_EQ(0, watched);
    write_theirs("bytes");
    STAGE_UNTIL(watched > 0);
    stream_watch(stream, NULL, NULL);
    unsigned told = watched;
    stage_turns(); /* what nobody wants to know of is not told every turn */
    CHECK_EQ(told, watched);
    CHECK_EQ(0, stat_read(&stage.loop.bufs.used_count));
    check_recv("bytes");
    check_look(STREAM_QUIET);
    closes = true;
    stream_watch(stream, on_watch, &watched);
    close(toy.theirs);
    toy.theirs = -1;
    STAGE_UNTIL(watched > told);
    CHECK(!stream);
    CHECK_EQ(1, toy.closed);
}

STAGE_EACH(one_that_is_watched_may_be_closed)
{
    watched = 0;
    if (!begin(&toy_sockets))
        return;
    stream_watch(stream, on_watch, &watched);
    stage_turns();
    write_theirs("bytes");
    finish();
    stage_turns();
    CHECK_EQ(0, watched);
}

/* --- Without a descriptor -------------------------------------------------------------------- */

WEIR_SUSPENDS static void say_later(void *unused)
{
    (void)unused;
    stage_turns();
    toy_say("said");
}

WEIR_SUSPENDS static void take_later(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++) {
        stage_turns();
        toy_take(1);
    }
}

STAGE_TEST(what_has_no_descriptor_is_told)
{
    struct weir_slice word = SLICE("0123456789");
    struct iobuf *buf = NULL;
    if (!begin(&toy_memory))
        return;
    CHECK_ERR(WEIR_E_TIMEOUT, stream_recv(stream, in_ms(5), &buf));
    later(say_later);
    check_recv("said");
    toy_say("be");
    toy_say("fore");
    check_recv("before");
    CHECK_ERR(WEIR_E_TIMEOUT, stream_send(stream, &word, 1, in_ms(5), NULL));
    later(take_later);
    CHECK_OK(stream_send(stream, &word, 1, in_ms(5000), NULL));
    CHECK_SLICE(slice_of(toy.out, toy.out_bytes), "0123456789");
    stream_shut(stream, in_ms(5000)); /* it has no such thing */
    toy_end(WEIR_E_EOF);
    CHECK_ERR(WEIR_E_EOF, stream_recv(stream, in_ms(5000), &buf));
    finish();
}

STAGE_TEST(telling_runs_nothing)
{
    watched = 0;
    closes = true;
    if (!begin(&toy_memory))
        return;
    stream_watch(stream, on_watch, &watched);
    toy_end(WEIR_E_EOF);
    toy_end(WEIR_E_EOF);
    CHECK_EQ(0, watched);
    STAGE_UNTIL(watched == 1);
    CHECK(!stream);

    watched = 0;
    if (!begin(&toy_memory))
        return;
    stream_watch(stream, on_watch, &watched);
    toy_say("late");
    finish(); /* before it is told */
    stage_turns();
    CHECK_EQ(0, watched);
}

/* --- Between workers ------------------------------------------------------------------------- */

WEIR_SUSPENDS static void check_move(struct stream_parcel *ret_parcel)
{
    *ret_parcel = (struct stream_parcel){.tls = NULL};
    CHECK(stream_can_move(stream));
    stream_detach(&stream, ret_parcel);
    CHECK(!stream && ret_parcel->custom);
    CHECK_EQ(0, stage.streams.custom.count);
    CHECK_EQ(0, stat_read(&stage.loop.bufs.used_count));
}

STAGE_EACH(a_connection_goes_on_on_another_worker)
{
    struct stream_parcel parcel;
    watched = 0;
    closes = false;
    if (!begin(&toy_sockets))
        return;
    stream_watch(stream, on_watch, &watched);
    stage_turns();
    check_move(&parcel);
    CHECK(!parcel.socket.received && parcel.socket.end == IO_NOTHING);
    write_theirs("meanwhile");
    stage_turns();
    CHECK_EQ(0, watched);
    CHECK_OK(streams_adopt(&stage.streams, &parcel, &stream));
    CHECK_EQ(1, stage.streams.custom.count);
    check_recv("meanwhile");
    later(answer_later);
    check_recv("back");
    finish();
}

STAGE_EACH(what_had_come_before_it_left_is_not_lost)
{
    struct stream_parcel parcel;
    if (!begin(&toy_sockets))
        return;
    write_theirs("before");
    check_move(&parcel);
    if (CHECK(parcel.socket.received))
        CHECK_SLICE(iobuf_slice(parcel.socket.received), "before");
    write_theirs("after");
    CHECK_OK(streams_adopt(&stage.streams, &parcel, &stream));
    check_recv("before");
    check_recv("after");
    close(toy.theirs);
    toy.theirs = -1;
    check_move(&parcel);
    CHECK_EQ(IO_EOF, parcel.socket.end);
    streams_drop(&stage.loop, &parcel);
    CHECK(!parcel.custom);
    CHECK_EQ(1, toy.closed);
}

STAGE_TEST(what_is_dropped_on_its_way_is_closed)
{
    struct stream_parcel parcel;
    if (!begin(&toy_sockets))
        return;
    write_theirs("before");
    check_move(&parcel);
    streams_drop(&stage.loop, &parcel);
    CHECK_EQ(1, toy.closed);
    CHECK_EQ(0, read(toy.theirs, &(char){0}, 1));
    close(toy.theirs);
}

STAGE_TEST(what_does_not_move_says_so)
{
    if (!begin(&toy_memory))
        return;
    CHECK(!stream_can_move(stream));
    finish();
}

/* --- Opening --------------------------------------------------------------------------------- */

/* Takes no notice of its deadline. */
WEIR_SUSPENDS static enum weir_err open_slowly(const struct weir_transport_to *to, void **ret_conn)
{
    (void)to;
    (void)ret_conn;
    return co_wait(WEIR_NEVER);
}

STAGE_TEST(opening_fails_and_ends_in_time)
{
    struct weir_byte_transport slow = toy_sockets;
    struct custom_transport custom = {.bytes = &toy_sockets}, waits = {.bytes = &slow};
    slow.open = open_slowly;
    toy = (struct toy){.refusal = WEIR_E_REFUSED};
    stream = NULL;
    CHECK_ERR(WEIR_E_REFUSED,
              custom_stream_open(&stage.streams.custom, &custom, "x", in_ms(5000), &stream));
    CHECK_ERR(WEIR_E_TIMEOUT,
              custom_stream_open(&stage.streams.custom, &waits, "x", in_ms(10), &stream));
    toy.refusal = WEIR_E_PEER_DRAINED; /* the pool's word, and not a transport's */
    CHECK_ERR(WEIR_E_IO,
              custom_stream_open(&stage.streams.custom, &custom, "x", in_ms(5000), &stream));
    CHECK(!stream);
    CHECK_OK(co_sleep(weir_span_ms(1))); /* and is not canceled any more */
}

static void forget_a_stream(void)
{
    struct custom_streams streams = {.count = 1};
    custom_streams_fini(&streams);
}

TEST(a_stream_that_was_not_closed_is_found)
{
    CHECK(aborts(forget_a_stream));
}

/* --- Of a session transport ------------------------------------------------------------------ */

static bool lives;

static bool toy_alive(void *conn)
{
    CHECK(conn == &toy);
    return lives;
}

static void toy_session_close(void *conn)
{
    toy_close(conn, false);
}

static const struct weir_session_transport toy_sessions = {
    .name = "toysessions",
    .owner = &toy,
    .open = toy_open,
    .alive = toy_alive,
    .descriptor = toy_descriptor,
    .close = toy_session_close,
};

STAGE_EACH(a_connection_of_sessions_is_looked_at_and_watched)
{
    struct custom_transport custom = {.sessions = &toy_sessions};
    toy = (struct toy){.refusal = WEIR_OK};
    lives = true;
    watched = 0;
    closes = false;
    stream = NULL;
    if (!CHECK_OK(custom_stream_open(&stage.streams.custom, &custom, "x", in_ms(5000), &stream)))
        return;
    CHECK(custom_stream_conn(stream) == &toy);
    CHECK(!stream_can_move(stream));
    check_look(STREAM_QUIET);
    stream_watch(stream, on_watch, &watched);
    stage_turns();
    CHECK_EQ(0, watched);
    weir_wire_ready(toy.wire);
    STAGE_UNTIL(watched == 1);
    lives = false;
    write_theirs("x");
    STAGE_UNTIL(watched > 1);
    check_look(STREAM_ENDED);
    CHECK(stream_peer_ended(stream));
    finish();
}

static bool was_ready;

static void on_ready(struct poller *poller, bool readable, bool writable)
{
    (void)writable;
    was_ready = readable;
    poller_stop(poller);
}

/* As weir_wait_fd() does it, while it carries an exchange. */
STAGE_EACH(a_session_s_transport_polls_its_descriptor_itself)
{
    struct custom_transport custom = {.sessions = &toy_sessions};
    struct poller poller;
    toy = (struct toy){.refusal = WEIR_OK};
    lives = true;
    closes = was_ready = false;
    watched = 0;
    stream = NULL;
    if (!CHECK_OK(custom_stream_open(&stage.streams.custom, &custom, "x", in_ms(5000), &stream)))
        return;
    for (int i = 0; i < 2; i++) {
        stream_watch(stream, on_watch, &watched);
        stage_turns();
        stream_watch(stream, NULL, NULL);
        CHECK_OK(poller_start(&stage.loop, &poller, toy.ours, true, false, on_ready));
        write_theirs("x");
        STAGE_UNTIL(was_ready);
        CHECK_EQ(1, read(toy.ours, &(char){0}, 1));
        CHECK_EQ(0, watched);
        was_ready = false;
    }
    finish();
}

CHECK_MAIN
