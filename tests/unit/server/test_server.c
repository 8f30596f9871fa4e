/* SPDX-License-Identifier: MIT */
#include "co/wait.h"
#include "server/server.h"
#include "tests/unit/server/running.h"

#include <signal.h>
#include <stdatomic.h>

static _Atomic unsigned begun, ended, threads_seen;

static void set_up(unsigned threads)
{
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
    atomic_store(&threads_seen, 0);
    running_new(threads);
}

static void return_at_once(struct weir_service *service, unsigned thread)
{
    CHECK(weir_service_owner(service) == &begun);
    CHECK_EQ(loop_here()->worker, thread);
    atomic_fetch_or(&threads_seen, 1U << thread);
    atomic_fetch_add(&begun, 1);
}

WEIR_SUSPENDS static void wait_to_be_canceled(struct weir_service *service, unsigned thread)
{
    (void)service;
    (void)thread;
    atomic_fetch_add(&begun, 1);
    CHECK_ERR(WEIR_E_CANCELED, co_wait(WEIR_NEVER));
    atomic_fetch_add(&ended, 1);
}

static void stop_from_within(struct weir_service *service, unsigned thread)
{
    if (thread == 0)
        weir_server_stop(service->server, true);
}

TEST(a_server_serves_on_all_its_threads_until_it_is_stopped)
{
    set_up(3);
    struct weir_service *service = running_add(return_at_once, &begun);
    running_listen(service);
    running_start();
    for (int i = 0; i < 20; i++)
        CHECK_EQ(404, running_ask(service, 0));
    while (atomic_load(&begun) < 3)
        sched_yield();
    CHECK_EQ(7, atomic_load(&threads_seen));
    weir_server_stop(running.server, true);
    running_end();
}

TEST(without_a_listener_it_runs_until_what_was_started_has_returned)
{
    set_up(2);
    running_add(return_at_once, &begun);
    running_start();
    running_end();
    CHECK_EQ(2, atomic_load(&begun));
}

TEST(with_nothing_to_do_it_returns)
{
    set_up(2);
    running_start();
    running_end();
}

TEST(what_was_started_is_canceled_by_a_stop)
{
    for (int gracefully = 0; gracefully < 2; gracefully++) {
        set_up(2);
        running_add(wait_to_be_canceled, NULL);
        running_start();
        while (atomic_load(&begun) < 2)
            sched_yield();
        weir_server_stop(running.server, gracefully);
        running_end();
        CHECK_EQ(2, atomic_load(&ended));
    }
}

TEST(it_can_be_stopped_from_within)
{
    set_up(2);
    running_listen(running_add(stop_from_within, NULL));
    running_start();
    running_end();
}

TEST(a_stop_that_comes_before_it_runs_is_not_forgotten)
{
    set_up(2);
    running_listen(running_add(NULL, NULL));
    weir_server_stop(running.server, true);
    running_start();
    running_end();
}

TEST(a_client_that_says_nothing_does_not_hold_up_a_stop)
{
    set_up(1);
    struct weir_service *service = running_add(NULL, NULL);
    running_listen(service);
    running_start();
    CHECK_EQ(404, running_ask(service, 0));
    int silent = running_dial(service, 0);
    CHECK(silent >= 0);
    weir_server_stop(running.server, true);
    running_end();
    close(silent);
}

/* --- Handlers -------------------------------------------------------------------------------- */

WEIR_SUSPENDS static void answer(struct weir_exchange *exchange)
{
    CHECK_OK(weir_exchange_answer(exchange, 200, "text/plain", weir_str("hello")));
}

WEIR_SUSPENDS static void answer_and_stop(struct weir_exchange *exchange)
{
    answer(exchange);
    weir_server_stop(running.server, true);
}

/* Answers when it is let, unless it is canceled before. */
static _Atomic bool let_go;

WEIR_SUSPENDS static void answer_late(struct weir_exchange *exchange)
{
    enum weir_err err = WEIR_OK;
    atomic_fetch_add(&begun, 1);
    while (!err && !atomic_load(&let_go))
        err = co_sleep(weir_span_ms(1));
    if (!err)
        answer(exchange);
    else
        CHECK_ERR(WEIR_E_CANCELED, err);
    atomic_fetch_add(&ended, 1);
}

static void *ask_late(void *service)
{
    return (void *)(intptr_t)running_ask(service, 0);
}

/* A client that waits for a handler while the server is stopped: the status that it gets. */
static int ask_while_stopping(bool gracefully)
{
    pthread_t client;
    void *status = NULL;
    set_up(2);
    struct weir_service *service = running_add_handler(answer_late);
    running_listen(service);
    running_start();
    must(pthread_create(&client, NULL, ask_late, service) == 0);
    while (atomic_load(&begun) == 0)
        sched_yield();
    weir_server_stop(running.server, gracefully);
    while (!atomic_load(&running.server->workers.draining))
        sched_yield();
    atomic_store(&let_go, gracefully);
    must(pthread_join(client, &status) == 0);
    running_end();
    CHECK_EQ(1, atomic_load(&ended));
    atomic_store(&let_go, false);
    return (int)(intptr_t)status;
}

TEST(a_handler_answers_and_may_stop_the_server)
{
    set_up(2);
    struct weir_service *first = running_add_handler(answer);
    struct weir_service *second = running_add_handler(answer_and_stop);
    running_listen(first);
    running_listen(second);
    running_start();
    CHECK_EQ(200, running_ask(first, 0));
    CHECK_EQ(200, running_ask(second, 0));
    running_end();
}

TEST(a_graceful_stop_waits_for_a_handler_and_another_does_not)
{
    CHECK_EQ(200, ask_while_stopping(true));
    CHECK(ask_while_stopping(false) != 200);
}

TEST(a_server_that_never_ran_can_be_freed)
{
    set_up(4);
    running_listen(running_add(NULL, NULL));
    weir_server_free(&running.server);
    CHECK(!running.server);
    weir_server_free(&running.server);
}

TEST(signals_stop_it_where_it_may_handle_them)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    for (unsigned i = 0; i < COUNT_OF(numbers); i++) {
        set_up(2);
        running.server->handles_signals = true;
        running_add(wait_to_be_canceled, NULL);
        running_start();
        while (atomic_load(&begun) < 2)
            sched_yield();
        /* To its thread: this one has not blocked them. */
        CHECK_EQ(0, pthread_kill(running.thread, numbers[i]));
        running_end();
        CHECK_EQ(2, atomic_load(&ended));
    }
}

CHECK_MAIN
