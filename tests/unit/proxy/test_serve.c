/* SPDX-License-Identifier: MIT */
/* One request from top to bottom, between a client and a server by hand. Retries:
 * test_serve_retry.c. */
#include "tests/unit/proxy/front.h"

STAGE_TEST(requests_one_after_the_other_use_one_connection)
{
    front_open(1);
    int client = front_client();
    int server = front_exchange(client, -1);
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(SOURCE_NEW, front.record.story.source);
    CHECK_EQ(1, front.record.story.connection_requests);
    CHECK_EQ(1, front.record.attempts);
    for (unsigned i = 2; i < 5; i++) {
        front_exchange(client, server);
        STAGE_UNTIL(front.logged == i);
        CHECK_EQ(SOURCE_REUSED, front.record.story.source);
        CHECK_EQ(i, front.record.story.connection_requests);
        CHECK_EQ(200, front.status);
        CHECK_OK(front.error);
    }
    CHECK(raw_nobody_waits(&front.servers[0]));
    CHECK_EQ(4, stat_read(&front.service->stats.requests[200]));
    raw_close(client);
    /* What the client does with its connection is nothing to the server's. */
    STAGE_UNTIL(downstream_is_empty(&front.service->downstream));
    CHECK_EQ(1, front.service->pool.idle_count);
    raw_close(server);
    front_close();
}

STAGE_TEST(heads_are_made_ready_for_the_next_hop)
{
    front_open(1);
    int client = front_client();
    raw_send(client, "GET /x?y HTTP/1.1\r\nHost: example.com\r\nConnection: close, X-Drop\r\n"
                     "X-Drop: 1\r\nX-Keep: 2\r\nKeep-Alive: timeout=1\r\n\r\n");
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    CHECK(raw_starts("GET /x?y HTTP/1.1\r\n"));
    CHECK(raw_has("\r\nHost: example.com\r\n") && raw_has("\r\nX-Keep: 2\r\n"));
    CHECK(raw_has("\r\nVia: 1.1 weir\r\n") && raw_has("\r\nX-Forwarded-For: 127.0.0.1\r\n"));
    CHECK(raw_has("\r\nX-Forwarded-Proto: http\r\n"));
    CHECK(!strstr(raw_text, "X-Drop") && !strstr(raw_text, "Connection"));
    CHECK(!strstr(raw_text, "Keep-Alive"));
    raw_send(server, "HTTP/1.1 200 OK\r\nConnection: X-Own\r\nX-Own: 1\r\nX-End: 2\r\n"
                     "Keep-Alive: timeout=9\r\nContent-Length: 2\r\n\r\nok");
    CHECK(raw_read_all(client));
    CHECK(raw_has("\r\nVia: 1.1 weir\r\n") && raw_has("\r\nX-End: 2\r\n"));
    CHECK(raw_has("\r\nConnection: close\r\n"));
    CHECK(!strstr(raw_text, "X-Own") && !strstr(raw_text, "Keep-Alive"));
    /* The client's close ended the client's connection alone. */
    STAGE_UNTIL(front.service->pool.idle_count == 1);
    raw_close(client);
    raw_close(server);
    front_close();
}

struct own_case {
    const char *request;
    const char *status;
    enum weir_err err;
};

