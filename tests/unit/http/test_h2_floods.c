/* SPDX-License-Identifier: MIT */
/* What a peer may not send, or not so much of (h2_session.c, h2_frames.c, h2_guard.c). */
#include "http/h2_session.h"

#include "tests/unit/http/h2_end.h"

/* --- Streams that are over (RFC 9113 section 5.1) -------------------------------------------- */

static const struct {
    const char *name;
    uint8_t type, flags;
    int32_t id;
    uint32_t code; /* that ends the connection; 0: it goes on */
} late_frames[] = {
    {"DATA after the end", NGHTTP2_DATA, 0, 3, NGHTTP2_STREAM_CLOSED},
    {"a head after the end", NGHTTP2_HEADERS, END_WHOLE, 3, NGHTTP2_STREAM_CLOSED},
    {"WINDOW_UPDATE after the end", NGHTTP2_WINDOW_UPDATE, 0, 3, 0},
    {"a head on a stream that was passed over", NGHTTP2_HEADERS, END_WHOLE, 1,
     NGHTTP2_PROTOCOL_ERROR},
    {"DATA on a stream that was not begun", NGHTTP2_DATA, 0, 7, NGHTTP2_PROTOCOL_ERROR},
    {"RST_STREAM on a stream that was not begun", NGHTTP2_RST_STREAM, 0, 7, NGHTTP2_PROTOCOL_ERROR},
    {"a head on a server's stream", NGHTTP2_HEADERS, END_WHOLE, 2, NGHTTP2_PROTOCOL_ERROR},
    {"a priority of the connection", NGHTTP2_PRIORITY, 0, 0, NGHTTP2_PROTOCOL_ERROR},
};

TEST(frames_on_streams_that_are_over)
{
    stage_open();
    for (size_t i = 0; i < COUNT_OF(late_frames); i++) {
        struct weir_slice payload = SLICE("\0\0\0\1");
        if (late_frames[i].type == NGHTTP2_HEADERS)
            payload = END_GET;
        else if (late_frames[i].type == NGHTTP2_PRIORITY)
            payload = SLICE("\0\0\0\1\x10");
        end_open_server();
        end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, 3, END_GET);
        end_feed(&end, late_frames[i].type, late_frames[i].flags, late_frames[i].id, payload);
        if (late_frames[i].code ? !end_was_told(late_frames[i].code) : !CHECK(!end.session.end))
            printf("# %s\n", late_frames[i].name);
        end_close(&end);
    }
    stage_close();
}

/* --- Floods ---------------------------------------------------------------------------------- */

static const uint32_t bursts[H2_FLOOD_COUNT] = {
#define X(NAME, name, burst, per_second, text) burst,
#include "http/h2_flood.def"
#undef X
};

static const struct {
    enum h2_flood flood;
    uint8_t type;
    int32_t id;
    struct weir_slice payload;
    unsigned before; /* so many came with the hello */
} floods[] = {
    {H2_FLOOD_SETTINGS, NGHTTP2_SETTINGS, 0, SLICE(""), 1},
    {H2_FLOOD_PING, NGHTTP2_PING, 0, SLICE("\0\0\0\0\0\0\0\0"), 0},
    {H2_FLOOD_PRIORITY, NGHTTP2_PRIORITY, 3, SLICE("\0\0\0\0\0"), 0},
    {H2_FLOOD_PRIORITY, NGHTTP2_PRIORITY_UPDATE, 0, SLICE("\0\0\0\1u=1"), 0},
    {H2_FLOOD_WINDOW_UPDATE, NGHTTP2_WINDOW_UPDATE, 0, SLICE("\0\0\0\1"), 0},
    {H2_FLOOD_WINDOW_UPDATE, NGHTTP2_WINDOW_UPDATE, 1, SLICE("\0\0\0\1"), 0},
    {H2_FLOOD_EMPTY_FRAMES, NGHTTP2_DATA, 1, SLICE(""), 0},
    {H2_FLOOD_UNKNOWN, 77, 0, SLICE("what"), 0},
};

static void flood(size_t i, unsigned count)
{
    while (count-- > 0) {
        end_feed(&end, floods[i].type, 0, floods[i].id, floods[i].payload);
        end_send(&end, NULL);
        end_forget(&end);
    }
}

