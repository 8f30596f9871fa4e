/* SPDX-License-Identifier: MIT */
/* A client's connection around its exchanges: parked, served, timed out, drained, ended. */
#include "downstream/client.h"

#include "tests/unit/downstream/host.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
enum { SHORT_MS = 20 };

TEST(defaults_are_those_of_the_contract)
{
    struct client_options options;
    memset(&options, 0x5a, sizeof options);
    client_options_init(&options);
    CHECK_EQ(60000, weir_span_to_ms(options.keepalive_timeout));
    CHECK_EQ(0, options.keepalive_request_limit);
    CHECK_EQ(AT_LIMIT_CLOSE, options.upstream_at_limit);
    CHECK_EQ(0, options.max_request_body);
    CHECK(options.header_timeout.ns > 0 && options.body_timeout.ns > 0);
    CHECK(options.write_timeout.ns > 0);
}

STAGE_TEST(between_requests_it_is_parked_without_a_coroutine_or_a_buffer)
{
    host_open(host_echo);
    size_t idle_count = stage.loop.sched.co_count;
    int client = host_client();
    CHECK(host_is_parked());
    for (int i = 0; i < 3; i++) {
        raw_send(client, GET);
        CHECK(raw_read(client, "[GET / ]") > 0);
        CHECK(raw_starts("HTTP/1.1 200 OK\r\n"));
        STAGE_UNTIL(host_is_parked());
        stage_turns();
        CHECK_EQ(idle_count, stage.loop.sched.co_count);
        CHECK_EQ(0, stage.loop.bufs.used_count);
    }
    CHECK_EQ(3, host.requests);
    raw_close(client);
    host_close();
}

/* What came before the connection was taken is not lost. */
STAGE_TEST(a_request_that_was_there_first_is_served)
{
    host_open(host_echo);
    int client = raw_dial(&host.listener.addr);
    raw_send(client, GET);
    int server = raw_accept(&host.listener);
    struct addr from = raw_addr_of(client);
    atomic_fetch_add(&host.downstream.load, 1);
    static const struct listener_options plain;
    downstream_open(&host.downstream, &plain, server, &from);
    CHECK(raw_read(client, "[GET / ]") > 0);
    raw_close(client);
    host_close();
}

STAGE_TEST(nothing_from_a_new_client_ends_it_silently)
{
    host_open(host_echo);
    host.options.header_timeout = weir_span_ms(SHORT_MS);
    int client = host_client();
    CHECK(raw_read_all(client));
    CHECK_EQ(0, strlen(raw_text));
    CHECK_EQ(0, host.requests);
    raw_close(client);
    host_close();
}

STAGE_TEST(nothing_after_a_response_ends_it_silently)
{
    host_open(host_echo);
    host.options.keepalive_timeout = weir_span_ms(SHORT_MS);
    int client = host_client();
    raw_send(client, GET);
    CHECK(raw_read(client, "[GET / ]") > 0);
    CHECK(raw_read_all(client));
    CHECK_EQ(0, strlen(raw_text));
    CHECK_EQ(1, host.requests);
    raw_close(client);
    host_close();
}

STAGE_TEST(half_a_head_is_answered_with_408)
{
    host_open(host_echo);
    host.options.header_timeout = weir_span_ms(SHORT_MS);
    int client = host_client();
    raw_send(client, "GET / HTTP/1.1\r\nHo");
    CHECK(raw_read_all(client));
    CHECK(raw_starts("HTTP/1.1 408 "));
    CHECK(raw_has("Connection: close\r\n"));
    CHECK_ERR(WEIR_E_REQUEST_TIMEOUT, host.error);
    raw_close(client);
    host_close();
}

/* The time for a head is not the time between bytes: drop by drop does not stretch it. */
STAGE_TEST(a_head_drop_by_drop_is_timed_as_a_whole)
{
    host_open(host_echo);
    host.options.header_timeout = weir_span_ms(2 * SHORT_MS);
    int client = host_client();
    struct weir_time began = loop_now(&stage.loop);
    raw_send(client, "GET / HTTP/1.1\r\nX: ");
    while (raw_is_open(client) && recv(client, raw_text, 1, MSG_DONTWAIT | MSG_PEEK) < 0) {
        raw_send(client, "x");
        if (!stage_breathe())
            break;
    }
    CHECK(weir_time_between(began, loop_now(&stage.loop)).ns < weir_span_s(2).ns);
    raw_read(client, "\r\n\r\n");
    CHECK(raw_starts("HTTP/1.1 408 "));
    raw_close(client);
    host_close();
}

