/* SPDX-License-Identifier: MIT */
#include "http/h2_stream.h"

#include "tests/unit/http/h2_end.h"

/* Both ends, with so much room for what the server's client sends, or the client's server. */
static void open_both(struct h2_session_options server, struct h2_session_options client)
{
    end_open(&end, server);
    end_open(&peer, client);
    end_talk();
}

static void close_both(void)
{
    end_close(&peer);
    end_close(&end);
}

/* A request that both know. */
static void ask(bool ends)
{
    end_ask(&peer, ends);
    end_talk();
    must(end.user_count == peer.user_count);
}

static void open_server(void)
{
    end_open(&end, end_serving());
    end_feed_hello(&end);
    end_feed(&end, NGHTTP2_WINDOW_UPDATE, 0, 0, SLICE("\0\x10\0\0"));
    end_send(&end, NULL);
    end_forget(&end);
}

/* One stream fills all buffers to the last byte; the other ends with nothing but a frame's head. */
STAGE_TEST(an_end_without_bytes_waits_for_room_too)
{
    static struct end_sender long_one, short_one;
    open_server();
    for (int32_t id = 1; id <= 3; id += 2) {
        end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, id, END_GET);
        end_feed(&end, NGHTTP2_WINDOW_UPDATE, 0, id, SLICE("\0\x10\0\0"));
        end_answer(&end.users[id / 2], false);
    }
    end_send(&end, NULL);
    end_spawn(&long_one, &end.users[1].stream, sizeof end_body, true);
    STAGE_UNTIL(end.session.out_count == H2_OUT_BUFS);
    end_spawn(&short_one, &end.users[0].stream, 0, true);
    stage_turns();
    CHECK(long_one.co && short_one.co);
    while ((long_one.co || short_one.co) && stage_breathe())
        end_send(&end, NULL);
    CHECK_OK(long_one.err);
    CHECK_OK(short_one.err);
    CHECK_EQ(sizeof end_body, end.body_bytes);
    end_close(&end);
}

/* --- Heads ----------------------------------------------------------------------------------- */

STAGE_TEST(interim_heads_come_before_the_final_one)
{
    const struct http_response *response;
    open_both(end_serving(), end_asking());
    ask(true);
    for (unsigned i = 0; i < 2; i++)
        CHECK_OK(h2_stream_interim(&end.users[0].stream, &end_interim));
    end_answer(&end.users[0], true);
    end_talk();
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(h2_stream_recv_head(&peer.users[0].stream, in_ms(5000), &response));
        CHECK_EQ(103, response->status);
        CHECK(fields_find_name(&response->fields, SLICE("link")));
    }
    CHECK_OK(h2_stream_recv_head(&peer.users[0].stream, in_ms(5000), &response));
    CHECK_EQ(200, response->status);
    CHECK(peer.users[0].stream.received && end.users[0].stream.sent);
    CHECK_ERR(WEIR_E_STREAM_RESET,
              h2_stream_recv_head(&peer.users[0].stream, in_ms(5000), &response));
    close_both();
}

STAGE_TEST(interim_heads_without_end_are_not_listened_to)
{
    open_both(end_serving(), end_asking());
    ask(true);
    for (unsigned i = 0; i < 17; i++) {
        CHECK(!peer.users[0].stream.closed);
        CHECK_OK(h2_stream_interim(&end.users[0].stream, &end_interim));
        end_talk();
    }
    CHECK_EQ(NGHTTP2_ENHANCE_YOUR_CALM, end_reset_code(&peer, 1));
    CHECK(peer.users[0].stream.closed && !peer.session.end);
    close_both();
}

struct waiting {
    struct h2_stream *stream;
    const struct http_response *response;
    struct http_piece piece;
    enum weir_err err;
    bool over;
};

WEIR_SUSPENDS static void wait_head(void *argument)
{
    struct waiting *waiting = argument;
    waiting->err = h2_stream_recv_head(waiting->stream, in_ms(5000), &waiting->response);
    waiting->over = true;
}