STAGE_TEST(what_no_server_is_asked_for)
{
    static const struct own_case cases[] = {
        {"GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "404 Not Found",
         WEIR_E_NO_ROUTE},
        {"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nConnection: close\r\n\r\n", "501 Not Implemented",
         WEIR_E_REQUEST_METHOD},
        {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request", WEIR_E_REQUEST_MALFORMED},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char status[64];
        front_prepare(1);
        front.route.path = "/here";
        front_start();
        int client = front_client();
        raw_send(client, cases[i].request);
        CHECK(raw_read_all(client));
        snprintf(status, sizeof status, "HTTP/1.1 %s\r\n", cases[i].status);
        CHECK(raw_starts(status));
        STAGE_UNTIL(front.logged == 1);
        CHECK_ERR(cases[i].err, front.error);
        CHECK_EQ(0, front.record.attempts);
        CHECK(raw_nobody_waits(&front.servers[0]));
        raw_close(client);
        front_close();
    }
}

struct bad_case {
    const char *response;
    enum { STAYS, CLOSES } then;
    const char *status;
    const char *proxy_error;
};

STAGE_TEST(what_a_server_does_wrong_is_answered_with_its_reason)
{
    static const struct bad_case cases[] = {
        {"", CLOSES, "502 Bad Gateway", "connection_terminated"},
        {"HTTP/1.1 200", CLOSES, "502 Bad Gateway", "connection_terminated"},
        {"nonsense\r\n\r\n", STAYS, "502 Bad Gateway", "http_protocol_error"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n", STAYS, "502 Bad Gateway",
         "http_response_transfer_coding"},
        {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", STAYS, "502 Bad Gateway",
         "http_protocol_error"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", STAYS, "502 Bad Gateway",
         "http_protocol_error"},
        {"HTTP/1.1 2", STAYS, "504 Gateway Timeout", "http_response_timeout"},
        {"", STAYS, "504 Gateway Timeout", "http_response_timeout"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[128];
        front_prepare(1);
        if (cases[i].status[0] == '5' && cases[i].status[2] == '4')
            front.upstream.limits.read_timeout = weir_span_ms(30);
        front_start();
        int client = front_client();
        raw_send(client, FRONT_GET);
        int server = raw_accept(&front.servers[0]);
        raw_read_head(server);
        raw_send(server, cases[i].response);
        if (cases[i].then == CLOSES)
            shutdown(server, SHUT_WR);
        CHECK(raw_read_head(client));
        snprintf(text, sizeof text, "HTTP/1.1 %s\r\n", cases[i].status);
        bool right = CHECK(raw_starts(text));
        snprintf(text, sizeof text, "\r\nProxy-Status: weir; error=%s; ", cases[i].proxy_error);
        right &= CHECK(raw_has(text));
        if (!right)
            printf("# row %zu\n", i);
        CHECK_EQ(RAW_RESET, raw_await_end(server));
        CHECK(raw_nobody_waits(&front.servers[0]));
        raw_close(client);
        raw_close(server);
        front_close();
    }
}

STAGE_TEST(a_body_that_ends_early_cuts_the_client_off)
{
    static const char *const responses[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(responses); i++) {
        front_open(1);
        int client = front_client();
        raw_send(client, FRONT_GET);
        int server = raw_accept(&front.servers[0]);
        raw_read_head(server);
        raw_send(server, responses[i]);
        CHECK(raw_read(client, "hello") > 0);
        raw_close(server);
        CHECK_EQ(RAW_RESET, raw_await_end(client));
        STAGE_UNTIL(front.logged == 1);
        CHECK_ERR(WEIR_E_RESPONSE_INCOMPLETE, front.error);
        raw_close(client);
        front_close();
    }
}

/* RFC 9110 section 8.6: a client that believed the field would wait for a body. */
STAGE_TEST(a_204_has_no_length)
{
    front_open(1);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
    CHECK(raw_read_head(client));
    CHECK(!strstr(raw_text, "Content-Length") && !strstr(raw_text, "Connection"));
    raw_close(server);
    server = front_exchange(client, -1);
    raw_close(client);
    raw_close(server);
    front_close();
}

STAGE_TEST(an_endless_row_of_interim_heads_is_not_waited_for)
{
    front_open(1);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    for (int i = 0; i < 100; i++)
        raw_send(server, "HTTP/1.1 103 Early Hints\r\n\r\n");
    CHECK_EQ(RAW_RESET, raw_await_end(server));
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_RESPONSE_MALFORMED, front.error);
    CHECK_EQ(502, front.status);
    raw_close(client);
    raw_close(server);
    front_close();
}

/* docs/reuse.md: what becomes of the upstream connection of the last request. */
STAGE_TEST(at_the_clients_limit_the_servers_connection_goes_or_stays)
{
    static const enum at_limit choices[] = {AT_LIMIT_CLOSE, AT_LIMIT_KEEP};
    for (size_t i = 0; i < COUNT_OF(choices); i++) {
        front_prepare(1);
        front.options.client.keepalive_request_limit = 2;
        front.options.client.upstream_at_limit = choices[i];
        front_start();
        int client = front_client();
        int server = front_warm(client);
        raw_send(client, FRONT_GET);
        raw_read_head(server);
        raw_send(server, FRONT_OK);
        CHECK(raw_read_all(client));
        CHECK(raw_has("Connection: close\r\n"));
        STAGE_UNTIL(front.logged == 2);
        bool stays = choices[i] == AT_LIMIT_KEEP;
        CHECK_EQ(stays, front.service->pool.idle_count);
        CHECK_EQ(!stays, stat_read(&front_stats()->not_kept[KEEP_NOT_AT_LIMIT]));
        raw_close(client);
        raw_close(server);
        front_close();
    }
}

/* Bytes behind a response are nobody's: they reach neither this client nor the next one. */
STAGE_TEST(bytes_behind_a_response_are_never_delivered)
{
    front_open(1);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    CHECK(raw_read(client, "hello") > 0);
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(1, stat_read(&front_stats()->unexpected_data[PLACE_RELEASE]));
    CHECK_EQ(0, front.service->pool.idle_count);
    int second = front_exchange(client, -1);
    CHECK_EQ(RAW_NOTHING, raw_recv_now(client, raw_text, 1));
    raw_close(client);
    raw_close(server);
    raw_close(second);
    front_close();
}

STAGE_TEST(a_client_that_goes_ends_its_exchange)
{
    front_open(1);
    int client = front_client();
    raw_send(client, FRONT_GET);
    int server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_reset(client);
    CHECK_EQ(RAW_RESET, raw_await_end(server));
    STAGE_UNTIL(front.logged == 1);
    CHECK_ERR(WEIR_E_CLIENT_GONE, front.error);
    CHECK_EQ(0, front.status);
    raw_close(server);
    front_close();
}

CHECK_MAIN
