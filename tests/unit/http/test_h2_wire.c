/* SPDX-License-Identifier: MIT */
#include "http/h2_wire.h"

#include "tests/unit/http/h2_end.h"

enum { CAPACITY = 64 * 1024, NARROW = 100 };

/* A wire, its owner, and what its users do. */
struct site {
    struct h2_wire *wire;
    struct scope scope;
    unsigned changes; /* how often it was told */
    bool closes;      /* when it is over */
    struct end_user users[8];
    unsigned user_count;
};

static struct site client, server;

static struct end_user *new_user(struct site *site)
{
    must(site->user_count < COUNT_OF(site->users));
    struct end_user *user = &site->users[site->user_count++];
    *user = (struct end_user){0};
    arena_init(&user->arena, &stage.loop.arenas, END_ARENA_BYTES);
    h2_stream_init(&user->stream, &user->arena);
    return user;
}

static struct h2_stream *on_begin(void *owner)
{
    return &new_user(owner)->stream;
}

static void on_changed(void *owner)
{
    struct site *site = owner;
    site->changes++;
    if (site->closes && h2_wire_is_over(site->wire))
        h2_wire_close(&site->wire, WEIR_E_EOF, false);
}

static const struct h2_events events = {.begin = on_begin, .request = end_on_request};

static struct h2_wire_options options_of(struct site *site, struct h2_session_options session)
{
    session.loop = &stage.loop;
    session.owner = site;
    session.events = &events;
    return (struct h2_wire_options){.session = session,
                                    .scope = &site->scope,
                                    .write_timeout = weir_span_s(5),
                                    .changed = on_changed};
}

static void open_site(struct site *site, struct h2_session_options session, struct stream **stream,
                      struct weir_span write_timeout)
{
    struct iobuf *none = NULL;
    *site = (struct site){0};
    scope_init(&site->scope);
    struct h2_wire_options options = options_of(site, session);
    options.write_timeout = write_timeout;
    CHECK_OK(h2_wire_open(stream, &none, &options, &site->wire));
    CHECK(!*stream);
}

/* Between two streams. */
static void open_both(size_t capacity)
{
    struct stream *near, *far;
    must(stream_pair(&stage.loop, capacity, &near, &far) == WEIR_OK);
    open_site(&server, end_serving(), &near, weir_span_s(5));
    open_site(&client, end_asking(), &far, weir_span_s(5));
}

/* A server alone, and the other end of its stream. */
static struct stream *open_server(size_t capacity, struct weir_span write_timeout)
{
    struct stream *near, *far;
    must(stream_pair(&stage.loop, capacity, &near, &far) == WEIR_OK);
    open_site(&server, end_serving(), &near, write_timeout);
    return far;
}

WEIR_SUSPENDS static void close_site(struct site *site)
{
    for (unsigned i = 0; i < site->user_count; i++)
        h2_stream_end(&site->users[i].stream, NGHTTP2_CANCEL);
    h2_wire_close(&site->wire, WEIR_E_EOF, false);
    CHECK(!site->wire);
    CHECK_OK(scope_join(&site->scope));
    for (unsigned i = 0; i < site->user_count; i++)
        arena_fini(&site->users[i].arena);
}

WEIR_SUSPENDS static void close_both(void)
{
    close_site(&client);
    close_site(&server);
}

WEIR_SUSPENDS static void send_text(struct stream *stream, struct weir_slice text)
{
    CHECK_OK(stream_send(stream, &text, 1, in_ms(5000), NULL));
}

/* Reads what a stream brings until its end, and gives the last GOAWAY's code; -1: none. */
WEIR_SUSPENDS static int64_t read_to_end(struct stream *stream)
{
    int64_t last;
    struct iobuf *buf;
    end.sent_bytes = end.preface_bytes = 0;
    end_forget(&end);
    while (stream_recv(stream, in_ms(5000), &buf) == WEIR_OK) {
        struct weir_slice bytes = iobuf_slice(buf);
        memcpy(end.sent + end.sent_bytes, bytes.at, bytes.len);
        end.sent_bytes += bytes.len;
        iobuf_give(&stage.loop.bufs, &buf);
    }
    end_note_frames(&end);
    return end_goaway_code(&end, &last);
}