STAGE_TEST(an_end_while_parked_ends_it)
{
    host_open(host_echo);
    int quiet = host_client(), reset = host_client(), served = host_client();
    raw_send(served, GET);
    CHECK(raw_read(served, "[GET / ]") > 0);
    raw_close(quiet);
    raw_reset(reset);
    raw_close(served);
    host_close();
    CHECK_EQ(1, host.requests);
}

/* Who shuts its sending side may still read: scripts with `nc -N` do that. */
STAGE_TEST(a_client_that_has_said_all_is_answered)
{
    host_open(host_echo);
    int client = host_client();
    raw_send(client, GET GET);
    shutdown(client, SHUT_WR);
    CHECK(raw_read_all(client));
    CHECK_EQ(2, host.requests);
    char *second = strstr(raw_text + 1, "HTTP/1.1 200 OK");
    CHECK(second && strstr(second, "[GET / ]"));
    raw_close(client);
    host_close();
}

static bool waiting;

/* Waits until it is canceled. */
WEIR_SUSPENDS static void wait_for_ever(void *owner, struct exchange *exchange)
{
    must(owner == &host);
    host_note(exchange);
    waiting = true;
    host.error = co_wait(WEIR_NEVER);
    waiting = false;
    exchange_fail(exchange, host.error);
}

STAGE_TEST(work_for_a_client_that_has_gone_is_canceled_after_a_grace)
{
    host_open(wait_for_ever);
    int client = host_client();
    raw_send(client, GET);
    STAGE_UNTIL(waiting);
    struct weir_time gone = loop_now(&stage.loop);
    raw_close(client);
    STAGE_UNTIL(!waiting);
    CHECK(weir_time_between(gone, loop_now(&stage.loop)).ns >= weir_span_ms(900).ns);
    CHECK_ERR(WEIR_E_CANCELED, host.error);
    host_close();
}

STAGE_TEST(cancelling_ends_what_runs)
{
    host_open(wait_for_ever);
    int client = host_client(), parked = host_client();
    raw_send(client, GET);
    STAGE_UNTIL(waiting);
    downstream_cancel(&host.downstream);
    STAGE_UNTIL(!waiting);
    CHECK_ERR(WEIR_E_CANCELED, host.error);
    CHECK(raw_await_end(client) != RAW_NOTHING);
    CHECK(raw_is_open(parked));
    raw_close(client);
    raw_close(parked);
    host_close();
}

static bool may_answer;

WEIR_SUSPENDS static void answer_later(void *owner, struct exchange *exchange)
{
    must(owner == &host);
    host_note(exchange);
    waiting = true;
    while (!may_answer)
        if (co_sleep(weir_span_ms(1)) != WEIR_OK)
            break;
    waiting = false;
    host.error = exchange_answer(exchange, 200, SLICE("text/plain"), SLICE("[late]"));
}

STAGE_TEST(draining_ends_the_parked_and_lets_the_busy_finish)
{
    host_open(answer_later);
    may_answer = false;
    int busy = host_client(), parked = host_client();
    raw_send(busy, GET GET);
    STAGE_UNTIL(waiting);
    downstream_drain(&host.downstream);
    CHECK_EQ(0, raw_await_end(parked));
    CHECK(raw_is_open(busy));
    int late = host_client();
    CHECK_EQ(0, raw_await_end(late));
    may_answer = true;
    CHECK(raw_read_all(busy));
    CHECK(raw_has("[late]"));
    CHECK(raw_has("Connection: close\r\n"));
    CHECK_EQ(1, host.requests);
    raw_close(busy);
    raw_close(parked);
    raw_close(late);
    host_close();
}

STAGE_TEST(many_clients_at_once)
{
    enum { MANY = 50 };
    int clients[MANY];
    host_open(host_echo);
    for (int i = 0; i < MANY; i++)
        clients[i] = host_client();
    CHECK_EQ(MANY, stat_read(&host.downstream.open));
    for (int i = 0; i < MANY; i++)
        raw_send(clients[i], "GET / HTTP/1.1\r\nHo");
    stage_turns();
    for (int i = 0; i < MANY; i++)
        raw_send(clients[i], "st: h\r\n\r\n");
    for (int i = 0; i < MANY; i++) {
        CHECK(raw_read(clients[i], "[GET / ]") > 0);
        raw_close(clients[i]);
    }
    CHECK_EQ(MANY, host.requests);
    host_close();
}

CHECK_MAIN