WEIR_SUSPENDS static void wait_piece(void *argument)
{
    struct waiting *waiting = argument;
    waiting->err = h2_stream_recv_piece(waiting->stream, in_ms(5000), &waiting->piece);
    waiting->over = true;
}

static struct waiting waiting;

static void start(co_fn *fn, struct end_user *user)
{
    waiting = (struct waiting){.stream = &user->stream};
    CHECK_OK(co_spawn(&stage.loop.sched, NULL, "waits", fn, &waiting, NULL));
}

STAGE_TEST(a_head_is_waited_for)
{
    const struct http_response *response;
    open_both(end_serving(), end_asking());
    ask(true);
    CHECK_ERR(WEIR_E_TIMEOUT, h2_stream_recv_head(&peer.users[0].stream, in_ms(5), &response));
    start(wait_head, &peer.users[0]);
    stage_turns();
    CHECK(!waiting.over);
    end_answer(&end.users[0], false);
    end_talk();
    STAGE_UNTIL(waiting.over);
    CHECK_OK(waiting.err);
    CHECK_EQ(200, waiting.response->status);
    close_both();
}

static const struct {
    const char *name;
    uint8_t type;
    struct weir_slice payload;
    enum weir_err err;
} ends_of_waiting[] = {
    {"reset", NGHTTP2_RST_STREAM, SLICE("\0\0\0\2"), WEIR_E_STREAM_RESET},
    {"refused", NGHTTP2_RST_STREAM, SLICE("\0\0\0\7"), WEIR_E_STREAM_REFUSED},
    {"wants HTTP/1.1", NGHTTP2_RST_STREAM, SLICE("\0\0\0\x0d"), WEIR_E_HTTP_1_1_REQUIRED},
    {"no error", NGHTTP2_RST_STREAM, SLICE("\0\0\0\0"), WEIR_E_STREAM_RESET},
    {"GOAWAY", NGHTTP2_GOAWAY, SLICE("\0\0\0\0\0\0\0\0"), WEIR_E_STREAM_REFUSED},
    {"no status", NGHTTP2_HEADERS, SLICE("\x00\x01x\x01y"), WEIR_E_RESPONSE_MALFORMED},
    {"not ours", NGHTTP2_HEADERS,
     SLICE("\x08\x03"
           "700"),
     WEIR_E_RESPONSE_MALFORMED},
};

STAGE_TEST(what_ends_the_wait_for_a_head)
{
    for (size_t i = 0; i < COUNT_OF(ends_of_waiting); i++) {
        bool is_head = ends_of_waiting[i].type == NGHTTP2_HEADERS;
        end_open(&end, end_asking());
        end_feed_hello(&end);
        struct end_user *user = end_ask(&end, true);
        end_send(&end, NULL);
        start(wait_head, user);
        stage_turns();
        end_feed(&end, ends_of_waiting[i].type, is_head ? END_WHOLE : 0,
                 ends_of_waiting[i].type == NGHTTP2_GOAWAY ? 0 : 1, ends_of_waiting[i].payload);
        end_send(&end, NULL);
        STAGE_UNTIL(waiting.over);
        if (!CHECK_ERR(ends_of_waiting[i].err, waiting.err))
            printf("# %s\n", ends_of_waiting[i].name);
        end_close(&end);
    }
}

/* --- Bodies that come ------------------------------------------------------------------------ */