static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
#define HELLO slice_of(hello, sizeof hello)

/* GET / on stream 1, as frames. */
static struct weir_slice get_frame(void)
{
    static char frame[END_FRAME_HEAD + 16];
    return slice_of(frame, end_write_frame(frame, NGHTTP2_HEADERS, END_WHOLE, 1, END_GET));
}

/* --- Talking --------------------------------------------------------------------------------- */

STAGE_TEST(a_request_and_its_response)
{
    static struct end_sender sender;
    const struct http_response *response;
    struct http_piece piece;
    size_t bytes = 0;
    open_both(CAPACITY);
    STAGE_UNTIL(client.wire->session.peer_is_set && server.wire->session.peer_is_set);
    struct h2_stream *asks = &new_user(&client)->stream;
    CHECK_OK(h2_stream_request(asks, &client.wire->session, &end_request, true));
    CHECK_OK(h2_stream_flush(asks, in_ms(5000)));
    STAGE_UNTIL(server.users[0].asked);
    end_answer(&server.users[0], false);
    end_spawn(&sender, &server.users[0].stream, sizeof end_body, true);
    CHECK_OK(h2_stream_recv_head(asks, in_ms(5000), &response));
    CHECK_EQ(200, response->status);
    do {
        CHECK_OK(h2_stream_recv_piece(asks, in_ms(5000), &piece));
        bytes += piece.bytes;
    } while (!piece.last && piece.bytes > 0);
    CHECK_EQ(sizeof end_body, bytes);
    STAGE_UNTIL(!sender.co);
    CHECK_OK(sender.err);
    CHECK(client.changes > 0 && server.changes > 0);
    /* At rest there is neither coroutine nor buffer. */
    h2_stream_end(asks, NGHTTP2_NO_ERROR);
    h2_stream_end(&server.users[0].stream, NGHTTP2_NO_ERROR);
    h2_wire_rest(client.wire);
    h2_wire_rest(server.wire);
    STAGE_UNTIL(!client.wire->writing && !server.wire->writing);
    CHECK(scope_is_empty(&client.scope) && scope_is_empty(&server.scope));
    close_both();
}

/* However little the stream takes at once. */
STAGE_TEST(a_narrow_stream_is_enough)
{
    static struct end_sender sender;
    struct http_piece piece;
    size_t bytes = 0;
    open_both(NARROW);
    struct h2_stream *asks = &new_user(&client)->stream;
    CHECK_OK(h2_stream_request(asks, &client.wire->session, &end_request, true));
    CHECK_OK(h2_stream_flush(asks, in_ms(5000)));
    STAGE_UNTIL(server.users[0].asked);
    end_answer(&server.users[0], false);
    end_spawn(&sender, &server.users[0].stream, 20000, true);
    do {
        CHECK_OK(h2_stream_recv_piece(asks, in_ms(5000), &piece));
        bytes += piece.bytes;
    } while (!piece.last && piece.bytes > 0);
    CHECK_EQ(20000, bytes);
    close_both();
}

/* A listener has read the preface, and what came with it. */
STAGE_TEST(what_had_come_is_taken)
{
    struct stream *near, *far;
    struct iobuf *buf = iobuf_take(&stage.loop.bufs);
    struct weir_slice get = get_frame();
    must(stream_pair(&stage.loop, CAPACITY, &near, &far) == WEIR_OK);
    memcpy(buf->bytes, HELLO.at, HELLO.len);
    memcpy(buf->bytes + HELLO.len, get.at, get.len - 1);
    buf->end = (uint32_t)(HELLO.len + get.len - 1);
    send_text(far, slice_skip(get, get.len - 1)); /* this came before there was a watch */
    server = (struct site){0};
    scope_init(&server.scope);
    struct h2_wire_options options = options_of(&server, end_serving());
    CHECK_OK(h2_wire_open(&near, &buf, &options, &server.wire));
    CHECK(!buf && server.changes == 0);
    STAGE_UNTIL(server.user_count == 1 && server.users[0].asked);
    close_site(&server);
    stream_close(&far, false);
}

