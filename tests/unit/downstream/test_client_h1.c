/* SPDX-License-Identifier: MIT */
/* One exchange after the other: what is asked, what is answered, and whether the connection stays.
 */
#include "tests/unit/downstream/host.h"

#define HOST_FIELD "Host: h\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST_FIELD "\r\n"

/* One client sends all of `request` and reads to the end that the server makes. */
WEIR_SUSPENDS static void ask_and_read_all(const char *request)
{
    int client = host_client();
    raw_send(client, request);
    CHECK(raw_read_all(client));
    raw_close(client);
}

static unsigned times(const char *text)
{
    unsigned count = 0;
    for (const char *at = raw_text; (at = strstr(at, text)); at++)
        count++;
    return count;
}

STAGE_TEST(requests_in_one_go_are_answered_in_order)
{
    static const size_t steps[] = {1, 7, 1000};
    const char *text = "GET /1 HTTP/1.1\r\n" HOST_FIELD "\r\n"
                       "POST /2 HTTP/1.1\r\n" HOST_FIELD "Content-Length: 5\r\n\r\nhello"
                       "POST /3 HTTP/1.1\r\n" HOST_FIELD "Transfer-Encoding: chunked\r\n\r\n"
                       "2\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n"
                       "GET /4 HTTP/1.1\r\n" HOST_FIELD "Connection: close\r\n\r\n"
                       "GET /never HTTP/1.1\r\n" HOST_FIELD "\r\n";
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        host_open(host_echo);
        int client = host_client();
        for (size_t at = 0; at < strlen(text); at += steps[i]) {
            size_t left = strlen(text) - at;
            raw_send_bytes(client, text + at, left < steps[i] ? left : steps[i]);
            if (steps[i] < 1000 && at % 5 == 0)
                (void)!co_yield ();
        }
        CHECK(raw_read_all(client));
        char *one = strstr(raw_text, "[GET /1 ]"), *two = strstr(raw_text, "[POST /2 hello]");
        char *three = strstr(raw_text, "[POST /3 abc]"), *four = strstr(raw_text, "[GET /4 ]");
        CHECK(one && two && three && four && one < two && two < three && three < four);
        CHECK_EQ(4, times("HTTP/1.1 200 OK\r\n"));
        CHECK_EQ(4, host.requests);
        raw_close(client);
        host_close();
    }
}

static unsigned seen_by_other;

static void look_from_aside(void *argument)
{
    (void)argument;
    seen_by_other = host.requests;
}

/* Calls for another coroutine and answers without a wait. */
WEIR_SUSPENDS static void echo_beside_another(void *owner, struct exchange *exchange)
{
    host_echo(owner, exchange);
    if (host.requests == 1)
        CHECK_OK(co_spawn(&stage.loop.sched, NULL, "other", look_from_aside, NULL, NULL));
}

STAGE_TEST(between_requests_in_one_go_others_run)
{
    host_open(echo_beside_another);
    seen_by_other = 0;
    int client = host_client();
    for (int i = 0; i < 9; i++)
        raw_send(client, "GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_send(client, "GET /last HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw_read(client, "[GET /last ]") > 0);
    CHECK_EQ(10, host.requests);
    CHECK_EQ(1, seen_by_other);
    raw_close(client);
    host_close();
}

STAGE_TEST(a_response_says_when_and_no_more_than_it_must)
{
    host_open(host_echo);
    int client = host_client();
    raw_send(client, GET);
    CHECK(raw_read_head(client));
    CHECK_EQ(1, times("\r\nDate: "));
    CHECK_EQ(1, times("\r\nContent-Length: 8\r\n"));
    CHECK_EQ(0, times("Connection:") + times("Transfer-Encoding:"));
    CHECK(raw_read(client, "]") > 0);
    raw_close(client);
    host_close();
}

struct persist_case {
    const char *request;
    bool stays;
    const char *connection; /* what the response says of it; NULL: nothing */
};

