/* SPDX-License-Identifier: MIT */
#include "http/framing.h"
#include "tests/check.h"

static struct http_request request;
static struct http_response response;

struct row {
    const char *head; /* without the empty line; requests get a Host */
    enum h1_fault fault;
    enum http_body body;
    uint64_t length;
    bool doubtful;
    enum http_method method; /* what a response answers; 0 for GET */
};

#define CL "Content-Length: "
#define TE "Transfer-Encoding: "
#define OK_11 "HTTP/1.1 200 OK\r\n"

static const struct row requests[] = {
    {.head = "GET / HTTP/1.1\r\n", .body = BODY_NONE},
    {.head = "POST / HTTP/1.1\r\n", .body = BODY_NONE},
    {.head = "GET / HTTP/1.1\r\n" CL "0\r\n", .body = BODY_LENGTH},
    {.head = "GET / HTTP/1.1\r\n" CL "5\r\n", .body = BODY_LENGTH, .length = 5},
    {.head = "POST / HTTP/1.0\r\n" CL "5\r\n", .body = BODY_LENGTH, .length = 5},
    {.head = "POST / HTTP/1.1\r\ncontent-length:\t007 \r\n", .body = BODY_LENGTH, .length = 7},
    {.head = "POST / HTTP/1.1\r\n" CL "9223372036854775807\r\n",
     .body = BODY_LENGTH,
     .length = INT64_MAX},
    {.head = "POST / HTTP/1.1\r\n" TE "chunked\r\n", .body = BODY_CHUNKED},
    {.head = "POST / HTTP/1.1\r\ntransfer-encoding:\t CHUNKED\t\r\n", .body = BODY_CHUNKED},
    {.head = "GET / HTTP/1.1\r\n" TE "chunked\r\n", .body = BODY_CHUNKED},
    /* Content-Length */
    {.head = "POST / HTTP/1.1\r\n" CL "5\r\n" CL "5\r\n", .fault = H1_FAULT_LENGTH_DOUBLED},
    {.head = "POST / HTTP/1.1\r\n" CL "5\r\n" CL "6\r\n", .fault = H1_FAULT_LENGTH_DOUBLED},
    {.head = "POST / HTTP/1.1\r\n" CL "5, 5\r\n", .fault = H1_FAULT_LENGTH_DOUBLED},
    {.head = "POST / HTTP/1.1\r\n" CL "5,6\r\n", .fault = H1_FAULT_LENGTH_DOUBLED},
    {.head = "POST / HTTP/1.1\r\n" CL "5,\r\n", .fault = H1_FAULT_LENGTH_DOUBLED},
    {.head = "POST / HTTP/1.1\r\n" CL "\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "+5\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "-5\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "-0\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "5 5\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "0x5\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "5_0\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "5.0\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "\"5\"\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "x\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "9223372036854775808\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "18446744073709551616\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "POST / HTTP/1.1\r\n" CL "99999999999999999999999\r\n", .fault = H1_FAULT_LENGTH},
    /* Transfer-Encoding */
    {.head = "POST / HTTP/1.1\r\n" TE "chunked\r\n" CL "5\r\n",
     .fault = H1_FAULT_LENGTH_AND_CODING},
    {.head = "POST / HTTP/1.1\r\n" CL "5\r\n" TE "chunked\r\n",
     .fault = H1_FAULT_LENGTH_AND_CODING},
    {.head = "POST / HTTP/1.1\r\n" CL "x\r\n" TE "chunked\r\n",
     .fault = H1_FAULT_LENGTH_AND_CODING},
    {.head = "POST / HTTP/1.0\r\n" TE "chunked\r\n", .fault = H1_FAULT_CODING_VERSION},
    {.head = "POST / HTTP/1.0\r\n" TE "chunked\r\n" CL "5\r\n", .fault = H1_FAULT_CODING_VERSION},
    {.head = "POST / HTTP/1.1\r\n" TE "chunked, chunked\r\n", .fault = H1_FAULT_CODING_DOUBLED},
    {.head = "POST / HTTP/1.1\r\n" TE "chunked\r\n" TE "chunked\r\n",
     .fault = H1_FAULT_CODING_DOUBLED},
    {.head = "POST / HTTP/1.1\r\n" TE "chunked, identity\r\n", .fault = H1_FAULT_CODING_ORDER},
    {.head = "POST / HTTP/1.1\r\n" TE "chunked\r\n" TE "gzip\r\n", .fault = H1_FAULT_CODING_ORDER},
    {.head = "POST / HTTP/1.1\r\n" TE "gzip\r\n", .fault = H1_FAULT_CODING},
    {.head = "POST / HTTP/1.1\r\n" TE "gzip, chunked\r\n", .fault = H1_FAULT_CODING},
    {.head = "POST / HTTP/1.1\r\n" TE "identity\r\n", .fault = H1_FAULT_CODING},
    {.head = "POST / HTTP/1.1\r\n" TE "identity\r\n" CL "5\r\n", .fault = H1_FAULT_CODING},
    {.head = "POST / HTTP/1.1\r\n" TE "xchunked\r\n", .fault = H1_FAULT_CODING},
    {.head = "POST / HTTP/1.1\r\n" TE "chunkedx\r\n", .fault = H1_FAULT_CODING},
    {.head = "POST / HTTP/1.1\r\n" TE "chunked;q=1\r\n", .fault = H1_FAULT_CODING},
    {.head = "POST / HTTP/1.1\r\n" TE "\"chunked\"\r\n", .fault = H1_FAULT_CODING},
    {.head = "POST / HTTP/1.1\r\n" TE "chun ked\r\n", .fault = H1_FAULT_CODING},
    {.head = "POST / HTTP/1.1\r\n" TE "\"x, chunked\r\n", .fault = H1_FAULT_CODING},
    {.head = "POST / HTTP/1.1\r\n" TE "\r\n", .fault = H1_FAULT_CODING_EMPTY},
    {.head = "POST / HTTP/1.1\r\n" TE ", chunked\r\n", .fault = H1_FAULT_CODING_EMPTY},
    {.head = "POST / HTTP/1.1\r\n" TE "chunked,\r\n", .fault = H1_FAULT_CODING_EMPTY},
    {.head = "POST / HTTP/1.1\r\n" TE "\r\n" TE "chunked\r\n", .fault = H1_FAULT_CODING_EMPTY},
};

