/* SPDX-License-Identifier: MIT */
#include "http/h1_out.h"

#include "tests/unit/base/aborts.h"
#include "tests/unit/http/stage.h"

enum { WRITTEN_SIZE = 64 * 1024 };

/* A stream that writes down what is sent, and breaks where it is told to. */
struct recorder {
    struct stream stream;
    char written[WRITTEN_SIZE];
    size_t bytes;
    size_t breaks_after; /* takes so many bytes and then answers `err` */
    enum weir_err err;
    unsigned sends, shuts;
};

static struct recorder recorder;
static struct h1_out out;

static enum weir_err recorder_send(struct stream *stream, const struct weir_slice *slices,
                                   unsigned count, struct weir_time deadline, size_t *ret_sent)
{
    (void)deadline;
    must(stream == &recorder.stream && count > 0 && count <= SEND_SLICES_MAX);
    size_t before = recorder.bytes;
    recorder.sends++;
    for (unsigned i = 0; i < count; i++)
        for (size_t at = 0; at < slices[i].len; at++) {
            if (recorder.bytes == recorder.breaks_after) {
                *ret_sent = recorder.bytes - before;
                return recorder.err;
            }
            recorder.written[recorder.bytes++] = slices[i].at[at];
        }
    *ret_sent = recorder.bytes - before;
    return WEIR_OK;
}

static void recorder_shut(struct stream *stream, struct weir_time deadline)
{
    (void)deadline;
    must(stream == &recorder.stream);
    recorder.shuts++;
}

static const struct stream_ops recorder_ops = {
    .name = "recorder",
    .send = recorder_send,
    .shut = recorder_shut,
};

static void open_out(void)
{
    stage_open();
    memset(&recorder, 0, sizeof recorder);
    recorder.stream = (struct stream){.ops = &recorder_ops, .loop = &stage.loop};
    recorder.breaks_after = WRITTEN_SIZE;
    h1_out_init(&out, &recorder.stream);
}

static void close_out(void)
{
    h1_out_fini(&out);
    stage_close();
}

static bool wrote(const char *text)
{
    return CHECK_SLICE(slice_of(recorder.written, recorder.bytes), text);
}

static void forget_written(void)
{
    recorder.bytes = 0;
    recorder.sends = 0;
}

static struct http_response response;

/* A head with nothing but its status line. */
static enum weir_err start(uint16_t status, enum http_body body, uint64_t length)
{
    struct http_framing framing = {.body = body, .length = length};
    response = (struct http_response){.status = status, .minor = 1, .reason = SLICE("R")};
    fields_init(&response.fields);
    return h1_out_response(&out, &response, &framing);
}

static struct http_piece piece_of(const char *text, bool last)
{
    struct http_piece piece = {.last = last, .bytes = strlen(text)};
    if (piece.bytes > 0)
        piece.slices[piece.count++] = slice_str(text);
    return piece;
}

static enum weir_err put(const char *text, bool last)
{
    struct http_piece piece = piece_of(text, last);
    return h1_out_piece(&out, &piece, WEIR_NEVER);
}

#define HEAD_200 "HTTP/1.1 200 R\r\n\r\n"

TEST(a_head_waits_until_it_is_flushed)
{
    open_out();
    CHECK(h1_out_done(&out));
    CHECK_OK(start(200, BODY_NONE, 0));
    CHECK_EQ(0, recorder.sends);
    CHECK(!h1_out_done(&out) && !out.touched);
    CHECK_OK(h1_out_flush(&out, WEIR_NEVER));
    wrote(HEAD_200);
    CHECK(h1_out_done(&out) && out.touched);
    CHECK_EQ(strlen(HEAD_200), out.sent_bytes);
    CHECK_OK(h1_out_flush(&out, WEIR_NEVER));
    CHECK_EQ(1, recorder.sends);
    close_out();
}

TEST(a_request_is_written_too)
{
    struct http_framing framing = {.body = BODY_NONE};
    static struct http_request request;
    request = (struct http_request){.method_text = SLICE("GET"), .path = SLICE("/x?y")};
    fields_init(&request.fields);
    fields_add_known(&request.fields, FIELD_HOST, SLICE("h"));
    open_out();
    CHECK_OK(h1_out_request(&out, &request, &framing));
    CHECK_OK(h1_out_flush(&out, WEIR_NEVER));
    wrote("GET /x?y HTTP/1.1\r\nHost: h\r\n\r\n");
    close_out();
}

TEST(a_small_message_is_one_send)
{
    open_out();
    CHECK_OK(start(200, BODY_LENGTH, 5));
    CHECK_OK(put("hello", true));
    wrote(HEAD_200 "hello");
    CHECK_EQ(1, recorder.sends);
    CHECK(h1_out_done(&out));
    forget_written();
    CHECK_OK(start(200, BODY_CHUNKED, 0));
    CHECK_OK(put("hello", true));
    wrote(HEAD_200 "5\r\nhello\r\n0\r\n\r\n");
    CHECK_EQ(1, recorder.sends);
    CHECK(h1_out_done(&out));
    close_out();
}

