/* SPDX-License-Identifier: MIT */
#include "http/h1_wire.h"

#include "tests/unit/http/stage.h"

#include <stdlib.h>

enum { TEXT_SIZE = 256 * 1024 };

/* Sends a text in steps, each of which the receiver has before the next one comes. */
struct feeder {
    struct stream *to;
    struct weir_slice text;
    size_t step;
    bool ends; /* with an end, or stays silent */
    bool over;
};

static struct feeder feeder;
static struct h1_wire wire;
static struct stream *near;
static struct http_request request;
static struct http_response response;
static struct fields trailers;
static char body[TEXT_SIZE];
static size_t body_bytes;

WEIR_SUSPENDS static void run_feeder(void *unused)
{
    (void)unused;
    struct weir_slice rest = feeder.text;
    while (rest.len > 0) {
        struct weir_slice step = slice_of(rest.at, rest.len < feeder.step ? rest.len : feeder.step);
        if (stream_send(feeder.to, &step, 1, WEIR_NEVER, NULL) != WEIR_OK)
            break;
        rest = slice_skip(rest, step.len);
        (void)!co_yield ();
    }
    if (feeder.ends)
        stream_shut(feeder.to, WEIR_NEVER);
    feeder.over = true;
}

static void feed(enum wire_side side, struct weir_slice text, size_t step, bool ends)
{
    feeder = (struct feeder){.text = text, .step = step, .ends = ends};
    must(stream_pair(&stage.loop, 64 * 1024, &near, &feeder.to) == WEIR_OK);
    h1_wire_init(&wire, near, side);
    must(co_spawn(&stage.loop.sched, NULL, "feeder", run_feeder, NULL, NULL) == WEIR_OK);
}

/* Afterwards no buffer may be missing, which the loop checks. */
WEIR_SUSPENDS static void unfeed(void)
{
    h1_wire_fini(&wire);
    stream_close(&near, false);
    STAGE_UNTIL(feeder.over);
    stream_close(&feeder.to, false);
}

WEIR_SUSPENDS static enum weir_err read_request(struct http_framing *ret_framing)
{
    TRY(h1_wire_request(&wire, in_ms(5000), &request));
    CHECK_EQ(H1_FAULT_NONE, framing_of_request(&request, ret_framing));
    h1_wire_start_body(&wire, ret_framing, &trailers);
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err read_response(enum http_method method)
{
    struct http_framing framing;
    TRY(h1_wire_response(&wire, in_ms(5000), &response));
    CHECK_EQ(H1_FAULT_NONE, framing_of_response(&response, method, &framing));
    h1_wire_start_body(&wire, &framing, &trailers);
    return WEIR_OK;
}

/* Everything up to the last piece, gathered in `body`. */
WEIR_SUSPENDS static enum weir_err read_body(const struct fields **ret_trailers)
{
    struct http_piece piece;
    body_bytes = 0;
    do {
        TRY(h1_wire_piece(&wire, in_ms(5000), &piece));
        size_t bytes = 0;
        for (unsigned i = 0; i < piece.count; i++) {
            CHECK(piece.slices[i].len > 0 && body_bytes + piece.slices[i].len <= sizeof body);
            memcpy(body + body_bytes, piece.slices[i].at, piece.slices[i].len);
            body_bytes += piece.slices[i].len;
            bytes += piece.slices[i].len;
        }
        CHECK_EQ(bytes, piece.bytes);
        CHECK(piece.count > 0 || piece.last);
        CHECK_EQ(piece.last, h1_wire_body_done(&wire));
    } while (!piece.last);
    *ret_trailers = piece.trailers;
    return WEIR_OK;
}

static bool body_is(const char *text)
{
    return CHECK_SLICE(slice_of(body, body_bytes), text);
}

static const size_t steps[] = {1, 2, 3, 7, 19, 64, 100000};

#define PIPELINED                                                                                  \
    "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"                                \
    "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"                            \
    "3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 42\r\nX-End: yes\r\n\r\n"                      \
    "GET /c HTTP/1.1\r\nHost: h\r\n\r\n"

STAGE_TEST(requests_in_a_row_are_read_however_they_are_cut)
{
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct http_framing framing;
        const struct fields *behind;
        feed(WIRE_REQUESTS, SLICE(PIPELINED), steps[i], true);
        CHECK_OK(read_request(&framing));
        CHECK_OK(read_body(&behind));
        body_is("hello");
        CHECK(!behind);
        CHECK_SLICE(request.path, "/a"); /* the head outlives its body */
        h1_wire_drop_head(&wire);

        CHECK_OK(read_request(&framing));
        CHECK_OK(read_body(&behind));
        body_is("abc0123456789");
        CHECK_SLICE(request.path, "/b");
        if (CHECK(behind) && CHECK_EQ(2, behind->count)) {
            CHECK_SLICE(behind->at[0].value, "42");
            CHECK_SLICE(behind->at[1].value, "yes");
        }
        h1_wire_drop_head(&wire);

        CHECK_OK(read_request(&framing));
        CHECK_SLICE(request.path, "/c");
        CHECK(h1_wire_body_done(&wire));
        CHECK_OK(read_body(&behind));
        CHECK_EQ(0, body_bytes);
        h1_wire_drop_head(&wire);
        CHECK(!h1_wire_has_bytes(&wire));
        CHECK_ERR(WEIR_E_EOF, h1_wire_request(&wire, in_ms(5000), &request));
        unfeed();
    }
}