static const struct row responses[] = {
    {.head = OK_11, .body = BODY_UNTIL_CLOSE},
    {.head = "HTTP/1.0 200 OK\r\n", .body = BODY_UNTIL_CLOSE},
    {.head = OK_11 CL "0\r\n", .body = BODY_LENGTH},
    {.head = OK_11 CL "5\r\n", .body = BODY_LENGTH, .length = 5},
    {.head = "HTTP/1.0 200 OK\r\n" CL "5\r\n", .body = BODY_LENGTH, .length = 5},
    {.head = OK_11 TE "chunked\r\n", .body = BODY_CHUNKED},
    {.head = OK_11 TE "chunked\r\n" CL "5\r\n", .body = BODY_CHUNKED, .doubtful = true},
    {.head = "HTTP/1.0 200 OK\r\n" TE "chunked\r\n", .body = BODY_CHUNKED, .doubtful = true},
    {.head = "HTTP/1.0 200 OK\r\n" TE "chunked\r\n" CL "5\r\n",
     .body = BODY_CHUNKED,
     .doubtful = true},
    /* no body, whatever they say */
    {.head = OK_11 CL "5\r\n", .body = BODY_NONE, .method = METHOD_HEAD},
    {.head = OK_11 TE "chunked\r\n", .body = BODY_NONE, .method = METHOD_HEAD},
    {.head = OK_11, .body = BODY_NONE, .method = METHOD_HEAD},
    {.head = "HTTP/1.1 304 x\r\n" CL "5\r\n", .body = BODY_NONE},
    {.head = "HTTP/1.1 304 x\r\n" TE "chunked\r\n", .body = BODY_NONE},
    {.head = "HTTP/1.1 204 x\r\n", .body = BODY_NONE},
    {.head = "HTTP/1.1 204 x\r\n" CL "0\r\n", .body = BODY_NONE},
    {.head = "HTTP/1.1 204 x\r\n" CL "5\r\n", .body = BODY_NONE, .doubtful = true},
    {.head = "HTTP/1.1 204 x\r\n" TE "chunked\r\n", .body = BODY_NONE, .doubtful = true},
    {.head = "HTTP/1.1 100 x\r\n", .body = BODY_NONE},
    {.head = "HTTP/1.1 103 x\r\n" CL "5\r\n", .body = BODY_NONE, .doubtful = true},
    {.head = "HTTP/1.1 205 x\r\n", .body = BODY_UNTIL_CLOSE},
    {.head = "HTTP/1.1 205 x\r\n" CL "0\r\n", .body = BODY_LENGTH},
    /* tunnels */
    {.head = "HTTP/1.1 101 x\r\n", .body = BODY_TUNNEL},
    {.head = "HTTP/1.1 101 x\r\n" CL "5\r\n", .body = BODY_TUNNEL},
    {.head = OK_11 CL "5\r\n", .body = BODY_TUNNEL, .method = METHOD_CONNECT},
    {.head = "HTTP/1.1 299 x\r\n", .body = BODY_TUNNEL, .method = METHOD_CONNECT},
    {.head = "HTTP/1.1 407 x\r\n" CL "5\r\n",
     .body = BODY_LENGTH,
     .length = 5,
     .method = METHOD_CONNECT},
    {.head = "HTTP/1.1 100 x\r\n", .body = BODY_NONE, .method = METHOD_CONNECT},
    {.head = OK_11 "Upgrade: websocket\r\nConnection: upgrade\r\n", .body = BODY_UNTIL_CLOSE},
    /* faults */
    {.head = OK_11 CL "5\r\n" CL "5\r\n", .fault = H1_FAULT_LENGTH_DOUBLED},
    {.head = OK_11 CL "5, 5\r\n", .fault = H1_FAULT_LENGTH_DOUBLED},
    {.head = OK_11 CL "-5\r\n", .fault = H1_FAULT_LENGTH},
    {.head = OK_11 CL "x\r\n" TE "chunked\r\n", .fault = H1_FAULT_LENGTH},
    {.head = "HTTP/1.1 304 x\r\n" CL "5 5\r\n", .fault = H1_FAULT_LENGTH},
    {.head = OK_11 CL "5\r\n" CL "6\r\n", .fault = H1_FAULT_LENGTH_DOUBLED, .method = METHOD_HEAD},
    {.head = OK_11 TE "gzip\r\n", .fault = H1_FAULT_CODING},
    {.head = OK_11 TE "gzip, chunked\r\n", .fault = H1_FAULT_CODING},
    {.head = OK_11 TE "identity\r\n", .fault = H1_FAULT_CODING},
    {.head = OK_11 TE "chunked, gzip\r\n", .fault = H1_FAULT_CODING_ORDER},
    {.head = OK_11 TE "chunked\r\n" TE "chunked\r\n", .fault = H1_FAULT_CODING_DOUBLED},
    {.head = OK_11 TE ",chunked\r\n", .fault = H1_FAULT_CODING_EMPTY},
};