STAGE_TEST(draining_waits_until_all_is_sent)
{
    struct stream *far = open_server(CAPACITY, weir_span_s(5));
    CHECK(server.wire->writing);
    CHECK_OK(h2_wire_drain(server.wire));
    CHECK(!server.wire->writing && !server.wire->session.out);
    CHECK_OK(h2_wire_drain(server.wire));
    close_site(&server);
    stream_close(&far, false);
}

/* --- The end comes from outside -------------------------------------------------------------- */

/* What it had said before counts, although who writes may be the first to notice. */
STAGE_TEST(the_peers_end_ends_it)
{
    struct stream *far = open_server(CAPACITY, weir_span_s(5));
    send_text(far, HELLO);
    send_text(far, get_frame());
    stream_close(&far, false);
    STAGE_UNTIL(server.wire->session.failed);
    CHECK_ERR(WEIR_E_EOF, server.wire->session.end);
    CHECK(server.user_count == 1 && server.users[0].stream.closed);
    CHECK(h2_wire_is_over(server.wire));
    close_site(&server);
}

STAGE_TEST(a_reset_ends_it)
{
    struct stream *far = open_server(CAPACITY, weir_span_s(5));
    send_text(far, HELLO);
    stage_turns();
    stream_close(&far, true);
    STAGE_UNTIL(server.wire->session.failed);
    CHECK_ERR(WEIR_E_RESET, server.wire->session.end);
    close_site(&server);
}

STAGE_TEST(who_does_not_read_runs_out_of_time)
{
    struct stream *far = open_server(10, weir_span_ms(20));
    STAGE_UNTIL(h2_wire_is_over(server.wire));
    CHECK(server.wire->session.failed);
    CHECK_ERR(WEIR_E_TIMEOUT, server.wire->session.end);
    CHECK(server.changes > 0);
    close_site(&server);
    stream_close(&far, false);
    CHECK_EQ(0, stat_read(&stage.loop.bufs.used_count));
}

/* Its owner may need a while to close it. */
STAGE_TEST(one_that_has_failed_is_not_looked_at_again_and_again)
{
    struct stream *far = open_server(10, weir_span_ms(20));
    STAGE_UNTIL(server.wire->session.failed);
    unsigned changes = server.changes;
    send_text(far, slice_of(HELLO.at, 5));
    for (unsigned i = 0; i < 10; i++)
        stage_turns();
    CHECK(server.changes <= changes + 2);
    close_site(&server);
    stream_close(&far, false);
}

STAGE_TEST(one_that_is_over_is_told_and_may_be_closed_there)
{
    struct stream *far = open_server(CAPACITY, weir_span_s(5));
    send_text(far, SLICE("GET / HTTP/1.1\r\n\r\n          "));
    server.closes = true;
    STAGE_UNTIL(!server.wire);
    CHECK_EQ(NGHTTP2_PROTOCOL_ERROR, read_to_end(far));
    close_site(&server);
    stream_close(&far, false);
}

STAGE_TEST(the_last_words_are_told_before_it_is_over)
{
    struct stream *far = open_server(CAPACITY, weir_span_s(5));
    send_text(far, HELLO);
    STAGE_UNTIL(server.wire->session.peer_is_set);
    h2_session_terminate(&server.wire->session, NGHTTP2_NO_ERROR);
    unsigned changes = server.changes;
    CHECK(!h2_wire_is_over(server.wire));
    STAGE_UNTIL(h2_wire_is_over(server.wire) && server.changes > changes);
    struct stream *near = h2_wire_release(&server.wire);
    CHECK(near && !server.wire);
    stream_close(&near, false);
    CHECK_EQ(NGHTTP2_NO_ERROR, read_to_end(far));
    close_site(&server);
    stream_close(&far, false);
}

/* --- Closing --------------------------------------------------------------------------------- */

STAGE_TEST(closing_says_good_bye)
{
    struct stream *far = open_server(CAPACITY, weir_span_s(5));
    CHECK_OK(h2_wire_drain(server.wire));
    h2_wire_close(&server.wire, WEIR_E_EOF, false);
    CHECK(read_to_end(far) >= 0);
    close_site(&server);
    stream_close(&far, false);
}