STAGE_TEST(a_response_until_close_ends_with_the_stream)
{
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        const struct fields *behind;
        feed(WIRE_RESPONSES, SLICE("HTTP/1.1 200 OK\r\nX: y\r\n\r\nall of it"), steps[i], true);
        CHECK_OK(read_response(METHOD_GET));
        CHECK_OK(read_body(&behind));
        body_is("all of it");
        unfeed();
    }
}

struct end_case {
    const char *text;
    enum weir_err head, body;
};

STAGE_TEST(an_end_in_the_middle_is_not_an_end)
{
    static const struct end_case cases[] = {
        {"", WEIR_E_EOF, WEIR_OK},
        {"H", WEIR_E_RESET, WEIR_OK},
        {"HTTP/1.1 200 OK\r\n", WEIR_E_RESET, WEIR_OK},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", WEIR_OK, WEIR_E_EOF},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", WEIR_OK, WEIR_E_EOF},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell", WEIR_OK, WEIR_E_EOF},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", WEIR_OK, WEIR_E_EOF},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n", WEIR_OK, WEIR_E_EOF},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", WEIR_OK, WEIR_OK},
    };
    for (size_t i = 0; i < COUNT_OF(cases) * 2; i++) {
        const struct end_case *row = &cases[i / 2];
        const struct fields *behind;
        feed(WIRE_RESPONSES, slice_str(row->text), i % 2 ? 1 : TEXT_SIZE, true);
        if (CHECK_ERR(row->head, read_response(METHOD_GET)) && row->head == WEIR_OK)
            CHECK_ERR(row->body, read_body(&behind));
        unfeed();
    }
}

STAGE_TEST(a_fault_gives_its_error_and_is_kept)
{
    feed(WIRE_REQUESTS, SLICE("GET / HTTP/1.1\r\nHost : h\r\n\r\n"), 5, false);
    CHECK_ERR(WEIR_E_REQUEST_MALFORMED, h1_wire_request(&wire, in_ms(5000), &request));
    CHECK_EQ(H1_FAULT_NAME_SPACE, wire.fault);
    unfeed();
    feed(WIRE_RESPONSES, SLICE("HTTP/1.1 2000 OK\r\n\r\n"), 5, false);
    CHECK_ERR(WEIR_E_RESPONSE_MALFORMED, h1_wire_response(&wire, in_ms(5000), &response));
    unfeed();

    static const char *const bodies[] = {"5\r\nhello0\r\n\r\n", "x\r\n", "1\nx\r\n",
                                         "0\r\nX : y\r\n\r\n"};
    for (size_t i = 0; i < COUNT_OF(bodies) * 2; i++) {
        struct http_framing framing;
        const struct fields *behind;
        char text[256];
        snprintf(text, sizeof text,
                 "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%s",
                 bodies[i / 2]);
        feed(WIRE_REQUESTS, slice_str(text), i % 2 ? 1 : TEXT_SIZE, false);
        CHECK_OK(read_request(&framing));
        CHECK_ERR(WEIR_E_REQUEST_MALFORMED, read_body(&behind));
        CHECK(wire.fault != H1_FAULT_NONE);
        unfeed();
    }
}

/* A text that is freed by the caller: front, `count` times 'x', back. */
static struct weir_slice long_text(const char *front, size_t count, const char *back)
{
    size_t front_bytes = strlen(front), back_bytes = strlen(back);
    char *text = malloc(front_bytes + count + back_bytes);
    must(text);
    memcpy(text, front, front_bytes);
    memset(text + front_bytes, 'x', count);
    memcpy(text + front_bytes + count, back, back_bytes);
    return slice_of(text, front_bytes + count + back_bytes);
}

static void free_text(struct weir_slice text)
{
    free((char *)(uintptr_t)text.at);
}