TEST(interim_and_final_head_go_together)
{
    open_out();
    CHECK_OK(start(100, BODY_NONE, 0));
    CHECK_OK(start(200, BODY_LENGTH, 1));
    CHECK_OK(put("x", true));
    wrote("HTTP/1.1 100 R\r\n\r\n" HEAD_200 "x");
    CHECK_EQ(1, recorder.sends);
    close_out();
}

TEST(a_body_of_known_length_is_done_with_its_last_byte)
{
    open_out();
    CHECK_OK(start(200, BODY_LENGTH, 5));
    CHECK_OK(h1_out_flush(&out, WEIR_NEVER));
    CHECK(!h1_out_done(&out));
    CHECK_OK(put("he", false));
    CHECK(!h1_out_done(&out));
    CHECK_OK(put("llo", false));
    CHECK_OK(put("", true));
    CHECK(h1_out_done(&out));
    wrote(HEAD_200 "hello");
    CHECK_EQ(strlen(HEAD_200) + 5, out.sent_bytes);
    close_out();
}

TEST(a_body_that_stays_short_is_not_done)
{
    open_out();
    CHECK_OK(start(200, BODY_LENGTH, 5));
    CHECK_OK(put("hell", true));
    CHECK(!h1_out_done(&out));
    close_out();
}

static void send_too_much(void)
{
    open_out();
    (void)!start(200, BODY_LENGTH, 5);
    (void)!put("hello!", true);
}

static void send_without_a_body(void)
{
    open_out();
    (void)!start(200, BODY_NONE, 0);
    (void)!put("x", true);
}

TEST(more_than_was_announced_is_our_own_mistake)
{
    CHECK(aborts(send_too_much));
    CHECK(aborts(send_without_a_body));
}

TEST(a_body_of_no_bytes_is_done_with_its_head)
{
    open_out();
    CHECK_OK(start(200, BODY_LENGTH, 0));
    CHECK_OK(h1_out_flush(&out, WEIR_NEVER));
    CHECK(h1_out_done(&out));
    close_out();
}

TEST(chunks_are_framed_one_by_one)
{
    struct http_piece piece = {
        .slices = {SLICE("abcdefgh"), SLICE("ijklmnop"), SLICE("q")}, .count = 3, .bytes = 17};
    open_out();
    CHECK_OK(start(200, BODY_CHUNKED, 0));
    CHECK_OK(h1_out_flush(&out, WEIR_NEVER));
    forget_written();
    CHECK_OK(put("abc", false));
    CHECK_OK(h1_out_piece(&out, &piece, WEIR_NEVER));
    CHECK_OK(put("", false)); /* no bytes, no chunk: an empty one would be the last */
    CHECK(!h1_out_done(&out));
    CHECK_OK(put("", true));
    wrote("3\r\nabc\r\n11\r\nabcdefghijklmnopq\r\n0\r\n\r\n");
    CHECK_EQ(3, recorder.sends);
    CHECK(h1_out_done(&out));
    close_out();
}

TEST(the_fullest_piece_is_one_send)
{
    struct http_piece piece = {.last = true};
    for (; piece.count < PIECE_SLICES; piece.bytes++)
        piece.slices[piece.count++] = SLICE("x");
    open_out();
    CHECK_OK(start(200, BODY_CHUNKED, 0));
    CHECK_OK(h1_out_piece(&out, &piece, WEIR_NEVER));
    wrote(HEAD_200 "c\r\nxxxxxxxxxxxx\r\n0\r\n\r\n");
    CHECK_EQ(1, recorder.sends);
    close_out();
}

TEST(trailers_go_behind_the_last_chunk)
{
    static struct fields trailers;
    struct http_piece piece = piece_of("hi", true);
    fields_init(&trailers);
    fields_add(&trailers, SLICE("X-Sum"), SLICE("42"));
    piece.trailers = &trailers;
    open_out();
    CHECK_OK(start(200, BODY_CHUNKED, 0));
    CHECK_OK(h1_out_piece(&out, &piece, WEIR_NEVER));
    wrote(HEAD_200 "2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n");
    CHECK(h1_out_done(&out));
    forget_written();
    piece.count = 0;
    piece.bytes = 0;
    CHECK_OK(start(200, BODY_CHUNKED, 0));
    CHECK_OK(h1_out_piece(&out, &piece, WEIR_NEVER));
    wrote(HEAD_200 "0\r\nX-Sum: 42\r\n\r\n");
    close_out();
}

TEST(trailers_have_no_place_without_chunks)
{
    static struct fields trailers;
    struct http_piece piece = piece_of("hi", true);
    fields_init(&trailers);
    fields_add(&trailers, SLICE("X-Sum"), SLICE("42"));
    piece.trailers = &trailers;
    open_out();
    CHECK_OK(start(200, BODY_UNTIL_CLOSE, 0));
    CHECK_OK(h1_out_piece(&out, &piece, WEIR_NEVER));
    wrote(HEAD_200 "hi");
    CHECK(h1_out_done(&out));
    close_out();
}

