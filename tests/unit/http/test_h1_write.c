/* SPDX-License-Identifier: MIT */
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "tests/check.h"

static struct http_request request;
static struct http_response response;
static struct fields fields;

static const char *const request_texts[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nx: \r\nX-y: z\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
};

static const char *const response_texts[] = {
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 599 \r\nServer: s\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
};

static void parse_request(const char *text)
{
    struct h1_limits limits;
    struct h1_cursor cursor = {0};
    size_t bytes;
    enum h1_fault fault;
    h1_limits_init(&limits);
    CHECK_EQ(H1_DONE,
             h1_parse_request(slice_str(text), &cursor, &limits, &request, &bytes, &fault));
}

static void parse_response(const char *text)
{
    struct h1_limits limits;
    struct h1_cursor cursor = {0};
    size_t bytes;
    enum h1_fault fault;
    h1_limits_init(&limits);
    CHECK_EQ(H1_DONE,
             h1_parse_response(slice_str(text), &cursor, &limits, &response, &bytes, &fault));
}

/* Whole in just enough room, and 0 in every room that is smaller. */
static void check_request(const char *want)
{
    char text[512];
    size_t length = strlen(want);
    CHECK_EQ(length, h1_write_request(&request, text, length));
    CHECK_SLICE(slice_of(text, length), want);
    for (size_t capacity = 0; capacity < length; capacity++)
        CHECK_EQ(0, h1_write_request(&request, text, capacity));
}

static void check_response(const char *want)
{
    char text[512];
    size_t length = strlen(want);
    CHECK_EQ(length, h1_write_response(&response, text, length));
    CHECK_SLICE(slice_of(text, length), want);
    for (size_t capacity = 0; capacity < length; capacity++)
        CHECK_EQ(0, h1_write_response(&response, text, capacity));
}

TEST(requests_come_out_as_they_went_in)
{
    for (size_t i = 0; i < sizeof(request_texts) / sizeof(request_texts[0]); i++) {
        parse_request(request_texts[i]);
        check_request(request_texts[i]);
    }
}

TEST(responses_come_out_as_they_went_in)
{
    for (size_t i = 0; i < sizeof(response_texts) / sizeof(response_texts[0]); i++) {
        parse_response(response_texts[i]);
        check_response(response_texts[i]);
    }
}

TEST(ours_is_always_1_1_and_in_origin_form)
{
    parse_request("GET http://b/c?d HTTP/1.0\r\nHost:   a\t\r\n\r\n");
    check_request("GET /c?d HTTP/1.1\r\nHost: a\r\n\r\n");
    parse_request("OPTIONS http://b HTTP/1.0\r\n\r\n");
    check_request("OPTIONS * HTTP/1.1\r\n\r\n");
    parse_response("HTTP/1.0 200\r\n\r\n");
    check_response("HTTP/1.1 200 \r\n\r\n");
}

TEST(removed_fields_are_stepped_over)
{
    parse_request("GET / HTTP/1.1\r\nHost: a\r\nvia: x\r\nb: c\r\n\r\n");
    fields_remove(&request.fields, FIELD_VIA);
    check_request("GET / HTTP/1.1\r\nHost: a\r\nb: c\r\n\r\n");
}

TEST(a_head_made_from_nothing)
{
    memset(&response, 0, sizeof(response));
    response.status = 502;
    response.reason = http_reason(502);
    CHECK(fields_add_known(&response.fields, FIELD_CONTENT_LENGTH, SLICE("0")));
    CHECK(fields_add_known(&response.fields, FIELD_SERVER, (struct weir_slice){NULL, 0}));
    check_response("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nServer: \r\n\r\n");
    response.reason = (struct weir_slice){NULL, 0};
    fields_init(&response.fields);
    check_response("HTTP/1.1 502 \r\n\r\n");
}

TEST(trailers)
{
    char text[32];
    fields_init(&fields);
    CHECK_EQ(2, h1_write_trailers(&fields, text, sizeof(text)));
    CHECK_SLICE(slice_of(text, 2), "\r\n");
    CHECK(fields_add(&fields, SLICE("Sum"), SLICE("1")));
    size_t length = h1_write_trailers(&fields, text, sizeof(text));
    CHECK_SLICE(slice_of(text, length), "Sum: 1\r\n\r\n");
    CHECK_EQ(length, h1_write_trailers(&fields, text, length));
    CHECK_EQ(0, h1_write_trailers(&fields, text, length - 1));
}

CHECK_MAIN