STAGE_TEST(a_body_and_its_trailers_arrive)
{
    static struct end_sender sender;
    struct fields trailers;
    struct http_piece piece;
    fields_init(&trailers);
    must(fields_add(&trailers, SLICE("x-sum"), SLICE("of it")));
    must(fields_add(&trailers, SLICE("host"), SLICE("other"))); /* must not be one */
    open_both(end_serving(), end_asking());
    ask(false);
    memset(end_body, 'b', sizeof end_body);
    end_spawn(&sender, &peer.users[0].stream, 5000, true);
    sender.piece.trailers = &trailers;
    stage_turns();
    end_talk();
    CHECK_OK(sender.err);
    CHECK_OK(h2_stream_recv_piece(&end.users[0].stream, in_ms(5000), &piece));
    CHECK_EQ(5000, piece.bytes);
    CHECK_EQ(1, piece.count);
    CHECK(piece.last && memcmp(piece.slices[0].at, end_body, 5000) == 0);
    if (CHECK(piece.trailers)) {
        CHECK(fields_find_name(piece.trailers, SLICE("x-sum")));
        CHECK(!fields_find_name(piece.trailers, SLICE("host")));
    }
    CHECK_EQ(5000, end.session.held_bytes);
    CHECK_OK(h2_stream_recv_piece(&end.users[0].stream, in_ms(5000), &piece));
    CHECK(piece.last && piece.count == 0 && piece.trailers);
    CHECK_EQ(0, end.session.held_bytes);
    CHECK_EQ(0, stat_read(&stage.loop.bufs.used_count));
    close_both();
}

STAGE_TEST(an_end_alone_is_a_last_piece)
{
    struct http_piece piece;
    open_server();
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, END_POST);
    CHECK_OK(h2_stream_piece_now(&end.users[0].stream, &piece));
    CHECK(piece.count == 0 && !piece.last);
    start(wait_piece, &end.users[0]);
    stage_turns();
    CHECK(!waiting.over);
    end_feed_body(&end, 1, 0, true);
    STAGE_UNTIL(waiting.over);
    CHECK_OK(waiting.err);
    CHECK(waiting.piece.last && waiting.piece.count == 0 && !waiting.piece.trailers);
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 3, END_GET); /* it comes with the head */
    CHECK_OK(h2_stream_piece_now(&end.users[1].stream, &piece));
    CHECK(piece.last && piece.count == 0);
    end_close(&end);
}

STAGE_TEST(padding_is_nobodys)
{
    struct http_piece piece;
    open_server();
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, END_POST);
    end_feed(&end, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_PADDED, 1,
             SLICE("\4abc\0\0\0\0"));
    CHECK_OK(h2_stream_piece_now(&end.users[0].stream, &piece));
    CHECK_EQ(3, piece.bytes);
    CHECK(piece.last);
    end_close(&end);
}

/* A piece has room for so many slices. */
STAGE_TEST(much_is_read_in_pieces)
{
    enum { BYTES = 600000 };
    struct http_piece piece;
    struct h2_session_options options = end_asking();
    options.max_streams = 1;
    end_open(&end, options);
    end_feed_hello(&end);
    end_send(&end, NULL);
    end_feed(&end, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, SLICE(""));
    struct h2_stream *stream = &end_ask(&end, true)->stream;
    end_send(&end, NULL);
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, END_OK);
    end_feed_body(&end, 1, BYTES, true);
    CHECK_OK(h2_stream_piece_now(stream, &piece));
    CHECK_EQ(PIECE_SLICES, piece.count);
    CHECK_EQ(PIECE_SLICES * IOBUF_BYTES, piece.bytes);
    CHECK(!piece.last);
    CHECK_OK(h2_stream_piece_now(stream, &piece));
    CHECK_EQ(BYTES - PIECE_SLICES * IOBUF_BYTES, piece.bytes);
    CHECK(piece.last);
    end_close(&end);
}

/* --- Windows --------------------------------------------------------------------------------- */