TEST(each_flood_ends_at_its_burst)
{
    stage_open();
    for (size_t i = 0; i < COUNT_OF(floods); i++) {
        end_open_server();
        end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, END_POST);
        flood(i, bursts[floods[i].flood] - floods[i].before);
        CHECK(!end.session.end && end.session.flood == H2_FLOOD_COUNT);
        end_feed(&end, floods[i].type, 0, floods[i].id, floods[i].payload);
        if (!CHECK_EQ(floods[i].flood, end.session.flood))
            printf("# %s\n", h2_flood_name(floods[i].flood));
        CHECK(end.users[0].stream.closed);
        CHECK(end_was_told(NGHTTP2_ENHANCE_YOUR_CALM));
        end_close(&end);
    }
    stage_close();
}

/* In one piece, the same. */
TEST(a_flood_that_comes_at_once_ends_at_its_burst)
{
    static char pings[17 * 200];
    size_t length = 0;
    stage_open();
    while (length < sizeof pings)
        length += end_write_frame(pings + length, NGHTTP2_PING, 0, 0, slice_of("12345678", 8));
    end_open_server();
    h2_session_feed(&end.session, slice_of(pings, length));
    CHECK_EQ(H2_FLOOD_PING, end.session.flood);
    CHECK(end_was_told(NGHTTP2_ENHANCE_YOUR_CALM));
    CHECK(end_count_sent(&end, NGHTTP2_PING) <= bursts[H2_FLOOD_PING]);
    end_close(&end);
    stage_close();
}

TEST(a_server_may_not_flood_either)
{
    stage_open();
    end_open_client();
    flood(1, bursts[H2_FLOOD_PING]);
    CHECK(!end.session.end);
    flood(1, 1);
    CHECK_EQ(H2_FLOOD_PING, end.session.flood);
    CHECK_ERR(WEIR_E_RESPONSE_MALFORMED, end.session.end);
    end_close(&end);
    stage_close();
}

TEST(answers_are_no_flood)
{
    stage_open();
    end_open_server();
    for (unsigned i = 0; i < 1000; i++)
        end_feed(&end, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, SLICE("\0\0\0\0\0\0\0\0"));
    CHECK(!end.session.end);
    CHECK_EQ(1000, end.session.pings_answered);
    end_close(&end);
    stage_close();
}

TEST(time_lets_more_pass)
{
    stage_open();
    end_open_server();
    flood(1, bursts[H2_FLOOD_PING]);
    stage.loop.sched.now = weir_time_after(stage.loop.sched.now, weir_span_s(1));
    flood(1, 10);
    CHECK(!end.session.end);
    flood(1, 1);
    CHECK_EQ(H2_FLOOD_PING, end.session.flood);
    end_close(&end);
    stage_close();
}

/* A request, and its end at once (CVE-2023-44487); or one that has the server reset it. */
static void rapid_reset(int32_t id, bool by_us)
{
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, END_POST_5);
    if (by_us)
        end_feed_body(&end, id, 6, false);
    else
        end_feed(&end, NGHTTP2_RST_STREAM, 0, id, SLICE("\0\0\0\x08"));
    end_send(&end, NULL);
    end_forget(&end);
}

static void check_rapid_reset(bool by_us)
{
    int32_t id = 1;
    stage_open();
    end_open_server();
    for (unsigned i = 0; i < bursts[H2_FLOOD_RAPID_RESET]; i++, id += 2)
        rapid_reset(id, by_us);
    CHECK(!end.session.end && end.session.flood == H2_FLOOD_COUNT);
    rapid_reset(id, by_us);
    CHECK_EQ(H2_FLOOD_RAPID_RESET, end.session.flood);
    end_feed(&end, NGHTTP2_PING, 0, 0, SLICE("\0\0\0\0\0\0\0\0"));
    CHECK(end.session.end);
    end_close(&end);
    stage_close();
}

TEST(rapid_resets_end_it)
{
    check_rapid_reset(false);
}

/* The streams end while something is written down, which must not begin anew in the middle. */
TEST(rapid_resets_that_we_are_made_to_do_end_it)
{
    check_rapid_reset(true);
}

TEST(a_head_without_an_end_is_a_flood)
{
    stage_open();
    end_open_server();
    end_feed_long_head(1, H2_HEAD_BYTES, 2);
    CHECK_EQ(H2_FLOOD_CONTINUATION, end.session.flood);
    CHECK(end_was_told(NGHTTP2_ENHANCE_YOUR_CALM));
    end_close(&end);
    end_open_server();
    end_feed(&end, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, END_GET);
    for (unsigned i = 0; i < 40 && !end.session.end; i++)
        end_feed(&end, NGHTTP2_CONTINUATION, 0, 1, SLICE(""));
    CHECK_EQ(H2_FLOOD_CONTINUATION, end.session.flood);
    CHECK(end_was_told(NGHTTP2_ENHANCE_YOUR_CALM));
    end_close(&end);
    stage_close();
}

CHECK_MAIN