STAGE_TEST(the_connection_stays_as_version_and_fields_say)
{
    static const struct persist_case cases[] = {
        {GET, true, NULL},
        {"GET / HTTP/1.1\r\n" HOST_FIELD "Connection: close\r\n\r\n", false, "close"},
        {"GET / HTTP/1.1\r\n" HOST_FIELD "Connection: x, CLOSE\r\n\r\n", false, "close"},
        {"GET / HTTP/1.1\r\n" HOST_FIELD "Connection: closed\r\n\r\n", true, NULL},
        {"GET / HTTP/1.0\r\n\r\n", false, "close"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, "keep-alive"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, "close"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char want[64];
        host_open(host_echo);
        int client = host_client();
        raw_send(client, cases[i].request);
        CHECK(raw_read_head(client));
        snprintf(want, sizeof want, "\r\nConnection: %s\r\n", cases[i].connection);
        CHECK_EQ(cases[i].connection != NULL, times("Connection: "));
        CHECK(!cases[i].connection || raw_has(want));
        if (cases[i].stays) {
            CHECK(raw_read(client, "[GET / ]") > 0);
            raw_send(client, GET);
            CHECK(raw_read(client, "[GET / ]") > 0);
        } else {
            CHECK(raw_read_all(client));
        }
        CHECK_EQ(1 + cases[i].stays, host.requests);
        raw_close(client);
        host_close();
    }
}

STAGE_TEST(head_is_answered_without_a_body)
{
    host_open(host_echo);
    int client = host_client();
    raw_send(client, "HEAD /x HTTP/1.1\r\n" HOST_FIELD "\r\n" GET);
    CHECK(raw_read(client, "[GET / ]") > 0);
    CHECK_EQ(2, times("HTTP/1.1 200 OK\r\n"));
    CHECK_EQ(1, times("\r\nContent-Length: 10\r\n"));
    CHECK_EQ(0, times("[HEAD"));
    raw_close(client);
    host_close();
}

STAGE_TEST(keepalive_request_limit_ends_it_with_the_last_one)
{
    host_open(host_echo);
    host.options.keepalive_request_limit = 2;
    ask_and_read_all(GET GET GET);
    CHECK_EQ(2, times("HTTP/1.1 200 OK\r\n"));
    CHECK_EQ(1, times("Connection: close\r\n"));
    CHECK_EQ(2, host.requests);
    CHECK(host.at_limit);
    host_close();
}

struct refused_case {
    const char *request;
    const char *status;
    enum weir_err err;
};

STAGE_TEST(what_is_no_request_is_answered_and_ends_the_connection)
{
    static const struct refused_case cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400", WEIR_E_REQUEST_MALFORMED},
        {"GET / HTTP/1.1\nHost: h\n\n", "400", WEIR_E_REQUEST_MALFORMED},
        {"GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n", "400", WEIR_E_REQUEST_MALFORMED},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505", WEIR_E_REQUEST_VERSION},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n",
         "400", WEIR_E_REQUEST_MALFORMED},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400",
         WEIR_E_REQUEST_MALFORMED},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "501",
         WEIR_E_REQUEST_CODING},
        {"\x16\x03\x01\x02\x01\x01\r\n\r\n", "400", WEIR_E_REQUEST_MALFORMED},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[512], status[32];
        host_open(host_echo);
        snprintf(text, sizeof text, "%s%s", cases[i].request, GET);
        ask_and_read_all(text);
        snprintf(status, sizeof status, "HTTP/1.1 %s ", cases[i].status);
        CHECK(raw_starts(status));
        CHECK_EQ(1, times("HTTP/1.1 "));
        CHECK_EQ(1, times("Connection: close\r\n"));
        CHECK_ERR(cases[i].err, host.error);
        CHECK_EQ(1, host.requests);
        host_close();
    }
}

static char large[40000];

STAGE_TEST(heads_and_targets_have_limits)
{
    host_open(host_echo);
    memset(large, 'x', sizeof large);
    memcpy(large, "GET /", 5);
    memcpy(large + 9000, " HTTP/1.1\r\n" HOST_FIELD "\r\n",
           sizeof " HTTP/1.1\r\n" HOST_FIELD "\r\n");
    ask_and_read_all(large);
    CHECK(raw_starts("HTTP/1.1 414 "));
    memset(large, 'x', sizeof large);
    memcpy(large, "GET / HTTP/1.1\r\nX: ", 19);
    large[sizeof large - 1] = '\0';
    ask_and_read_all(large);
    CHECK(raw_starts("HTTP/1.1 431 "));
    host_close();
}

