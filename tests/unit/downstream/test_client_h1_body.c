/* SPDX-License-Identifier: MIT */
/* Request bodies: read, refused, cut, not wanted; and clients that do not take the response. */
#include "tests/unit/downstream/host.h"

#define HOST_FIELD "Host: h\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST_FIELD "\r\n"
#define POST_CHUNKED "POST / HTTP/1.1\r\n" HOST_FIELD "Transfer-Encoding: chunked\r\n\r\n"
enum { SHORT_MS = 20 };

static unsigned times(const char *text)
{
    unsigned count = 0;
    for (const char *at = raw_text; (at = strstr(at, text)); at++)
        count++;
    return count;
}

/*
 * What is wrong in the middle of a body: nobody knows where the next request begins, so the
 * connection ends (RFC 9112 section 9.5 and docs/operating.md: 400 and close).
 */
STAGE_TEST(a_malformed_body_is_answered_with_400_and_the_end)
{
    static const char *const bodies[] = {
        "x\r\nhello\r\n0\r\n\r\n",  "5\r\nhelloGET /smuggled HTTP/1.1\r\n" HOST_FIELD "\r\n",
        "5\nhello\r\n0\r\n\r\n",    "0\r\nX : y\r\n\r\n",
        "0\r\nX: \x01\r\n\r\n" GET,
    };
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        host_open(host_echo);
        int client = host_client();
        raw_send(client, POST_CHUNKED);
        raw_send(client, bodies[i]);
        CHECK(raw_read_all(client));
        CHECK(raw_starts("HTTP/1.1 400 "));
        CHECK_EQ(1, times("HTTP/1.1 "));
        CHECK_EQ(1, times("Connection: close\r\n"));
        CHECK_ERR(WEIR_E_REQUEST_MALFORMED, host.error);
        CHECK_EQ(1, host.requests);
        raw_close(client);
        host_close();
    }
}

STAGE_TEST(a_body_that_stops_is_answered_with_408_and_the_end)
{
    host_open(host_echo);
    host.options.body_timeout = weir_span_ms(SHORT_MS);
    int client = host_client();
    raw_send(client, "POST / HTTP/1.1\r\n" HOST_FIELD "Content-Length: 10\r\n\r\nhello");
    CHECK(raw_read_all(client));
    CHECK(raw_starts("HTTP/1.1 408 "));
    CHECK_EQ(1, times("Connection: close\r\n"));
    CHECK_ERR(WEIR_E_REQUEST_TIMEOUT, host.error);
    raw_close(client);
    host_close();
}

STAGE_TEST(a_body_that_is_cut_means_that_the_client_has_gone)
{
    static const char *const requests[] = {
        "POST / HTTP/1.1\r\n" HOST_FIELD "Content-Length: 10\r\n\r\nhello",
        POST_CHUNKED "5\r\nhello\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(requests) * 2; i++) {
        host_open(host_echo);
        int client = host_client();
        raw_send(client, requests[i / 2]);
        if (i % 2)
            raw_reset(client);
        else
            raw_close(client);
        STAGE_UNTIL(host.requests == 1 && host.error);
        CHECK_ERR(WEIR_E_CLIENT_GONE, host.error);
        host_close();
    }
}