STAGE_TEST(a_head_may_fill_a_buffer_and_no_more)
{
    static const size_t counts[] = {32600, 32700, 32730, 32740, 40000, 100000};
    for (size_t i = 0; i < COUNT_OF(counts) * 2; i++) {
        struct weir_slice text =
            long_text("GET / HTTP/1.1\r\nHost: h\r\nX: ", counts[i / 2], "\r\n\r\n");
        feed(WIRE_REQUESTS, text, i % 2 ? 999 : TEXT_SIZE, false);
        bool fits = text.len <= wire.limits.head_bytes;
        enum weir_err want = fits ? WEIR_OK : WEIR_E_REQUEST_HEAD_LENGTH;
        if (CHECK_ERR(want, h1_wire_request(&wire, in_ms(5000), &request)) && fits)
            CHECK_EQ(counts[i / 2], request.fields.at[1].value.len);
        unfeed();
        free_text(text);
    }
}

/* The next head begins anywhere in a buffer that a body has nearly filled, and runs over its end.
 */
STAGE_TEST(a_head_that_runs_over_the_end_of_a_buffer_is_in_one_piece)
{
    for (size_t fill = 32500; fill < 32780; fill += 7) {
        char front[128];
        struct http_framing framing;
        const struct fields *behind;
        snprintf(front, sizeof front,
                 "POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", fill - 100);
        struct weir_slice text =
            long_text(front, fill - 100,
                      "GET /second HTTP/1.1\r\nHost: h\r\nX-Behind: it\r\n\r\nGET / HTTP/1.1");
        feed(WIRE_REQUESTS, text, fill % 2 ? TEXT_SIZE : 5000, true);
        CHECK_OK(read_request(&framing));
        CHECK_OK(read_body(&behind));
        CHECK_EQ(fill - 100, body_bytes);
        CHECK_SLICE(request.path, "/first");
        h1_wire_drop_head(&wire);
        CHECK_OK(read_request(&framing));
        CHECK_SLICE(request.path, "/second");
        if (CHECK_EQ(2, request.fields.count))
            CHECK_SLICE(request.fields.at[1].value, "it");
        h1_wire_drop_head(&wire);
        CHECK_ERR(WEIR_E_RESET, h1_wire_request(&wire, in_ms(5000), &request));
        unfeed();
        free_text(text);
    }
}

/* The same with trailers, which also must be in one piece, behind chunks of any place. */
STAGE_TEST(trailers_that_run_over_the_end_of_a_buffer_are_in_one_piece)
{
    for (size_t fill = 32500; fill < 32780; fill += 11) {
        char front[128];
        struct http_framing framing;
        const struct fields *behind;
        snprintf(front, sizeof front,
                 "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
                 fill - 80);
        struct weir_slice text =
            long_text(front, fill - 80, "\r\n0\r\nX-One: 1\r\nX-Two: 22\r\nX-Three: 333\r\n\r\n");
        feed(WIRE_REQUESTS, text, fill % 2 ? TEXT_SIZE : 5000, true);
        CHECK_OK(read_request(&framing));
        CHECK_OK(read_body(&behind));
        CHECK_EQ(fill - 80, body_bytes);
        if (CHECK(behind) && CHECK_EQ(3, behind->count))
            CHECK_SLICE(behind->at[2].value, "333");
        unfeed();
        free_text(text);
    }
}

STAGE_TEST(trailers_have_the_limit_of_a_head)
{
    struct http_framing framing;
    const struct fields *behind;
    struct weir_slice text =
        long_text("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", 40000,
                  "\r\n\r\n");
    feed(WIRE_REQUESTS, text, 3000, false);
    CHECK_OK(read_request(&framing));
    CHECK_ERR(WEIR_E_REQUEST_HEAD_LENGTH, read_body(&behind));
    unfeed();
    free_text(text);
}

/* RFC 9110 section 6.5.1 */
STAGE_TEST(what_must_not_be_a_trailer_is_left_out)
{
    struct http_framing framing;
    const struct fields *behind;
    feed(WIRE_REQUESTS,
         SLICE("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
               "Transfer-Encoding: chunked\r\nX: y\r\nHost: other\r\n\r\n"),
         TEXT_SIZE, true);
    CHECK_OK(read_request(&framing));
    CHECK_OK(read_body(&behind));
    if (CHECK(behind)) {
        CHECK(!fields_find(behind, FIELD_TRANSFER_ENCODING) && !fields_find(behind, FIELD_HOST));
        CHECK(fields_find_name(behind, SLICE("x")));
    }
    unfeed();
}