static struct http_response response;
static enum http_body body_to_send;
static bool fails_halfway;

/* Answers with two pieces, in the framing that the test wants. */
WEIR_SUSPENDS static void answer_in_pieces(void *owner, struct exchange *exchange)
{
    struct http_framing framing = {.body = body_to_send, .length = 10};
    struct http_piece piece = {.slices = {SLICE("hello")}, .count = 1, .bytes = 5};
    must(owner == &host);
    host_note(exchange);
    response = (struct http_response){.status = 200, .minor = 1, .reason = SLICE("OK")};
    fields_init(&response.fields);
    if (body_to_send == BODY_LENGTH)
        fields_add_known(&response.fields, FIELD_CONTENT_LENGTH, SLICE("10"));
    CHECK_OK(exchange_send_head(exchange, &response, &framing));
    CHECK(exchange->head_sent && !exchange->done);
    CHECK_OK(exchange_flush(exchange));
    CHECK_OK(exchange_send_piece(exchange, &piece));
    if (fails_halfway) {
        exchange_fail(exchange, WEIR_E_RESPONSE_INCOMPLETE);
        return;
    }
    piece.last = true;
    CHECK_OK(exchange_send_piece(exchange, &piece));
    CHECK(exchange->done);
}

STAGE_TEST(a_body_of_unknown_length_goes_in_chunks)
{
    static const enum http_body given[] = {BODY_CHUNKED, BODY_UNTIL_CLOSE};
    for (size_t i = 0; i < COUNT_OF(given); i++) {
        body_to_send = given[i];
        fails_halfway = false;
        host_open(answer_in_pieces);
        int client = host_client();
        raw_send(client, GET);
        CHECK(raw_read_head(client));
        CHECK_EQ(1, times("Transfer-Encoding: chunked\r\n"));
        CHECK_EQ(0, times("Connection"));
        CHECK(raw_read(client, "0\r\n\r\n") > 0);
        CHECK(raw_starts("5\r\nhello\r\n5\r\nhello\r\n"));
        raw_send(client, GET);
        CHECK(raw_read(client, "0\r\n\r\n") > 0);
        raw_close(client);
        host_close();
    }
}

STAGE_TEST(to_http10_a_body_of_unknown_length_goes_until_close)
{
    body_to_send = BODY_CHUNKED;
    fails_halfway = false;
    host_open(answer_in_pieces);
    ask_and_read_all("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK_EQ(0, times("Transfer-Encoding"));
    CHECK_EQ(1, times("Connection: close\r\n"));
    CHECK(raw_has("\r\n\r\nhellohello"));
    host_close();
}

/* HEAD has the fields of the GET, and the pieces go nowhere. */
STAGE_TEST(pieces_for_head_are_not_sent)
{
    body_to_send = BODY_LENGTH;
    fails_halfway = false;
    host_open(answer_in_pieces);
    int client = host_client();
    raw_send(client, "HEAD / HTTP/1.1\r\n" HOST_FIELD "\r\n" GET);
    CHECK(raw_read(client, "hellohello") > 0);
    CHECK_EQ(2, times("Content-Length: 10\r\n"));
    CHECK_EQ(2, times("hello"));
    raw_close(client);
    host_close();
}

STAGE_TEST(a_response_that_fails_halfway_is_seen_as_cut)
{
    static const enum http_body given[] = {BODY_LENGTH, BODY_CHUNKED};
    for (size_t i = 0; i < COUNT_OF(given); i++) {
        body_to_send = given[i];
        fails_halfway = true;
        host_open(answer_in_pieces);
        int client = host_client();
        raw_send(client, GET);
        CHECK_EQ(RAW_RESET, raw_await_end(client));
        raw_close(client);
        host_close();
    }
}

/* Sends 100 and 103 before it reads and answers. */
WEIR_SUSPENDS static void answer_with_interim(void *owner, struct exchange *exchange)
{
    static const struct http_framing none = {.body = BODY_NONE};
    static const uint16_t statuses[] = {100, 103};
    must(owner == &host);
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        response = (struct http_response){.status = statuses[i], .minor = 1, .reason = SLICE("I")};
        fields_init(&response.fields);
        CHECK_OK(exchange_send_head(exchange, &response, &none));
        CHECK(!exchange->head_sent);
        CHECK_OK(exchange_flush(exchange));
        CHECK(!exchange->done);
    }
    host_echo(owner, exchange);
}

