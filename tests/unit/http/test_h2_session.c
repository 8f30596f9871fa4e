/* SPDX-License-Identifier: MIT */
#include "http/h2_session.h"

#include "tests/unit/http/h2_end.h"

static void open_both(void)
{
    end_open(&end, end_serving());
    end_open(&peer, end_asking());
    end_talk();
}

static void close_both(void)
{
    end_close(&peer);
    end_close(&end);
}

/* --- The first words ------------------------------------------------------------------------- */

static int64_t setting(const struct end_frame *settings, unsigned id)
{
    for (unsigned at = 0; at < settings->length; at += 6)
        if (end_number(settings->payload + at, 2) == id)
            return end_number(settings->payload + at + 2, 4);
    return -1;
}

TEST(a_server_says_what_it_takes)
{
    stage_open();
    end_open(&end, end_serving());
    end_send(&end, NULL);
    const struct end_frame *settings = end_sent(&end, NGHTTP2_SETTINGS, 0);
    if (CHECK(settings)) {
        CHECK_EQ(128, setting(settings, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
        CHECK_EQ(65535, setting(settings, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE));
        CHECK_EQ(32768, setting(settings, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE));
        CHECK_EQ(1, setting(settings, NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES));
    }
    CHECK_EQ(H2_CONNECTION_WINDOW - 65535, end_granted(&end, 0));
    end_close(&end);
    stage_close();
}

static const struct {
    uint32_t max_streams, stream_window, connection_window, first;
} first_windows[] = {
    {100, 8 << 20, 8 << 20, (8 << 20) / 100}, /* its share of the connection's, ... */
    {1000, 8 << 20, 8 << 20, 65535},          /* ... but not less than it would be unsaid, ... */
    {100, 1000, 8 << 20, 1000},               /* ... and not more than it may be */
    {1, 8 << 20, 8 << 20, 8 << 20},
    {0, 8 << 20, 8 << 20, 8 << 20},
    {100, 65535, 65535, 65535},
    {UINT32_MAX, INT32_MAX, INT32_MAX, 65535},
    {1, INT32_MAX, INT32_MAX, INT32_MAX},
};

TEST(a_client_says_what_it_takes)
{
    stage_open();
    for (size_t i = 0; i < COUNT_OF(first_windows); i++) {
        struct h2_session_options options = {.side = H2_CLIENT,
                                             .max_streams = first_windows[i].max_streams,
                                             .stream_window = first_windows[i].stream_window,
                                             .connection_window =
                                                 first_windows[i].connection_window};
        end_open(&end, options);
        end_send(&end, NULL);
        const struct end_frame *settings = end_sent(&end, NGHTTP2_SETTINGS, 0);
        if (CHECK(settings)) {
            CHECK_EQ(first_windows[i].first,
                     setting(settings, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE));
            CHECK_EQ(0, setting(settings, NGHTTP2_SETTINGS_ENABLE_PUSH));
            CHECK_EQ(-1, setting(settings, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
        }
        CHECK_EQ(options.connection_window - 65535, end_granted(&end, 0));
        CHECK(!end.session.peer_is_set);
        end_feed_hello(&end);
        CHECK(end.session.peer_is_set);
        end_close(&end);
    }
    stage_close();
}

TEST(what_is_no_preface_ends_it)
{
    stage_open();
    end_open(&end, end_serving());
    h2_session_feed(&end.session, SLICE("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    CHECK_ERR(WEIR_E_REQUEST_MALFORMED, end.session.end);
    CHECK(end_was_told(NGHTTP2_PROTOCOL_ERROR));
    end_close(&end);
    stage_close();
}

TEST(the_peer_says_how_many_streams)
{
    stage_open();
    end_open_client();
    CHECK_EQ(UINT32_MAX, h2_session_streams_allowed(&end.session));
    end_feed(&end, NGHTTP2_SETTINGS, 0, 0, SLICE("\0\3\0\0\0\5"));
    CHECK_EQ(5, h2_session_streams_allowed(&end.session));
    end_close(&end);
    stage_close();
}

/* --- Requests -------------------------------------------------------------------------------- */

TEST(a_request_that_is_refused_is_told_so)
{
    stage_open();
    end_open_server();
    end.refuses = true;
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 1, END_GET);
    end.refuses = false;
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 3, END_GET);
    end_send(&end, NULL);
    CHECK_EQ(NGHTTP2_REFUSED_STREAM, end_reset_code(&end, 1));
    CHECK_EQ(-1, end_reset_code(&end, 3));
    CHECK_EQ(1, end.user_count);
    end_close(&end);
    stage_close();
}

TEST(a_head_that_is_too_large_can_be_answered)
{
    stage_open();
    end_open_server();
    end_feed_long_head(1, H2_HEAD_BYTES - 400, 1);
    end_feed_long_head(3, H2_HEAD_BYTES, 1);
    end_feed_long_head(5, H2_HEAD_BYTES / 2, 3);
    if (CHECK_EQ(3, end.user_count)) {
        CHECK_OK(end.users[0].err);
        CHECK_ERR(WEIR_E_REQUEST_HEAD_LENGTH, end.users[1].err);
        CHECK_ERR(WEIR_E_REQUEST_HEAD_LENGTH, end.users[2].err);
        end_answer(&end.users[2], true);
    }
    end_send(&end, NULL);
    CHECK_EQ(1, end_count_sent(&end, NGHTTP2_HEADERS));
    CHECK(!end.session.end);
    end_close(&end);
    stage_close();
}

/* What is wrong with one request is no flood, however much comes on other streams. */
TEST(a_malformed_head_ends_its_stream_alone)
{
    stage_open();
    end_open_server();
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, END_POST);
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 3, SLICE("\x82\x87\x84\x41\x01h\x00\x01X\x01y"));
    end_send(&end, NULL);
    CHECK_EQ(NGHTTP2_PROTOCOL_ERROR, end_reset_code(&end, 3));
    for (unsigned i = 0; i < 20; i++) {
        struct http_piece piece;
        end_feed_body(&end, 1, 10000, false);
        CHECK_OK(h2_stream_piece_now(&end.users[0].stream, &piece));
        CHECK_EQ(10000, piece.bytes);
        end_send(&end, NULL);
    }
    CHECK(!end.session.end);
    end_close(&end);
    stage_close();
}

/* RFC 9113 section 8.1.1 */
TEST(a_body_that_is_not_as_long_as_it_says_ends_its_stream)
{
    stage_open();
    end_open_server();
    for (int32_t id = 1; id < 5; id += 2)
        end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, END_POST_5);
    end_feed_body(&end, 1, 6, false);
    end_feed_body(&end, 3, 4, true);
    end_send(&end, NULL);
    CHECK_EQ(NGHTTP2_PROTOCOL_ERROR, end_reset_code(&end, 1));
    CHECK_EQ(NGHTTP2_PROTOCOL_ERROR, end_reset_code(&end, 3));
    for (unsigned i = 0; i < 2; i++)
        CHECK(end.users[i].stream.closed && end.users[i].stream.err);
    CHECK(!end.session.end);
    end_close(&end);
    stage_close();
}

/* --- The connection's window ----------------------------------------------------------------- */

TEST(a_stream_that_nobody_reads_does_not_hold_up_the_others)
{
    stage_open();
    end_open_server();
    for (int32_t id = 1; id <= 3; id += 2)
        end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, END_POST);
    end_feed_body(&end, 1, 65535, false);
    for (unsigned i = 0; i < 100; i++) {
        struct http_piece piece;
        end_feed_body(&end, 3, 32768, false);
        CHECK_OK(h2_stream_piece_now(&end.users[1].stream, &piece));
        CHECK_OK(h2_stream_piece_now(&end.users[1].stream, &piece));
        end_send(&end, NULL);
    }
    CHECK(!end.session.end);
    CHECK_EQ(65535, end.session.held_bytes);
    CHECK_EQ(0, end.session.owed_bytes);
    CHECK_EQ(0, end_granted(&end, 1));
    CHECK(end_granted(&end, 0) > 99 * 32768 - H2_CONNECTION_WINDOW);
    end_close(&end);
    stage_close();
}