STAGE_TEST(closing_with_a_reset_says_nothing)
{
    struct stream *far = open_server(CAPACITY, weir_span_s(5));
    struct iobuf *buf = NULL;
    CHECK_OK(h2_wire_drain(server.wire));
    h2_wire_close(&server.wire, WEIR_E_EOF, true);
    CHECK_EQ(STREAM_BROKEN, stream_look(far, LOOK_WELL, &buf));
    close_site(&server);
    stream_close(&far, false);
}

/* Its coroutine was spawned, and has not run. */
STAGE_TEST(closing_before_the_writer_has_begun)
{
    struct stream *far = open_server(CAPACITY, weir_span_s(5));
    CHECK(server.wire->writing && !server.wire->writer);
    h2_wire_close(&server.wire, WEIR_E_EOF, false);
    CHECK_OK(scope_join(&server.scope));
    CHECK_EQ(0, stat_read(&stage.loop.bufs.used_count));
    stream_close(&far, false);
}

STAGE_TEST(closing_while_the_writer_sends)
{
    struct stream *far = open_server(10, weir_span_s(5));
    send_text(far, slice_of(HELLO.at, 10));
    STAGE_UNTIL(server.wire->writer);
    CHECK(server.wire->writing);
    h2_session_terminate(&server.wire->session, NGHTTP2_NO_ERROR);
    h2_wire_close(&server.wire, WEIR_E_EOF, false);
    CHECK(!server.wire && !scope_is_empty(&server.scope));
    CHECK_OK(scope_join(&server.scope));
    stream_close(&far, false);
    CHECK_EQ(0, stat_read(&stage.loop.bufs.used_count));
}

/* Who serves has a stream of it still, and comes to its end after the wire. */
STAGE_TEST(streams_outlive_their_wire)
{
    static struct end_sender sender;
    struct stream *far = open_server(CAPACITY, weir_span_s(5));
    send_text(far, HELLO);
    send_text(far, get_frame());
    STAGE_UNTIL(server.user_count == 1 && server.users[0].asked);
    end_answer(&server.users[0], false);
    end_spawn(&sender, &server.users[0].stream, sizeof end_body, true);
    stage_turns();
    CHECK(sender.co);
    h2_wire_close(&server.wire, WEIR_E_RESET, true);
    STAGE_UNTIL(!sender.co);
    CHECK_ERR(WEIR_E_RESET, sender.err);
    close_site(&server);
    stream_close(&far, false);
}

/* --- Elsewhere ------------------------------------------------------------------------------- */

STAGE_TEST(one_that_was_let_go_goes_on_over_another_stream)
{
    struct stream *near, *far = open_server(CAPACITY, weir_span_s(5)), *far_then = far;
    send_text(far, HELLO);
    STAGE_UNTIL(server.wire->session.peer_is_set);
    CHECK_OK(h2_wire_drain(server.wire));
    struct stream *left = server.wire->stream;
    h2_wire_let_go(server.wire);
    stream_close(&left, false);
    /* What comes on the way is fed, and answered there. */
    h2_session_feed(&server.wire->session, SLICE("\0\0\x08\6\0\0\0\0\0theping!"));
    must(stream_pair(&stage.loop, CAPACITY, &near, &far) == WEIR_OK);
    send_text(far, get_frame());
    h2_wire_resume(server.wire, near, &server.scope, &server);
    STAGE_UNTIL(server.user_count == 1 && server.users[0].asked);
    close_site(&server);
    read_to_end(far);
    const struct end_frame *ping = end_sent(&end, NGHTTP2_PING, 0);
    CHECK(ping && memcmp(ping->payload, "theping!", 8) == 0);
    stream_close(&far, false);
    stream_close(&far_then, false);
}

STAGE_TEST(one_that_was_let_go_can_be_dropped)
{
    struct stream *far = open_server(CAPACITY, weir_span_s(5));
    CHECK_OK(h2_wire_drain(server.wire));
    struct stream *left = server.wire->stream;
    h2_wire_let_go(server.wire);
    h2_wire_drop(&server.wire);
    h2_wire_drop(&server.wire);
    stream_close(&left, false);
    stream_close(&far, false);
}

CHECK_MAIN