STAGE_TEST(many_small_chunks_make_more_than_one_piece)
{
    enum { CHUNKS = PIECE_SLICES * 3 + 1 };
    char text[CHUNKS * 6 + 128] =
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    char want[CHUNKS + 1] = "";
    for (int i = 0; i < CHUNKS; i++) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "1\r\n%c\r\n", 'a' + i % 26);
        want[i] = (char)('a' + i % 26);
    }
    size_t length = strlen(text);
    snprintf(text + length, sizeof text - length, "0\r\n\r\n");
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct http_framing framing;
        const struct fields *behind;
        feed(WIRE_REQUESTS, slice_str(text), steps[i], true);
        CHECK_OK(read_request(&framing));
        CHECK_OK(read_body(&behind));
        body_is(want);
        unfeed();
    }
}

STAGE_TEST(piece_now_does_not_wait)
{
    struct http_framing framing;
    struct http_piece piece;
    feed(WIRE_REQUESTS, SLICE("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe"),
         TEXT_SIZE, false);
    CHECK_OK(read_request(&framing));
    CHECK_OK(h1_wire_piece_now(&wire, &piece));
    CHECK_EQ(2, piece.bytes);
    CHECK(!piece.last);
    CHECK_OK(h1_wire_piece_now(&wire, &piece));
    CHECK(piece.count == 0 && piece.bytes == 0 && !piece.last);
    struct weir_slice rest = SLICE("lloGET");
    CHECK_OK(stream_send(feeder.to, &rest, 1, WEIR_NEVER, NULL));
    CHECK_OK(h1_wire_piece(&wire, in_ms(5000), &piece));
    CHECK_EQ(3, piece.bytes);
    CHECK(piece.last);
    CHECK_OK(h1_wire_piece_now(&wire, &piece));
    CHECK(piece.count == 0 && piece.last);
    CHECK(h1_wire_has_bytes(&wire));
    CHECK_SLICE(h1_wire_bytes(&wire), "GET");
    unfeed();
}

STAGE_TEST(a_deadline_ends_the_wait_and_nothing_is_lost)
{
    struct weir_slice rest = SLICE(" / HTTP/1.1\r\nHost: h\r\n\r\n");
    feed(WIRE_REQUESTS, SLICE("GET"), 3, false);
    CHECK_ERR(WEIR_E_TIMEOUT, h1_wire_request(&wire, in_ms(10), &request));
    CHECK_OK(stream_send(feeder.to, &rest, 1, WEIR_NEVER, NULL));
    CHECK_OK(h1_wire_request(&wire, in_ms(5000), &request));
    CHECK_SLICE(request.method_text, "GET");
    unfeed();
}

STAGE_TEST(bytes_of_a_look_are_the_first)
{
    struct iobuf *buf = iobuf_take(&stage.loop.bufs);
    memcpy(buf->bytes, "GET / HT", 8);
    buf->end = 8;
    feed(WIRE_REQUESTS, SLICE("TP/1.1\r\nHost: h\r\n\r\n"), 4, false);
    h1_wire_put(&wire, &buf);
    CHECK(!buf && h1_wire_has_bytes(&wire));
    CHECK_OK(h1_wire_request(&wire, in_ms(5000), &request));
    CHECK_SLICE(request.path, "/");
    h1_wire_drop_head(&wire);
    CHECK(!h1_wire_has_bytes(&wire));
    unfeed();
}

STAGE_TEST(a_tunnel_gives_bytes_as_they_are)
{
    const struct fields *behind;
    struct http_framing tunnel = {.body = BODY_TUNNEL};
    feed(WIRE_RESPONSES, SLICE("HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\nHTTP/1.1 200\r\n\r\n0\r\n"), 9,
         true);
    CHECK_OK(h1_wire_response(&wire, in_ms(5000), &response));
    h1_wire_start_body(&wire, &tunnel, NULL);
    CHECK_OK(read_body(&behind));
    body_is("HTTP/1.1 200\r\n\r\n0\r\n");
    unfeed();
}

/* Whatever state a wire is left in, its buffers come back. */
STAGE_TEST(ending_anywhere_loses_no_buffer)
{
    for (size_t cut = 0; cut < sizeof PIPELINED - 1; cut += 3) {
        struct http_framing framing;
        const struct fields *behind;
        feed(WIRE_REQUESTS, slice_of(PIPELINED, cut), 11, true);
        enum weir_err err = WEIR_OK;
        while (!err) {
            err = read_request(&framing);
            if (!err)
                err = read_body(&behind);
            if (!err)
                h1_wire_drop_head(&wire);
        }
        CHECK(err == WEIR_E_EOF || err == WEIR_E_RESET);
        unfeed();
    }
}

CHECK_MAIN