/* All streams of a client's connection together hold so much, and the rest waits with the client.
 */
TEST(a_client_whose_streams_nobody_reads_must_wait)
{
    enum { WINDOW = 65535 };
    size_t given = 0;
    stage_open();
    end_open_server();
    for (int32_t id = 1; given + WINDOW <= H2_CONNECTION_WINDOW + end_granted(&end, 0); id += 2) {
        given += WINDOW;
        end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, END_POST);
        end_feed_body(&end, id, WINDOW, false);
        end_send(&end, NULL);
    }
    CHECK(!end.session.end);
    CHECK_EQ(given, end.session.held_bytes);
    uint64_t granted = H2_CONNECTION_WINDOW + end_granted(&end, 0);
    CHECK(granted >= H2_CONNECTION_WINDOW * 3 / 2 && granted <= 2 * H2_CONNECTION_WINDOW);
    /* What is taken, or is of no use any more, comes back. */
    end_forget(&end);
    for (unsigned i = 0; i < end.user_count; i++)
        h2_stream_end(&end.users[i].stream, NGHTTP2_CANCEL);
    end_send(&end, NULL);
    CHECK_EQ(0, end.session.held_bytes);
    CHECK_EQ(0, end.session.owed_bytes);
    CHECK(end_granted(&end, 0) >= H2_CONNECTION_WINDOW / 2);
    end_close(&end);
    stage_close();
}