STAGE_TEST(max_request_body_is_kept)
{
    static const char *const requests[] = {
        "POST / HTTP/1.1\r\n" HOST_FIELD "Content-Length: 6\r\n\r\nhello!",
        POST_CHUNKED "3\r\nhel\r\n3\r\nlo!\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        host_open(host_echo);
        host.options.max_request_body = 5;
        int client = host_client();
        raw_send(client, requests[i]);
        CHECK(raw_read_all(client));
        CHECK(raw_starts("HTTP/1.1 413 "));
        CHECK_EQ(1, times("Connection: close\r\n"));
        CHECK_ERR(WEIR_E_REQUEST_BODY_LENGTH, host.error);
        raw_close(client);
        host_close();
    }
    host_open(host_echo);
    host.options.max_request_body = 5;
    int client = host_client();
    raw_send(client, POST_CHUNKED "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    CHECK(raw_read(client, "[POST / hello]") > 0);
    raw_close(client);
    host_close();
}

/* A length that is too large is refused before a byte of the body has come. */
STAGE_TEST(max_request_body_is_told_by_the_head)
{
    host_open(host_ignore_body);
    host.options.max_request_body = 5;
    int client = host_client();
    raw_send(client, "POST / HTTP/1.1\r\n" HOST_FIELD "Content-Length: 6\r\n\r\n");
    CHECK(raw_read_all(client));
    CHECK(raw_starts("HTTP/1.1 413 "));
    CHECK_ERR(WEIR_E_REQUEST_BODY_LENGTH, host.error);
    raw_close(client);
    host_close();
}

STAGE_TEST(a_short_body_that_nobody_wanted_is_read_away)
{
    host_open(host_ignore_body);
    int client = host_client();
    raw_send(client,
             "POST / HTTP/1.1\r\n" HOST_FIELD "Content-Length: 30\r\n\r\nGET / HTTP/1.1\r\n");
    CHECK(raw_read(client, "[ignored]") > 0);
    CHECK_EQ(0, times("Connection"));
    raw_send(client, "\r\nHello: hello");
    raw_send(client, POST_CHUNKED "5\r\nhello\r\n0\r\n\r\n" GET);
    CHECK(raw_read(client, "[ignored]") > 0);
    while (host.requests < 3 && CHECK(raw_read(client, "[ignored]") > 0))
        ;
    STAGE_UNTIL(host_is_parked());
    CHECK_EQ(3, host.requests);
    raw_close(client);
    host_close();
}

/* The response must arrive although the client goes on sending: no reset takes it away. */
STAGE_TEST(a_long_body_that_nobody_wanted_does_not_cost_the_response)
{
    static char bytes[64 * 1024];
    host_open(host_ignore_body);
    int client = host_client();
    raw_send(client, "POST / HTTP/1.1\r\n" HOST_FIELD "Content-Length: 100000000\r\n\r\n");
    for (int i = 0; i < 32; i++)
        raw_send_bytes(client, bytes, sizeof bytes);
    CHECK(raw_read(client, "[ignored]") > 0);
    CHECK_EQ(0, raw_await_end(client));
    CHECK_EQ(1, host.requests);
    raw_close(client);
    host_close();
}

STAGE_TEST(a_malformed_body_that_nobody_wanted_ends_it)
{
    host_open(host_ignore_body);
    int client = host_client();
    raw_send(client, POST_CHUNKED "zz\r\n" GET);
    CHECK(raw_read_all(client));
    CHECK(raw_has("[ignored]"));
    CHECK_EQ(1, times("HTTP/1.1 "));
    CHECK_EQ(1, host.requests);
    raw_close(client);
    host_close();
}

/* Without 100 the client may send its body or not; nobody can tell (RFC 9110 section 10.1.1). */
STAGE_TEST(an_answer_instead_of_100_ends_the_connection)
{
    host_open(host_ignore_body);
    int client = host_client();
    raw_send(client,
             "POST / HTTP/1.1\r\n" HOST_FIELD "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
    CHECK(raw_read_all(client));
    CHECK(raw_has("[ignored]"));
    CHECK_EQ(1, times("Connection: close\r\n"));
    raw_close(client);
    host_close();
}

STAGE_TEST(expect_without_a_body_or_from_http10_means_nothing)
{
    host_open(host_ignore_body);
    int client = host_client();
    raw_send(client, "GET / HTTP/1.1\r\n" HOST_FIELD "Expect: 100-continue\r\n\r\n");
    CHECK(raw_read(client, "[ignored]") > 0);
    CHECK_EQ(0, times("Connection"));
    raw_send(client, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n"
                     "Content-Length: 2\r\n\r\nhi");
    CHECK(raw_read(client, "[ignored]") > 0);
    CHECK_EQ(1, times("Connection: keep-alive\r\n"));
    raw_close(client);
    host_close();
}

static size_t at_once_bytes;
static bool at_once_last;

/* Takes first what is there already, then waits for the rest. */
WEIR_SUSPENDS static void read_by_pieces(void *owner, struct exchange *exchange)
{
    struct http_piece piece;
    must(owner == &host);
    host_note(exchange);
    host.error = exchange_piece_now(exchange, &piece);
    at_once_bytes = piece.bytes;
    at_once_last = piece.last;
    while (!host.error && !piece.last)
        host.error = exchange_recv_piece(exchange, &piece);
    if (!host.error)
        host.error = exchange_piece_now(exchange, &piece);
    CHECK(host.error || (piece.last && piece.bytes == 0));
    if (!host.error)
        host.error = exchange_answer(exchange, 200, SLICE("text/plain"), SLICE("[read]"));
    else
        exchange_fail(exchange, host.error);
    host.received_bytes = exchange->received_bytes;
}

STAGE_TEST(what_is_there_is_given_without_waiting)
{
    host_open(read_by_pieces);
    int client = host_client();
    raw_send(client, "POST / HTTP/1.1\r\n" HOST_FIELD "Content-Length: 2\r\n\r\n");
    STAGE_UNTIL(host.requests == 1);
    CHECK(at_once_bytes == 0 && !at_once_last);
    raw_send(client, "hi");
    CHECK(raw_read(client, "[read]") > 0);
    CHECK_EQ(2, host.received_bytes);
    raw_send(client, "POST / HTTP/1.1\r\n" HOST_FIELD "Content-Length: 2\r\n\r\nh");
    STAGE_UNTIL(host.requests == 2);
    CHECK(at_once_bytes == 1 && !at_once_last);
    raw_send(client, "i" GET);
    CHECK(raw_read(client, "[read]") > 0);
    STAGE_UNTIL(host.requests == 3);
    CHECK(at_once_bytes == 0 && at_once_last); /* there is none: that is known at once */
    CHECK(raw_read(client, "[read]") > 0);
    raw_close(client);
    host_close();
}

STAGE_TEST(what_is_there_and_wrong_is_told_without_waiting)
{
    host_open(read_by_pieces);
    int client = host_client();
    raw_send(client, POST_CHUNKED "x\r\n" GET);
    CHECK(raw_read_all(client));
    CHECK(raw_starts("HTTP/1.1 400 "));
    CHECK_EQ(1, host.requests);
    raw_close(client);
    host_close();
}

static struct http_response response;

/* Sends until nobody takes it. */
WEIR_SUSPENDS static void pour(void *owner, struct exchange *exchange)
{
    static char bytes[64 * 1024];
    struct http_framing framing = {.body = BODY_CHUNKED};
    struct http_piece piece = {
        .slices = {{bytes, sizeof bytes}}, .count = 1, .bytes = sizeof bytes};
    must(owner == &host);
    host_note(exchange);
    response = (struct http_response){.status = 200, .minor = 1, .reason = SLICE("OK")};
    fields_init(&response.fields);
    host.error = exchange_send_head(exchange, &response, &framing);
    for (int i = 0; i < 10000 && !host.error; i++)
        host.error = exchange_send_piece(exchange, &piece);
    exchange_fail(exchange, host.error);
}

STAGE_TEST(a_client_that_does_not_read_is_cut_off)
{
    host_open(pour);
    host.options.write_timeout = weir_span_ms(SHORT_MS);
    int client = host_client();
    raw_send(client, GET);
    STAGE_UNTIL(downstream_is_empty(&host.downstream));
    CHECK_ERR(WEIR_E_CLIENT_WRITE_TIMEOUT, host.error);
    CHECK_EQ(RAW_RESET, raw_await_end(client));
    raw_close(client);
    host_close();
}

STAGE_TEST(a_client_that_goes_while_it_is_sent_to)
{
    host_open(pour);
    int client = host_client();
    raw_send(client, GET);
    CHECK(raw_read_head(client));
    raw_reset(client);
    STAGE_UNTIL(downstream_is_empty(&host.downstream));
    CHECK_ERR(WEIR_E_CLIENT_GONE, host.error);
    host_close();
}

CHECK_MAIN