/* How far a window has come when its reader takes all that comes, in so many bytes. */
static uint32_t window_after(struct h2_session_options options, size_t bytes, size_t step)
{
    struct http_piece piece;
    end_open(&end, options);
    end_feed_hello(&end);
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, END_POST);
    CHECK_EQ(65535, end.users[0].stream.window);
    for (size_t at = 0; at < bytes; at += step) {
        end_feed_body(&end, 1, step, false);
        CHECK_OK(h2_stream_piece_now(&end.users[0].stream, &piece));
        CHECK_EQ(step, piece.bytes);
        CHECK_OK(h2_stream_piece_now(&end.users[0].stream, &piece));
        end_send(&end, NULL);
    }
    CHECK(!end.session.end);
    uint32_t window = end.users[0].stream.window;
    CHECK_EQ(window - 65535, end.session.grown_bytes);
    CHECK_EQ(window,
             (uint32_t)nghttp2_session_get_stream_effective_local_window_size(end.session.ng, 1));
    end_close(&end);
    return window;
}

STAGE_TEST(a_window_grows_while_its_reader_keeps_up)
{
    struct h2_session_options options = end_serving();
    CHECK_EQ(65535, window_after(options, 60000, 10000));
    CHECK_EQ(2 * 65535, window_after(options, 70000, 10000));
    CHECK_EQ(4 * 65535, window_after(options, 210000, 10000));
    CHECK_EQ(H2_CONNECTION_WINDOW, window_after(options, 4 << 20, 32768));
    options.stream_window = 100000;
    CHECK_EQ(100000, window_after(options, 4 << 20, 32768));
    options.stream_window = 65535;
    CHECK_EQ(65535, window_after(options, 4 << 20, 32768));
}

STAGE_TEST(a_window_does_not_grow_for_a_slow_reader)
{
    struct http_piece piece;
    open_server();
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, END_POST);
    end_feed_body(&end, 1, 16384, false);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_OK(h2_stream_piece_now(&end.users[0].stream, &piece));
        end_feed_body(&end, 1, 16384, false); /* the next is always there before */
        end_send(&end, NULL);
    }
    CHECK_EQ(65535, end.users[0].stream.window);
    CHECK(!end.session.end);
    end_close(&end);
}

/* All windows of a connection together grow by no more than one connection's. */
STAGE_TEST(what_windows_grow_by_is_shared)
{
    struct http_piece piece;
    open_server();
    for (int32_t id = 1; id <= 7; id += 2) {
        struct h2_stream *stream = &end.users[id / 2].stream;
        end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, END_POST);
        for (unsigned i = 0; i < 100; i++) {
            end_feed_body(&end, id, 32768, false);
            CHECK_OK(h2_stream_piece_now(stream, &piece));
            CHECK_OK(h2_stream_piece_now(stream, &piece));
            end_send(&end, NULL);
            end_forget(&end);
        }
        CHECK(end.session.grown_bytes <= H2_CONNECTION_WINDOW);
    }
    CHECK(end.users[0].stream.window > 8 * end.users[3].stream.window);
    h2_stream_end(&end.users[0].stream, NGHTTP2_CANCEL); /* its part is free again */
    CHECK(end.session.grown_bytes < H2_CONNECTION_WINDOW / 2);
    end_close(&end);
}

/* --- Bodies that go -------------------------------------------------------------------------- */

/* More than the buffers hold, in several slices, arrives as it was. */
STAGE_TEST(a_long_piece_is_sent_as_room_comes)
{
    static struct end_sender sender;
    static char got[sizeof end_body];
    struct http_piece piece;
    size_t at = 0;
    struct h2_session_options client = end_asking();
    for (size_t i = 0; i < sizeof end_body; i++)
        end_body[i] = (char)(i * 7 % 251);
    client.max_streams = 1; /* so that its window is wide enough */
    open_both(end_serving(), client);
    ask(true);
    end_answer(&end.users[0], false);
    end_spawn(&sender, &end.users[0].stream, sizeof end_body, true);
    sender.piece.count = 0;
    for (size_t from = 0, len = 1; from < sizeof end_body; from += len, len = len * 3 + 1) {
        if (len > sizeof end_body - from)
            len = sizeof end_body - from;
        sender.piece.slices[sender.piece.count++] = slice_of(end_body + from, len);
    }
    STAGE_UNTIL(end.session.out_count == H2_OUT_BUFS);
    CHECK(sender.co);
    while (at < sizeof got && stage_breathe()) {
        end_talk();
        CHECK_OK(h2_stream_piece_now(&peer.users[0].stream, &piece));
        for (unsigned i = 0; i < piece.count; i++) {
            memcpy(got + at, piece.slices[i].at, piece.slices[i].len);
            at += piece.slices[i].len;
        }
    }
    CHECK(memcmp(got, end_body, sizeof got) == 0);
    STAGE_UNTIL(!sender.co);
    CHECK_OK(sender.err);
    CHECK(end.users[0].stream.sent && piece.last);
    CHECK_EQ(sizeof end_body, end.users[0].stream.sent_bytes);
    close_both();
}