TEST(more_than_the_connections_window_ends_it)
{
    stage_open();
    end_open_server();
    for (int32_t id = 1; id < 200 && !end.session.end; id += 2) {
        end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, END_POST);
        end_feed_body(&end, id, 65535, false);
    }
    CHECK(end_was_told(NGHTTP2_FLOW_CONTROL_ERROR));
    CHECK(end.session.held_bytes <= 2 * H2_CONNECTION_WINDOW);
    end_close(&end);
    stage_close();
}

/* --- What is written down -------------------------------------------------------------------- */

TEST(no_more_is_written_down_than_the_buffers_hold)
{
    static char value[20000];
    nghttp2_nv lines[] = {END_LINE(":status", "200"), END_LINE("x", "")};
    memset(value, 'v', sizeof value);
    lines[1].value = (uint8_t *)value;
    lines[1].valuelen = sizeof value;
    stage_open();
    end_open_server();
    for (int32_t id = 1; id < 20; id += 2) {
        end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, id, END_GET);
        CHECK_OK(h2_stream_response(&end.users[id / 2].stream, &(struct h2_lines){lines, 2}, true));
        h2_session_has_output(&end.session);
    }
    CHECK_EQ(H2_OUT_BUFS, end.session.out_count);
    CHECK_EQ(H2_OUT_BUFS, stat_read(&stage.loop.bufs.used_count));
    CHECK(!end.users[9].stream.sent);
    end_send(&end, NULL);
    CHECK_EQ(10, end_count_sent(&end, NGHTTP2_HEADERS));
    CHECK_EQ(10, end_count_sent(&end, NGHTTP2_CONTINUATION));
    CHECK(end.users[9].stream.sent);
    CHECK(!h2_session_is_over(&end.session));
    end_close(&end);
    stage_close();
}

/* --- The end --------------------------------------------------------------------------------- */

TEST(the_end_is_announced_and_then_said)
{
    int64_t last;
    stage_open();
    end_open_server();
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 1, END_GET);
    h2_session_announce_end(&end.session);
    end_send(&end, NULL);
    CHECK_EQ(NGHTTP2_NO_ERROR, end_goaway_code(&end, &last));
    CHECK_EQ(INT32_MAX, last);
    const struct end_frame *ping = end_sent(&end, NGHTTP2_PING, 0);
    CHECK(ping && !(ping->flags & NGHTTP2_FLAG_ACK));
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 3, END_GET); /* was on its way */
    end_feed(&end, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, SLICE("\0\0\0\0\0\0\0\0"));
    CHECK_EQ(1, end.session.pings_answered);
    CHECK_EQ(2, end.user_count);
    end_forget(&end);
    h2_session_refuse_more(&end.session);
    end_send(&end, NULL);
    CHECK_EQ(NGHTTP2_NO_ERROR, end_goaway_code(&end, &last));
    CHECK_EQ(3, last);
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 5, END_GET);
    CHECK_EQ(2, end.user_count);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(!h2_session_is_over(&end.session));
        end_answer(&end.users[i], true);
        end_send(&end, NULL);
        h2_stream_end(&end.users[i].stream, NGHTTP2_NO_ERROR);
    }
    CHECK(h2_session_is_over(&end.session));
    end_close(&end);
    stage_close();
}