TEST(the_end_of_a_tunnel_is_passed_on)
{
    open_out();
    CHECK_OK(start(101, BODY_TUNNEL, 0));
    CHECK_OK(h1_out_flush(&out, WEIR_NEVER));
    forget_written();
    CHECK_OK(put("raw", false));
    CHECK_EQ(0, recorder.shuts);
    CHECK_OK(put("", true));
    wrote("raw");
    CHECK_EQ(1, recorder.shuts);
    CHECK(h1_out_done(&out));
    close_out();
}

TEST(a_request_becomes_a_tunnel_afterwards)
{
    open_out();
    CHECK_OK(start(200, BODY_NONE, 0));
    CHECK_OK(h1_out_flush(&out, WEIR_NEVER));
    forget_written();
    h1_out_tunnel(&out);
    CHECK(!h1_out_done(&out));
    CHECK_OK(put("raw", true));
    wrote("raw");
    CHECK(h1_out_done(&out));
    close_out();
}

TEST(a_send_that_breaks_leaves_the_message_open)
{
    open_out();
    recorder.err = WEIR_E_RESET;
    recorder.breaks_after = 7;
    CHECK_OK(start(200, BODY_NONE, 0));
    CHECK_ERR(WEIR_E_RESET, h1_out_flush(&out, WEIR_NEVER));
    CHECK(!h1_out_done(&out) && out.touched);
    CHECK_EQ(7, out.sent_bytes);
    close_out();

    open_out();
    recorder.err = WEIR_E_TIMEOUT;
    recorder.breaks_after = strlen(HEAD_200) + 2;
    CHECK_OK(start(200, BODY_LENGTH, 5));
    CHECK_ERR(WEIR_E_TIMEOUT, put("hello", true));
    CHECK(!h1_out_done(&out));
    CHECK_EQ(strlen(HEAD_200) + 2, out.sent_bytes);
    close_out();
}

TEST(nothing_taken_is_nothing_sent_but_it_was_touched)
{
    open_out();
    recorder.err = WEIR_E_RESET;
    recorder.breaks_after = 0;
    CHECK_OK(start(200, BODY_NONE, 0));
    CHECK_ERR(WEIR_E_RESET, h1_out_flush(&out, WEIR_NEVER));
    CHECK_EQ(0, out.sent_bytes);
    CHECK(out.touched && !h1_out_done(&out));
    close_out();
}

TEST(a_head_that_does_not_fit_is_refused_and_what_waits_stays)
{
    static char value[IOBUF_BYTES];
    struct http_framing framing = {.body = BODY_NONE};
    memset(value, 'v', sizeof value);
    open_out();
    CHECK_OK(start(100, BODY_NONE, 0));
    response.status = 200;
    fields_add(&response.fields, SLICE("X"), slice_of(value, sizeof value));
    CHECK_ERR(WEIR_E_LIMIT, h1_out_response(&out, &response, &framing));
    CHECK_OK(h1_out_flush(&out, WEIR_NEVER));
    wrote("HTTP/1.1 100 R\r\n\r\n");
    close_out();
}

TEST(a_head_that_was_never_sent_is_given_back)
{
    open_out();
    CHECK_OK(start(200, BODY_LENGTH, 5));
    close_out();
}

TEST(a_head_that_waits_can_be_taken_back)
{
    open_out();
    CHECK(!h1_out_retract(&out));
    CHECK_OK(start(200, BODY_CHUNKED, 0));
    CHECK(h1_out_retract(&out));
    CHECK(h1_out_done(&out) && !out.touched);
    CHECK_OK(start(502, BODY_LENGTH, 1));
    CHECK_OK(put("x", true));
    wrote("HTTP/1.1 502 R\r\n\r\nx");
    CHECK(!h1_out_retract(&out));
    close_out();
}

/* A body that is not small is not copied; it is one send with its head all the same. */
TEST(a_large_body_goes_with_its_head_too)
{
    static char bytes[20000];
    static const size_t sizes[] = {1, 900, 1023, 1024, 1025, 5000, sizeof bytes};
    memset(bytes, 'b', sizeof bytes);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct http_piece piece = {
            .slices = {{bytes, sizes[i]}}, .count = 1, .bytes = sizes[i], .last = true};
        open_out();
        CHECK_OK(start(200, BODY_LENGTH, sizes[i]));
        CHECK_OK(h1_out_piece(&out, &piece, WEIR_NEVER));
        CHECK_EQ(1, recorder.sends);
        CHECK_EQ(strlen(HEAD_200) + sizes[i], recorder.bytes);
        CHECK_EQ(recorder.bytes, out.sent_bytes);
        CHECK(!memcmp(recorder.written, HEAD_200, strlen(HEAD_200)));
        CHECK(!memcmp(recorder.written + strlen(HEAD_200), bytes, sizes[i]));
        CHECK(h1_out_done(&out));
        close_out();
    }
}

CHECK_MAIN