STAGE_TEST(interim_heads_go_before_the_final_one)
{
    host_open(answer_with_interim);
    int client = host_client();
    raw_send(client,
             "POST / HTTP/1.1\r\n" HOST_FIELD "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 100 I\r\n\r\n"));
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 103 I\r\n\r\n"));
    raw_send(client, "ok");
    CHECK(raw_read(client, "[POST / ok]") > 0);
    CHECK(raw_starts("HTTP/1.1 200 OK\r\n"));
    CHECK_EQ(0, times("Connection"));
    raw_close(client);
    host_close();
}

/* RFC 9110 section 15.2 */
STAGE_TEST(http10_gets_no_interim_heads)
{
    host_open(answer_with_interim);
    ask_and_read_all("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nok");
    CHECK(raw_starts("HTTP/1.1 200 OK\r\n"));
    CHECK_EQ(1, times("HTTP/1.1 "));
    host_close();
}

/* Becomes a tunnel that gives back what it gets, then says goodbye. */
WEIR_SUSPENDS static void tunnel(void *owner, struct exchange *exchange)
{
    static const struct http_framing framing = {.body = BODY_TUNNEL};
    struct http_piece piece = {.last = false};
    must(owner == &host);
    host_note(exchange);
    response = (struct http_response){.status = 101, .minor = 1, .reason = SLICE("Switching")};
    fields_init(&response.fields);
    fields_add_known(&response.fields, FIELD_UPGRADE, SLICE("echo"));
    fields_add_known(&response.fields, FIELD_CONNECTION, SLICE("upgrade"));
    CHECK_OK(exchange_send_head(exchange, &response, &framing));
    CHECK_OK(exchange_flush(exchange));
    while (!piece.last) {
        host.error = exchange_recv_piece(exchange, &piece);
        if (!CHECK_OK(host.error))
            return;
        if (piece.count > 0 && !piece.last)
            CHECK_OK(exchange_send_piece(exchange, &piece));
    }
    piece = (struct http_piece){.slices = {SLICE("bye")}, .count = 1, .bytes = 3, .last = true};
    CHECK_OK(exchange_send_piece(exchange, &piece));
}

STAGE_TEST(after_101_bytes_go_as_they_are)
{
    host_open(tunnel);
    int client = host_client();
    raw_send(client,
             "GET / HTTP/1.1\r\n" HOST_FIELD "Upgrade: echo\r\nConnection: upgrade\r\n\r\nfirst");
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 101 Switching\r\n"));
    CHECK_EQ(0, times("Connection: close"));
    CHECK(raw_read(client, "first") > 0);
    raw_send(client, GET);
    CHECK(raw_read(client, GET) > 0);
    shutdown(client, SHUT_WR);
    CHECK(raw_read_all(client));
    CHECK(raw_starts("bye"));
    CHECK_EQ(1, host.requests);
    raw_close(client);
    host_close();
}

STAGE_TEST(bytes_are_counted_per_exchange)
{
    host_open(host_echo);
    int client = host_client();
    for (int i = 0; i < 2; i++) {
        raw_send(client, "POST / HTTP/1.1\r\n" HOST_FIELD "Content-Length: 5\r\n\r\nhello");
        ssize_t bytes = raw_read(client, "[POST / hello]");
        CHECK_EQ(bytes, host.sent_bytes);
        CHECK_EQ(5, host.received_bytes);
    }
    raw_close(client);
    host_close();
}

CHECK_MAIN