TEST(one_that_is_ended_says_why_and_hears_no_more)
{
    stage_open();
    end_open_server();
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 1, END_GET);
    h2_session_terminate(&end.session, NGHTTP2_NO_ERROR);
    end_send(&end, NULL);
    int64_t last;
    CHECK_EQ(NGHTTP2_NO_ERROR, end_goaway_code(&end, &last));
    CHECK_EQ(1, last);
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 3, END_GET);
    CHECK_EQ(1, end.user_count);
    CHECK(end.session.end && end.users[0].stream.closed);
    CHECK(h2_session_is_over(&end.session));
    end_close(&end);
    stage_close();
}

TEST(when_the_connection_breaks_all_streams_have_ended)
{
    struct http_piece piece;
    stage_open();
    end_open_server();
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, END_POST);
    end_feed_body(&end, 1, 5, false);
    h2_session_ended(&end.session, WEIR_E_RESET);
    CHECK(h2_session_is_over(&end.session));
    CHECK_ERR(WEIR_E_RESET, h2_stream_response(&end.users[0].stream, &end_response, true));
    CHECK_OK(h2_stream_piece_now(&end.users[0].stream, &piece)); /* this much had come */
    CHECK_EQ(5, piece.bytes);
    CHECK_ERR(WEIR_E_RESET, h2_stream_piece_now(&end.users[0].stream, &piece));
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 3, END_GET);
    CHECK_EQ(1, end.user_count);
    end_close(&end);
    stage_close();
}

/* Its user may be gone, with the head that it had submitted, when there is room for it. */
TEST(a_stream_of_a_session_that_is_over_is_forgotten_when_it_ends)
{
    static char text[] = "of the user";
    nghttp2_nv lines[] = {END_LINE(":status", "200"), END_LINE("x", "")};
    lines[1].value = (uint8_t *)text;
    lines[1].valuelen = sizeof text - 1;
    lines[1].flags = NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    stage_open();
    end_open_server();
    end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 1, END_GET);
    CHECK_OK(h2_stream_response(&end.users[0].stream, &(struct h2_lines){lines, 2}, false));
    h2_session_gave_up(&end.session); /* and has not said so: memory is out, say */
    CHECK(end.session.end && end.users[0].stream.closed);
    end.session.packing = true; /* as if there were no room */
    h2_stream_end(&end.users[0].stream, NGHTTP2_INTERNAL_ERROR);
    end.session.packing = false;
    CHECK(!nghttp2_session_get_stream_user_data(end.session.ng, 1));
    memset(text, '!', sizeof text);
    end_send(&end, NULL);
    CHECK_EQ(0, end_count_sent(&end, NGHTTP2_HEADERS));
    end_close(&end);
    stage_close();
}

/* nghttp2 finds it wrong, and has us say so; nothing more needs to come for it to be over. */
TEST(a_server_that_speaks_something_else_is_given_up)
{
    stage_open();
    end_open(&end, end_asking());
    struct end_user *user = end_ask(&end, true);
    end_send(&end, NULL);
    h2_session_feed(&end.session, SLICE("HTTP/1.1 400 Bad Request\r\n\r\n"));
    CHECK(end_was_told(NGHTTP2_PROTOCOL_ERROR));
    CHECK_ERR(WEIR_E_RESPONSE_MALFORMED, end.session.end);
    CHECK(user->stream.closed);
    CHECK_ERR(WEIR_E_RESPONSE_MALFORMED, user->stream.err);
    end_close(&end);
    stage_close();
}

/* --- A server's word on streams -------------------------------------------------------------- */