STAGE_TEST(a_piece_waits_for_the_window)
{
    static struct end_sender sender;
    end_open(&end, end_serving());
    end_feed_hello(&end);
    end_feed(&end, NGHTTP2_SETTINGS, 0, 0, SLICE("\0\4\0\0\0\x0a"));
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 1, END_GET);
    end_answer(&end.users[0], false);
    end_spawn(&sender, &end.users[0].stream, 25, false);
    stage_turns();
    end_send(&end, NULL);
    CHECK_EQ(10, end.body_bytes);
    end_feed(&end, NGHTTP2_WINDOW_UPDATE, 0, 1, SLICE("\0\0\0\5"));
    end_send(&end, NULL);
    CHECK_EQ(15, end.body_bytes);
    stage_turns();
    CHECK(sender.co);
    end_feed(&end, NGHTTP2_SETTINGS, 0, 0, SLICE("\0\4\0\0\0\x14"));
    end_send(&end, NULL);
    STAGE_UNTIL(!sender.co);
    CHECK_OK(sender.err);
    CHECK_EQ(25, end.body_bytes);
    end_close(&end);
}

/* What ends a piece that waits for a window, and how. */
enum piece_end { BY_RESET, BY_SESSION, BY_CANCEL, BY_TIME, PIECE_ENDS };

static const enum weir_err piece_errors[PIECE_ENDS] = {WEIR_E_STREAM_RESET, WEIR_E_RESET,
                                                       WEIR_E_CANCELED, WEIR_E_TIMEOUT};

STAGE_TEST(what_ends_a_piece_that_waits)
{
    static struct end_sender sender;
    for (int how = 0; how < PIECE_ENDS; how++) {
        open_server();
        end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 1, END_GET);
        end_answer(&end.users[0], false);
        if (how == BY_TIME) {
            sender.piece.slices[0] = slice_of(end_body, 70000);
            sender.piece.count = 1;
            sender.piece.bytes = 70000;
            sender.err = h2_stream_send_piece(&end.users[0].stream, &sender.piece, in_ms(5));
        } else {
            end_spawn(&sender, &end.users[0].stream, 70000, true);
            stage_turns();
        }
        if (how == BY_RESET)
            end_feed(&end, NGHTTP2_RST_STREAM, 0, 1, SLICE("\0\0\0\x08"));
        else if (how == BY_SESSION)
            h2_session_ended(&end.session, WEIR_E_RESET);
        else if (how == BY_CANCEL)
            co_cancel(sender.co);
        STAGE_UNTIL(!sender.co);
        CHECK_ERR(piece_errors[how], sender.err);
        CHECK(!end.users[0].stream.piece);
        h2_stream_end(&end.users[0].stream, NGHTTP2_INTERNAL_ERROR);
        end_send(&end, NULL);
        CHECK_EQ(how >= BY_CANCEL ? NGHTTP2_INTERNAL_ERROR : -1, end_reset_code(&end, 1));
        end_close(&end);
    }
}

/* --- The end --------------------------------------------------------------------------------- */

