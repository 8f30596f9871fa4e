/* SPDX-License-Identifier: MIT */
/* What serve.c does with the verdicts of retry.c: stale connections, and servers that are not
 * there. */
#include "tests/unit/proxy/front.h"

/* The next request meets a connection that ends when it has read it. */
WEIR_SUSPENDS static void break_after_reading(int server, const char *end)
{
    CHECK(raw_read(server, end) > 0);
    raw_close(server);
}

STAGE_TEST(a_stale_connection_costs_a_get_nothing)
{
    front_open(1);
    int client = front_client();
    int server = front_warm(client);
    raw_send(client, FRONT_GET);
    break_after_reading(server, "\r\n\r\n");
    int second = raw_accept(&front.servers[0]);
    raw_read_head(second);
    raw_send(second, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK(raw_starts("HTTP/1.1 200 OK\r\n"));
    STAGE_UNTIL(front.logged == 2);
    CHECK_EQ(2, front.record.attempts);
    CHECK_EQ(SOURCE_NEW, front.record.story.source);
    CHECK_EQ(1, front_retries(WEIR_E_EOF, RETRY_REPLAYED));
    CHECK_OK(front.error);
    raw_close(client);
    raw_close(second);
    front_close();
}

struct post_case {
    const char *fields; /* further ones */
    bool non_idempotent;
    const char *body;
    bool replayed;
};

#define LENGTH_5 "Content-Length: 5\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

STAGE_TEST(a_stale_connection_and_a_post)
{
    static const struct post_case cases[] = {
        {LENGTH_5, false, "hello", false},
        {LENGTH_5 "Idempotency-Key: \"a\"\r\n", false, "hello", true},
        {LENGTH_5, true, "hello", true},
        {CHUNKED, true, "5\r\nhello\r\n0\r\n\r\n", true},
        {CHUNKED, false, "5\r\nhello\r\n0\r\n\r\n", false},
        {CHUNKED, true, "0\r\n\r\n", true},
        {CHUNKED, true, "0\r\nX: y\r\n\r\n", false},
        {"", false, "", false},
        {"", true, "", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char request[256];
        front_prepare(1);
        front.upstream.retry.non_idempotent = cases[i].non_idempotent;
        front_start();
        int client = front_client();
        int server = front_warm(client);
        snprintf(request, sizeof request, "POST / HTTP/1.1\r\nHost: h\r\n%s\r\n%s", cases[i].fields,
                 cases[i].body);
        raw_send(client, request);
        break_after_reading(server, *cases[i].body ? cases[i].body : "\r\n\r\n");
        if (cases[i].replayed) {
            int second = raw_accept(&front.servers[0]);
            CHECK(raw_read(second, *cases[i].body ? cases[i].body : "\r\n\r\n") > 0);
            raw_send(second, FRONT_OK);
            CHECK(raw_read(client, "hello") > 0);
            raw_close(second);
        } else {
            CHECK(raw_read_head(client));
            CHECK(raw_starts("HTTP/1.1 502 Bad Gateway\r\n"));
            CHECK(raw_has("Proxy-Status: weir; error=connection_terminated;"));
            CHECK(raw_nobody_waits(&front.servers[0]));
        }
        STAGE_UNTIL(front.logged == 2);
        CHECK_EQ(cases[i].replayed, front_retries(WEIR_E_EOF, RETRY_REPLAYED));
        CHECK_EQ(!cases[i].replayed, front_retries(WEIR_E_EOF, RETRY_REFUSED));
        raw_close(client);
        front_close();
    }
}

STAGE_TEST(a_fresh_connection_that_breaks_is_not_tried_again)
{
    front_open(1);
    int client = front_client();
    raw_send(client, FRONT_GET);
    break_after_reading(raw_accept(&front.servers[0]), "\r\n\r\n");
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 502 Bad Gateway\r\n"));
    CHECK(raw_nobody_waits(&front.servers[0]));
    CHECK_EQ(1, front_retries(WEIR_E_EOF, RETRY_REFUSED));
    raw_close(client);
    front_close();
}

/* The second try is fresh; if that breaks too there is no third. */
STAGE_TEST(there_is_one_second_try)
{
    front_open(1);
    int client = front_client();
    int server = front_warm(client);
    raw_send(client, FRONT_GET);
    break_after_reading(server, "\r\n\r\n");
    break_after_reading(raw_accept(&front.servers[0]), "\r\n\r\n");
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 502 Bad Gateway\r\n"));
    CHECK(raw_nobody_waits(&front.servers[0]));
    STAGE_UNTIL(front.logged == 2);
    CHECK_EQ(2, front.record.attempts);
    raw_close(client);
    front_close();
}

STAGE_TEST(once_a_byte_has_come_nothing_is_sent_again)
{
    front_open(1);
    int client = front_client();
    int server = front_warm(client);
    raw_send(client, FRONT_GET);
    raw_read_head(server);
    raw_send(server, "H");
    raw_close(server);
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 502 Bad Gateway\r\n"));
    CHECK(raw_nobody_waits(&front.servers[0]));
    raw_close(client);
    front_close();
}

/* docs/reuse.md: those that rested as long as the broken one go too. */
STAGE_TEST(after_a_break_the_older_idle_ones_go)
{
    front_open(1);
    int a = front_client(), b = front_client();
    raw_send(a, FRONT_GET);
    int first = raw_accept(&front.servers[0]);
    raw_read_head(first);
    int second = front_exchange(b, -1);
    STAGE_UNTIL(front.service->pool.idle_count == 1);
    stage_turns();
    raw_send(first, FRONT_OK);
    CHECK(raw_read(a, "hello") > 0);
    STAGE_UNTIL(front.service->pool.idle_count == 2);
    stage_turns();
    raw_send(a, FRONT_GET);
    break_after_reading(first, "\r\n\r\n"); /* released last, so it is the one that is taken */
    int third = raw_accept(&front.servers[0]);
    raw_read_head(third);
    CHECK_EQ(0, raw_await_end(second));
    raw_send(third, FRONT_OK);
    CHECK(raw_read(a, "hello") > 0);
    raw_close(a);
    raw_close(b);
    raw_close(second);
    raw_close(third);
    front_close();
}

/* A younger one has shown to be alive, so it stays; the second try is fresh even so. */
STAGE_TEST(after_a_break_the_younger_idle_ones_stay_and_are_not_used)
{
    front_open(1);
    int a = front_client(), b = front_client();
    int first = front_warm(a);
    raw_send(a, FRONT_GET);
    raw_read_head(first);
    int second = front_exchange(b, -1);
    STAGE_UNTIL(front.service->pool.idle_count == 1);
    stage_turns();
    raw_close(first);
    int third = raw_accept(&front.servers[0]);
    raw_read_head(third);
    CHECK_EQ(RAW_NOTHING, raw_recv_now(second, raw_text, 1));
    CHECK_EQ(1, front.service->pool.idle_count);
    raw_send(third, FRONT_OK);
    CHECK(raw_read(a, "hello") > 0);
    raw_close(a);
    raw_close(b);
    raw_close(second);
    raw_close(third);
    front_close();
}

/* A body larger than the buffer cannot go twice. */
STAGE_TEST(a_body_over_the_replay_buffer_goes_once)
{
    front_prepare(1);
    front.upstream.retry.body_buffer = 4;
    front_start();
    int client = front_client();
    int server = front_warm(client);
    raw_send(client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    break_after_reading(server, "hello");
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 502 Bad Gateway\r\n"));
    CHECK(raw_nobody_waits(&front.servers[0]));
    raw_close(client);
    front_close();
}

/* What the client sends after the break goes on behind what was kept. */
STAGE_TEST(half_a_body_is_sent_again_and_the_rest_follows)
{
    front_open(1);
    int client = front_client();
    int server = front_warm(client);
    raw_send(client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    break_after_reading(server, "hello");
    int second = raw_accept(&front.servers[0]);
    CHECK(raw_read(second, "\r\n\r\nhello") > 0);
    raw_send(client, "world");
    CHECK(raw_read(second, "world") > 0);
    raw_send(second, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    STAGE_UNTIL(front.logged == 2);
    CHECK_EQ(2, front.record.attempts);
    raw_close(client);
    raw_close(second);
    front_close();
}

/* Accepts the moment somebody has connected, in the very turn. */
WEIR_SUSPENDS static int accept_at_once(void)
{
    int descriptor;
    do {
        (void)!co_yield ();
        descriptor = accept4(front.servers[0].descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (descriptor < 0 && weir_time_before(loop_now(&stage.loop), stage.patient_until));
    CHECK(descriptor >= 0);
    return descriptor;
}

/* An answer that is there before the request drops the buffer; what was kept goes even so. */
STAGE_TEST(a_server_that_answers_unasked_gets_no_other_body)
{
    front_open(1);
    int client = front_client();
    int server = front_warm(client);
    raw_send(client, "PUT / HTTP/1.1\r\nHost: h\r\n" CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n");
    break_after_reading(server, "0\r\n\r\n");
    int second = accept_at_once();
    raw_send(second, FRONT_OK);
    CHECK(raw_read(second, "0\r\n\r\n") > 0);
    CHECK(raw_has("hello"));
    CHECK(raw_read(client, "hello") > 0);
    raw_close(client);
    raw_close(second);
    front_close();
}

/* Server 0 refuses from now on. */
static void refuse(unsigned number)
{
    raw_close(front.servers[number].descriptor);
    front.server_options[number].addr = raw_refusing(&front.servers[number].descriptor);
}

STAGE_TEST(a_server_that_refuses_is_skipped_and_left_out_for_a_while)
{
    front_prepare(2);
    refuse(0);
    front.upstream.limits.fail_timeout = weir_span_s(30);
    front_start();
    int client = front_client();
    raw_send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    int server = raw_accept(&front.servers[1]);
    CHECK(raw_read(server, "\r\n\r\nhello") > 0);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(2, front.record.attempts);
    CHECK_EQ(1, front_retries(WEIR_E_REFUSED, RETRY_REPLAYED));
    for (int i = 0; i < 4; i++) {
        raw_send(client, FRONT_GET);
        raw_read_head(server);
        raw_send(server, FRONT_OK);
        CHECK(raw_read(client, "hello") > 0);
    }
    CHECK_EQ(1, stat_read(&front_stats()->connect_errors[WEIR_E_REFUSED]));
    raw_close(client);
    raw_close(server);
    front_close();
}

STAGE_TEST(when_all_refuse_it_is_502_after_each_was_asked_once)
{
    front_prepare(3);
    for (unsigned i = 0; i < 3; i++)
        refuse(i);
    front.upstream.retry.attempts = 9;
    front_start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 502 Bad Gateway\r\n"));
    CHECK(raw_has("Proxy-Status: weir; error=connection_refused;"));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(3, front.record.attempts);
    CHECK(!front.record.connected);
    CHECK_EQ(3, stat_read(&front_stats()->connect_errors[WEIR_E_REFUSED]));
    CHECK_EQ(2, front_retries(WEIR_E_REFUSED, RETRY_REPLAYED));
    CHECK_EQ(1, front_retries(WEIR_E_REFUSED, RETRY_REFUSED));
    raw_close(client);
    front_close();
}

STAGE_TEST(attempts_are_limited)
{
    front_prepare(3);
    for (unsigned i = 0; i < 3; i++)
        refuse(i);
    front.upstream.retry.attempts = 0;
    front_start();
    int client = front_client();
    raw_send(client, FRONT_GET);
    CHECK(raw_read_head(client));
    STAGE_UNTIL(front.logged == 1);
    CHECK_EQ(1, front.record.attempts);
    raw_close(client);
    front_close();
}

/* A client's slowness or mistake is never the server's: no retry, and the client is told. */
STAGE_TEST(a_client_that_stops_sending_is_told_so)
{
    front_prepare(1);
    front.options.client.body_timeout = weir_span_ms(20);
    front_start();
    int client = front_client();
    int server = front_warm(client);
    raw_send(client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    CHECK(raw_read_head(client));
    CHECK(raw_starts("HTTP/1.1 408 "));
    CHECK_EQ(RAW_RESET, raw_await_end(server));
    CHECK(raw_nobody_waits(&front.servers[0]));
    raw_close(client);
    raw_close(server);
    front_close();
}

STAGE_TEST(a_client_that_sends_a_malformed_body_is_told_so)
{
    front_open(1);
    int client = front_client();
    int server = front_warm(client);
    raw_send(client, "PUT / HTTP/1.1\r\nHost: h\r\n" CHUNKED "\r\n5\r\nhello\r\n");
    CHECK(raw_read(server, "hello\r\n") > 0);
    raw_send(client, "XX\r\n");
    CHECK(raw_read_all(client));
    CHECK(raw_starts("HTTP/1.1 400 "));
    CHECK(raw_has("Connection: close\r\n"));
    CHECK_EQ(RAW_RESET, raw_await_end(server));
    CHECK(raw_nobody_waits(&front.servers[0]));
    raw_close(client);
    raw_close(server);
    front_close();
}

/* ... and if nothing of it has gone to the server, its connection is as good as before. */
STAGE_TEST(a_body_that_is_malformed_at_once_costs_no_connection)
{
    front_open(1);
    int client = front_client();
    int server = front_warm(client);
    raw_send(client, "PUT / HTTP/1.1\r\nHost: h\r\n" CHUNKED "\r\nXX\r\n");
    CHECK(raw_read_all(client));
    CHECK(raw_starts("HTTP/1.1 400 "));
    STAGE_UNTIL(front.logged == 2);
    CHECK_EQ(1, front.service->pool.idle_count);
    CHECK_EQ(RAW_NOTHING, raw_recv_now(server, raw_text, 1));
    raw_close(client);
    raw_close(server);
    front_close();
}

CHECK_MAIN