TEST(streams_above_the_last_one_are_refused)
{
    stage_open();
    end_open_client();
    for (unsigned i = 0; i < 3; i++)
        end_ask(&end, true);
    end_send(&end, NULL);
    end_feed(&end, NGHTTP2_GOAWAY, 0, 0, SLICE("\0\0\0\3\0\0\0\0"));
    CHECK(end.session.goaway && !end.session.end);
    CHECK(!end.users[0].stream.closed && !end.users[1].stream.closed);
    CHECK(end.users[2].stream.closed);
    CHECK_ERR(WEIR_E_STREAM_REFUSED, end.users[2].stream.err);
    struct end_user *late = end_new_user(&end);
    CHECK_ERR(WEIR_E_STREAM_REFUSED,
              h2_stream_request(&late->stream, &end.session, &end_request, true));
    for (int32_t id = 1; id <= 3; id += 2)
        end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, id, END_OK);
    CHECK(end.users[1].stream.closed && end.users[1].stream.received);
    CHECK_OK(end.users[1].stream.err);
    CHECK_ERR(WEIR_E_EOF, end.session.end);
    CHECK(h2_session_is_over(&end.session));
    end_close(&end);
    stage_close();
}

/* The request has not gone when the server says that it takes none. */
TEST(a_request_that_was_not_written_down_is_refused)
{
    stage_open();
    end_open_client();
    struct end_user *waits = end_ask(&end, true);
    end_feed(&end, NGHTTP2_GOAWAY, 0, 0, SLICE("\0\0\0\0\0\0\0\0"));
    end_send(&end, NULL);
    CHECK_EQ(0, end_count_sent(&end, NGHTTP2_HEADERS));
    CHECK(waits->stream.closed);
    CHECK_ERR(WEIR_E_STREAM_REFUSED, waits->stream.err);
    end_close(&end);
    stage_close();
}

static const struct {
    uint32_t code;
    enum weir_err err;
} codes[] = {
    {NGHTTP2_NO_ERROR, WEIR_OK},
    {NGHTTP2_REFUSED_STREAM, WEIR_E_STREAM_REFUSED},
    {NGHTTP2_HTTP_1_1_REQUIRED, WEIR_E_HTTP_1_1_REQUIRED},
    {NGHTTP2_PROTOCOL_ERROR, WEIR_E_STREAM_RESET},
    {NGHTTP2_INTERNAL_ERROR, WEIR_E_STREAM_RESET},
    {NGHTTP2_CANCEL, WEIR_E_STREAM_RESET},
    {NGHTTP2_ENHANCE_YOUR_CALM, WEIR_E_STREAM_RESET},
    {0xffffffff, WEIR_E_STREAM_RESET},
};

TEST(what_a_reset_means)
{
    stage_open();
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        const char code[] = {(char)(codes[i].code >> 24), (char)(codes[i].code >> 16),
                             (char)(codes[i].code >> 8), (char)codes[i].code};
        end_open_client();
        struct end_user *user = end_ask(&end, true);
        end_send(&end, NULL);
        end_feed(&end, NGHTTP2_RST_STREAM, 0, 1, slice_of(code, sizeof code));
        CHECK(user->stream.closed && !user->stream.received);
        CHECK_EQ(codes[i].code, user->stream.code);
        CHECK_ERR(codes[i].err, user->stream.err);
        CHECK(!end.session.end);
        end_close(&end);
    }
    stage_close();
}

TEST(two_sessions_understand_each_other)
{
    stage_open();
    open_both();
    for (unsigned i = 0; i < 50; i++) {
        struct end_user *asks = end_ask(&peer, true);
        end_talk();
        struct end_user *answers = &end.users[end.user_count - 1];
        if (!CHECK(answers->asked))
            break;
        CHECK_SLICE(answers->stream.request->path, "/");
        end_answer(answers, true);
        end_talk();
        CHECK(asks->stream.received && asks->stream.closed && answers->stream.closed);
        CHECK_OK(asks->stream.err);
        CHECK_EQ(200, asks->stream.responses->response.status);
        h2_stream_end(&asks->stream, NGHTTP2_NO_ERROR);
        h2_stream_end(&answers->stream, NGHTTP2_NO_ERROR);
    }
    h2_session_refuse_more(&end.session);
    end_talk();
    CHECK(h2_session_is_over(&end.session) && h2_session_is_over(&peer.session));
    close_both();
    stage_close();
}

CHECK_MAIN
