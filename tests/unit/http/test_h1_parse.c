/* SPDX-License-Identifier: MIT */
#include "tests/unit/http/feed.h"

#define HOST "\r\nHost: a\r\n\r\n"

static const struct feed_case requests[] = {
    {SLICE("GET / HTTP/1.1" HOST), H1_FAULT_NONE},
    {SLICE("GET / HTTP/1.0\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("\r\nGET / HTTP/1.1" HOST), H1_FAULT_NONE},
    {SLICE("get / HTTP/1.1" HOST), H1_FAULT_NONE},
    {SLICE("M-SEARCH / HTTP/1.1" HOST), H1_FAULT_NONE},
    {SLICE("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 / HTTP/1.1" HOST), H1_FAULT_NONE},
    /* what comes before */
    {SLICE("\r\n\r\nGET / HTTP/1.1" HOST), H1_FAULT_EMPTY_LINES},
    {SLICE("\nGET / HTTP/1.1" HOST), H1_FAULT_BARE_LF},
    {SLICE("\r\n\nGET / HTTP/1.1" HOST), H1_FAULT_BARE_LF},
    {SLICE("\rGET / HTTP/1.1" HOST), H1_FAULT_BARE_CR},
    {SLICE("\r\n\rGET / HTTP/1.1" HOST), H1_FAULT_BARE_CR},
    /* method */
    {SLICE(" GET / HTTP/1.1" HOST), H1_FAULT_METHOD},
    {SLICE("\tGET / HTTP/1.1" HOST), H1_FAULT_METHOD},
    {SLICE("GET\t/ HTTP/1.1" HOST), H1_FAULT_METHOD},
    {SLICE("G(T / HTTP/1.1" HOST), H1_FAULT_METHOD},
    {SLICE("GET\r\n\r\n"), H1_FAULT_METHOD},
    {SLICE("G\0T / HTTP/1.1" HOST), H1_FAULT_NUL},
    {SLICE("G\xc3T / HTTP/1.1" HOST), H1_FAULT_METHOD},
    {SLICE("\x16\x03\x01\x02\x00\x01"), H1_FAULT_METHOD}, /* TLS */
    {SLICE("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 / HTTP/1.1" HOST), H1_FAULT_METHOD_LENGTH},
    /* target */
    {SLICE("GET  / HTTP/1.1" HOST), H1_FAULT_TARGET},
    {SLICE("GET \t/ HTTP/1.1" HOST), H1_FAULT_TARGET},
    {SLICE("GET /\t HTTP/1.1" HOST), H1_FAULT_TARGET},
    {SLICE("GET /#a HTTP/1.1" HOST), H1_FAULT_TARGET},
    {SLICE("GET /\r HTTP/1.1" HOST), H1_FAULT_BARE_CR},
    /* version */
    {SLICE("GET /\r\n\r\n"), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET \r\n\r\n"), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / \r\n\r\n"), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET /\n"), H1_FAULT_BARE_LF},
    {SLICE("GET / \n"), H1_FAULT_BARE_LF},
    {SLICE("GET /  HTTP/1.1" HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / HTTP/1.1 " HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / x HTTP/1.1" HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / http/1.1" HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / HTTP/1" HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / HTTP/1." HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / HTTP/11.1" HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / HTTP/1.10" HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / HTTP/1,1" HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / HTTP/x.1" HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / HTTPS/1.1" HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / ICE/1.0" HOST), H1_FAULT_VERSION_SYNTAX},
    {SLICE("GET / HTTP/1.1\n\r\n"), H1_FAULT_BARE_LF},
    {SLICE("GET / HTTP/1.1\r\r\n\r\n"), H1_FAULT_BARE_CR},
    {SLICE("GET / HTTP/1.1\0\r\n\r\n"), H1_FAULT_NUL},
    {SLICE("GET / HTTP/0.9" HOST), H1_FAULT_VERSION},
    {SLICE("GET / HTTP/1.2" HOST), H1_FAULT_VERSION},
    {SLICE("GET / HTTP/2.0" HOST), H1_FAULT_VERSION},
    {SLICE("GET / HTTP/2.1" HOST), H1_FAULT_VERSION},
    {SLICE("GET / HTTP/9.9" HOST), H1_FAULT_VERSION},
    {SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), H1_FAULT_VERSION},
    /* the line is right, the fields are not */
    {SLICE("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), H1_FAULT_FOLD},
    {SLICE("GET / HTTP/1.1\r\n\r\n"), H1_FAULT_HOST_MISSING},
};

TEST(good_and_bad_requests)
{
    feed_cases(FEED_REQUEST, requests, sizeof(requests) / sizeof(requests[0]));
}

static const struct feed_case responses[] = {
    {SLICE("HTTP/1.1 200 OK\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("HTTP/1.0 200 OK\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("HTTP/1.1 200 \r\n\r\n"), H1_FAULT_NONE},
    {SLICE("HTTP/1.1 200\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("HTTP/1.1 200  two  spaces \r\n\r\n"), H1_FAULT_NONE},
    {SLICE("HTTP/1.1 200 \xe4\t\xff\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("HTTP/1.1 100 \r\n\r\n"), H1_FAULT_NONE},
    {SLICE("HTTP/1.1 599 x\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("\r\nHTTP/1.1 200 OK\r\n\r\n"), H1_FAULT_VERSION_SYNTAX},
    {SLICE(" HTTP/1.1 200 OK\r\n\r\n"), H1_FAULT_VERSION_SYNTAX},
    {SLICE("http/1.1 200 OK\r\n\r\n"), H1_FAULT_VERSION_SYNTAX},
    {SLICE("HTTP/1.1\r\n\r\n"), H1_FAULT_VERSION_SYNTAX},
    {SLICE("HTTP/1.1\t200 OK\r\n\r\n"), H1_FAULT_VERSION_SYNTAX},
    {SLICE("ICY 200 OK\r\n\r\n"), H1_FAULT_VERSION_SYNTAX},
    {SLICE("<html>"), H1_FAULT_VERSION_SYNTAX},
    {SLICE("HTTP/2.0 200 OK\r\n\r\n"), H1_FAULT_VERSION},
    {SLICE("HTTP/1.2 200 OK\r\n\r\n"), H1_FAULT_VERSION},
    {SLICE("HTTP/1.1  200 OK\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 \r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 20\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 20 OK\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 2000 OK\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 200OK\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 200\tOK\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 099 OK\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 600 OK\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 999 OK\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 +20 OK\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 2x0 OK\r\n\r\n"), H1_FAULT_STATUS},
    {SLICE("HTTP/1.1 200 O\x01K\r\n\r\n"), H1_FAULT_REASON},
    {SLICE("HTTP/1.1 200 O\x7fK\r\n\r\n"), H1_FAULT_REASON},
    {SLICE("HTTP/1.1 200 O\0K\r\n\r\n"), H1_FAULT_NUL},
    {SLICE("HTTP/1.1 200 OK\n\r\n"), H1_FAULT_BARE_LF},
    {SLICE("HTTP/1.1 200\n\r\n"), H1_FAULT_BARE_LF},
    {SLICE("HTTP/1.1 200 O\rK\r\n\r\n"), H1_FAULT_BARE_CR},
    {SLICE("HTTP/1.1 200 OK\r\n a: b\r\n\r\n"), H1_FAULT_FOLD},
};

TEST(good_and_bad_responses)
{
    feed_cases(FEED_RESPONSE, responses, sizeof(responses) / sizeof(responses[0]));
}

TEST(a_request_is_all_there)
{
    struct weir_slice text = SLICE("\r\nPOST /a?b HTTP/1.1\r\nHost: h:8\r\nX-Y: z\r\n\r\nbody");
    struct feed_outcome outcome = feed(FEED_REQUEST, text);
    CHECK_EQ(H1_DONE, outcome.result);
    CHECK_EQ(text.len - strlen("body"), outcome.bytes);
    CHECK_EQ(METHOD_POST, feed_request.method);
    CHECK_SLICE(feed_request.method_text, "POST");
    CHECK_SLICE(feed_request.target, "/a?b");
    CHECK_EQ(1, feed_request.minor);
    CHECK_SLICE(feed_request.authority, "h:8");
    CHECK_EQ(2, feed_request.fields.count);
    CHECK_SLICE(feed_request.fields.at[1].name, "X-Y");
    feed(FEED_REQUEST, SLICE("BREW / HTTP/1.0\r\n\r\n"));
    CHECK_EQ(METHOD_OTHER, feed_request.method);
    CHECK_SLICE(feed_request.method_text, "BREW");
    CHECK_EQ(0, feed_request.minor);
    CHECK_EQ(0, feed_request.fields.count);
}

TEST(a_response_is_all_there)
{
    struct weir_slice text = SLICE("HTTP/1.0 404 Not  Found\r\nServer: s\r\n\r\nHTTP");
    struct feed_outcome outcome = feed(FEED_RESPONSE, text);
    CHECK_EQ(H1_DONE, outcome.result);
    CHECK_EQ(text.len - strlen("HTTP"), outcome.bytes);
    CHECK_EQ(404, feed_response.status);
    CHECK_EQ(0, feed_response.minor);
    CHECK_SLICE(feed_response.reason, "Not  Found");
    CHECK(fields_have(&feed_response.fields, FIELD_SERVER));
    feed(FEED_RESPONSE, SLICE("HTTP/1.1 204\r\n\r\n"));
    CHECK_SLICE(feed_response.reason, "");
    CHECK_EQ(1, feed_response.minor);
}

/* A bad line is told when it is whole, long before the head is. */
TEST(faults_come_early)
{
    struct h1_limits limits;
    struct h1_cursor cursor = {0};
    h1_limits_init(&limits);
    struct weir_slice text = SLICE("GET / HTTP/1.1\r\nHost: a\r\nbad : b\r\nand so on");
    size_t line_end = text.len - strlen("and so on");
    for (size_t length = 1; length < line_end; length++) {
        enum h1_result result =
            feed_once(FEED_REQUEST, slice_of(text.at, length), &cursor, &limits).result;
        CHECK_EQ(H1_MORE, result);
    }
    struct feed_outcome outcome =
        feed_once(FEED_REQUEST, slice_of(text.at, line_end), &cursor, &limits);
    CHECK_EQ(H1_BAD, outcome.result);
    CHECK_EQ(H1_FAULT_NAME_SPACE, outcome.fault);
}

static void check_limit(enum feed_kind kind, const char *front, size_t count, const char *back,
                        const struct h1_limits *limits, enum h1_fault want)
{
    struct weir_slice text = feed_long(front, 'x', count, back);
    struct feed_outcome outcome = feed_with(kind, text, limits);
    CHECK_EQ(want == H1_FAULT_NONE ? H1_DONE : H1_BAD, outcome.result);
    CHECK_EQ(want, outcome.fault);
    free((char *)text.at);
}

TEST(a_target_can_be_too_long)
{
    const struct h1_limits limits = {.head_bytes = 4000, .target_bytes = 100, .fields = 10};
    const char *back = " HTTP/1.1" HOST;
    check_limit(FEED_REQUEST, "GET /", 99, back, &limits, H1_FAULT_NONE);
    check_limit(FEED_REQUEST, "GET /", 100, back, &limits, H1_FAULT_TARGET_LENGTH);
    check_limit(FEED_REQUEST, "GET /", 1000, back, &limits, H1_FAULT_TARGET_LENGTH);
    check_limit(FEED_REQUEST, "GET /", 1000, "", &limits, H1_FAULT_TARGET_LENGTH);
    check_limit(FEED_REQUEST, "GET /", 100, "\x01", &limits, H1_FAULT_TARGET_LENGTH);
    check_limit(FEED_REQUEST, "GET /", 99, "\x01", &limits, H1_FAULT_TARGET);
    check_limit(FEED_REQUEST, "", 1000, "", &limits, H1_FAULT_METHOD_LENGTH);
}

TEST(a_head_can_be_too_large)
{
    const struct h1_limits limits = {.head_bytes = 300, .target_bytes = 100, .fields = 10};
    const char *request = "GET / HTTP/1.1\r\nHost: a\r\nx: ";
    const char *response = "HTTP/1.1 200 OK\r\nx: ";
    size_t room = limits.head_bytes - strlen(request) - 4;
    check_limit(FEED_REQUEST, request, room, "\r\n\r\n", &limits, H1_FAULT_NONE);
    check_limit(FEED_REQUEST, request, room + 1, "\r\n\r\n", &limits, H1_FAULT_HEAD_LENGTH);
    check_limit(FEED_REQUEST, request, room + 4, "", &limits, H1_FAULT_HEAD_LENGTH);
    check_limit(FEED_REQUEST, request, room + 9, "\x01", &limits, H1_FAULT_HEAD_LENGTH);
    check_limit(FEED_REQUEST, "GET / HTTP/1.1\r\nx y: ", room + 9, "", &limits,
                H1_FAULT_NAME_SPACE);
    /* the line in which the limit is reached may have a fault of its own */
    check_limit(FEED_REQUEST, "GET / HTTP/1.1\r\nx y: ", 1000, "", &limits, H1_FAULT_NAME_SPACE);
    check_limit(FEED_RESPONSE, "HTTP/1.1 20 OK", 1000, "", &limits, H1_FAULT_STATUS);
    check_limit(FEED_TRAILERS, "(", 1000, "", &limits, H1_FAULT_NAME);
    room = limits.head_bytes - strlen(response) - 4;
    check_limit(FEED_RESPONSE, response, room, "\r\n\r\n", &limits, H1_FAULT_NONE);
    check_limit(FEED_RESPONSE, response, room + 1, "\r\n\r\n", &limits, H1_FAULT_HEAD_LENGTH);
    check_limit(FEED_RESPONSE, "HTTP/1.1 200 ", 1000, "", &limits, H1_FAULT_HEAD_LENGTH);
    check_limit(FEED_TRAILERS, "x: ", 293, "\r\n\r\n", &limits, H1_FAULT_NONE);
    check_limit(FEED_TRAILERS, "x: ", 294, "\r\n\r\n", &limits, H1_FAULT_HEAD_LENGTH);
}

static void check_count(uint32_t limit, unsigned count, enum h1_fault want)
{
    struct h1_limits limits;
    char text[1024];
    size_t length = 0;
    h1_limits_init(&limits);
    limits.fields = limit;
    for (unsigned i = 0; i < count; i++, length += 5)
        memcpy(text + length, "a:b\r\n", 5);
    memcpy(text + length, "\r\n", 2);
    CHECK_EQ(want, feed_with(FEED_TRAILERS, slice_of(text, length + 2), &limits).fault);
}

TEST(fields_can_be_too_many)
{
    check_count(0, 0, H1_FAULT_NONE);
    check_count(0, 1, H1_FAULT_FIELD_COUNT);
    check_count(3, 3, H1_FAULT_NONE);
    check_count(3, 4, H1_FAULT_FIELD_COUNT);
    check_count(3, 40, H1_FAULT_FIELD_COUNT);
    check_count(FIELDS_MAX, FIELDS_MAX, H1_FAULT_NONE);
    check_count(FIELDS_MAX, FIELDS_MAX + 1, H1_FAULT_FIELD_COUNT);
    check_count(UINT32_MAX, FIELDS_MAX + 1, H1_FAULT_FIELD_COUNT);
}

TEST(too_many_fields_are_told_before_the_end)
{
    const struct h1_limits limits = {.head_bytes = 1000, .target_bytes = 100, .fields = 2};
    check_limit(FEED_TRAILERS, "a:b\r\na:b\r\na:", 3, "\r\n", &limits, H1_FAULT_FIELD_COUNT);
}

TEST(an_empty_input_is_the_begin_of_all)
{
    struct h1_limits limits;
    struct h1_cursor cursor = {0};
    h1_limits_init(&limits);
    struct weir_slice empty = {NULL, 0};
    CHECK_EQ(H1_MORE, feed_once(FEED_REQUEST, empty, &cursor, &limits).result);
    CHECK_EQ(H1_MORE, feed_once(FEED_RESPONSE, empty, &cursor, &limits).result);
    CHECK_EQ(H1_MORE, feed_once(FEED_TRAILERS, empty, &cursor, &limits).result);
}

TEST(the_default_limits)
{
    struct h1_limits limits;
    h1_limits_init(&limits);
    CHECK_EQ(32768, limits.head_bytes);
    CHECK_EQ(8192, limits.target_bytes);
    CHECK_EQ(FIELDS_MAX, limits.fields);
}

CHECK_MAIN