STAGE_TEST(a_response_before_the_whole_request)
{
    struct http_piece piece;
    const struct http_response *response;
    open_both(end_serving(), end_asking());
    ask(false);
    end_answer(&end.users[0], true);
    end_talk();
    CHECK(!end.users[0].stream.closed);
    h2_stream_end(&end.users[0].stream, NGHTTP2_NO_ERROR);
    end_talk();
    CHECK_EQ(NGHTTP2_NO_ERROR, end_reset_code(&end, 1));
    CHECK(peer.users[0].stream.closed);
    CHECK_OK(peer.users[0].stream.err);
    CHECK_OK(h2_stream_recv_head(&peer.users[0].stream, in_ms(5000), &response));
    CHECK_OK(h2_stream_recv_piece(&peer.users[0].stream, in_ms(5000), &piece));
    CHECK(piece.last);
    close_both();
}

STAGE_TEST(what_comes_for_a_stream_that_was_ended_gives_credit_back)
{
    open_server();
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, END_POST);
    end_feed_body(&end, 1, 30000, false);
    h2_stream_end(&end.users[0].stream, NGHTTP2_CANCEL);
    CHECK_EQ(0, stat_read(&stage.loop.bufs.used_count) - end.session.out_count);
    for (unsigned i = 0; i < 100; i++) {
        end_feed_body(&end, 1, 16384, false); /* was on its way */
        end_send(&end, NULL);
    }
    CHECK(!end.session.end);
    CHECK(end_granted(&end, 0) >= 100 * 16384 + 30000 - H2_CONNECTION_WINDOW);
    CHECK_EQ(1, end_count_sent(&end, NGHTTP2_RST_STREAM));
    end_close(&end);
}

STAGE_TEST(a_session_that_ends_leaves_its_streams_to_their_users)
{
    struct http_piece piece;
    end_open(&end, end_serving());
    end_feed_hello(&end);
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, END_POST);
    end_feed_body(&end, 1, 9, false);
    struct h2_stream *stream = &end.users[0].stream;
    CHECK_OK(h2_stream_piece_now(stream, &piece));
    h2_session_fini(&end.session, WEIR_E_RESET);
    CHECK(stream->closed && !stream->session);
    CHECK_ERR(WEIR_E_RESET, stream->err);
    CHECK_ERR(WEIR_E_RESET, h2_stream_response(stream, &end_response, true));
    CHECK_ERR(WEIR_E_RESET, h2_stream_interim(stream, &end_interim));
    CHECK_ERR(WEIR_E_RESET, h2_stream_piece_now(stream, &piece));
    h2_stream_end(stream, NGHTTP2_CANCEL);
    h2_stream_end(stream, NGHTTP2_CANCEL);
    arena_fini(&end.users[0].arena);
}

WEIR_SUSPENDS static void sleep_long(void *argument)
{
    enum weir_err *err = argument;
    *err = co_sleep(weir_span_s(100));
}

/* Who works for nobody any more is told, wherever he waits. */
STAGE_TEST(who_serves_a_stream_is_canceled_when_it_ends_early)
{
    static enum weir_err errs[2];
    struct co *victims[2];
    open_server();
    for (int32_t id = 1; id <= 3; id += 2) {
        end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, id, END_GET);
        CHECK_OK(co_spawn(&stage.loop.sched, NULL, "victim", sleep_long, &errs[id / 2],
                          &victims[id / 2]));
        end.users[id / 2].stream.victim = victims[id / 2];
    }
    stage_turns();
    end_answer(&end.users[1], true); /* has done all it can */
    end_send(&end, NULL);
    h2_session_ended(&end.session, WEIR_E_EOF);
    stage_turns();
    CHECK_ERR(WEIR_E_CANCELED, errs[0]);
    CHECK_OK(errs[1]);
    co_cancel(victims[1]);
    stage_turns();
    end_close(&end);
}

CHECK_MAIN