static enum h1_fault frame(const struct row *row, bool is_request, struct http_framing *ret_framing)
{
    static char text[512];
    struct h1_limits limits;
    struct h1_cursor cursor = {0};
    size_t bytes;
    enum h1_fault fault = H1_FAULT_NONE;
    h1_limits_init(&limits);
    snprintf(text, sizeof(text), "%s%s\r\n", row->head, is_request ? "Host: a\r\n" : "");
    struct weir_slice input = slice_str(text);
    if (is_request) {
        CHECK_EQ(H1_DONE, h1_parse_request(input, &cursor, &limits, &request, &bytes, &fault));
        return framing_of_request(&request, ret_framing);
    }
    CHECK_EQ(H1_DONE, h1_parse_response(input, &cursor, &limits, &response, &bytes, &fault));
    return framing_of_response(&response, row->method ? row->method : METHOD_GET, ret_framing);
}

static void check_rows(const struct row *rows, size_t count, bool is_request)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct http_framing framing = {.body = 99};
        unsigned before = check_failures;
        CHECK_EQ(row->fault, frame(row, is_request, &framing));
        if (row->fault != H1_FAULT_NONE) {
            CHECK_EQ(99, framing.body); /* written only on success */
        } else {
            CHECK_EQ(row->body, framing.body);
            CHECK_EQ(row->length, framing.length);
            CHECK_EQ(row->doubtful, framing.doubtful);
        }
        if (before != check_failures)
            printf("# row %zu: %s", i, row->head);
    }
}

TEST(of_requests)
{
    check_rows(requests, sizeof(requests) / sizeof(requests[0]), true);
}

TEST(of_responses)
{
    check_rows(responses, sizeof(responses) / sizeof(responses[0]), false);
}

struct persistence_row {
    const char *head;
    bool persists;
    struct http_persistence want;
};

static const struct persistence_row persistences[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", true, {0}},
    {"HTTP/1.0 200 OK\r\n\r\n", false, {0}},
    {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false, {.close = true}},
    {"HTTP/1.1 200 OK\r\nConnection: x,\tCLOSE ,y\r\n\r\n", false, {.close = true}},
    {"HTTP/1.1 200 OK\r\nConnection: x\r\nconnection: close\r\n\r\n", false, {.close = true}},
    {"HTTP/1.1 200 OK\r\nConnection: closed\r\n\r\n", true, {0}},
    {"HTTP/1.1 200 OK\r\nProxy-Connection: close\r\n\r\n", true, {0}},
    {"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", true, {.keep_alive = true}},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n\r\n",
     false,
     {.keep_alive = true, .close = true}},
    {"HTTP/1.0 200 OK\r\nKeep-Alive: timeout=5\r\n\r\n",
     false,
     {.has_timeout = true, .timeout_s = 5}},
    {"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\n\r\n", true, {.upgrade = true}},
    {"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\n\r\n",
     true,
     {.has_timeout = true, .timeout_s = 5, .has_max = true, .max = 100}},
    {"HTTP/1.1 200 OK\r\nKeep-Alive: MAX = 0\r\n\r\n", true, {.has_max = true}},
    {"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\n\r\n", true, {.has_timeout = true}},
    {"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=9, timeout=7\r\nKeep-Alive: timeout=8\r\n\r\n",
     true,
     {.has_timeout = true, .timeout_s = 7}},
    {"HTTP/1.1 200 OK\r\nKeep-Alive: timeout, max=, x=3, timeout=5s, max=-1\r\n\r\n", true, {0}},
    {"HTTP/1.1 200 OK\r\nKeep-Alive: max=99999999999999999999999\r\n\r\n", true, {0}},
};

TEST(persistence)
{
    for (size_t i = 0; i < sizeof(persistences) / sizeof(persistences[0]); i++) {
        const struct persistence_row *row = &persistences[i];
        struct h1_limits limits;
        struct h1_cursor cursor = {0};
        struct http_persistence got;
        size_t bytes;
        enum h1_fault fault;
        h1_limits_init(&limits);
        CHECK_EQ(H1_DONE, h1_parse_response(slice_str(row->head), &cursor, &limits, &response,
                                            &bytes, &fault));
        framing_persistence(&response.fields, &got);
        CHECK_EQ(row->want.close, got.close);
        CHECK_EQ(row->want.keep_alive, got.keep_alive);
        CHECK_EQ(row->want.upgrade, got.upgrade);
        CHECK_EQ(row->want.has_timeout, got.has_timeout);
        CHECK_EQ(row->want.timeout_s, got.timeout_s);
        CHECK_EQ(row->want.has_max, got.has_max);
        CHECK_EQ(row->want.max, got.max);
        CHECK_EQ(row->persists, framing_persists(response.minor, &got));
    }
}

CHECK_MAIN
