/* SPDX-License-Identifier: MIT */
#include "server/oversee.h"

#include "tests/unit/server/crew.h"

#include <pthread.h>
#include <unistd.h>

static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, 0};

static struct signals signals;
static _Atomic unsigned others, hung, held;
static _Atomic bool let_go;

static void on_signal(void *owner, int number)
{
    CHECK(owner == &others);
    CHECK_EQ(SIGUSR1, number);
    atomic_fetch_add(&others, 1);
}

static void on_hang(void *owner)
{
    CHECK(owner == &others);
    atomic_fetch_add(&hung, 1);
    atomic_store(&let_go, true);
}

static void *oversee(void *argument)
{
    (void)argument;
    const struct overseer overseer = {
        .signals = &signals, .on_signal = on_signal, .on_hang = on_hang, .owner = &others};
    workers_oversee(&crew, &overseer);
    workers_join(&crew);
    return NULL;
}

static void set_up(void)
{
    atomic_store(&others, 0);
    atomic_store(&hung, 0);
    atomic_store(&held, 0);
    atomic_store(&let_go, false);
    crew_prepare();
    CHECK_OK(signals_open(&signals, numbers));
}

static pthread_t start(void)
{
    pthread_t thread;
    crew_open();
    crew_listen();
    CHECK_OK(workers_start(&crew));
    must(pthread_create(&thread, NULL, oversee, NULL) == 0);
    return thread;
}

static void end(pthread_t thread)
{
    must(pthread_join(thread, NULL) == 0);
    workers_close(&crew);
    signals_close(&signals);
}

TEST(a_signal_stops_them_and_others_are_handed_on)
{
    for (unsigned i = 0; i < 2; i++) {
        set_up();
        pthread_t thread = start();
        CHECK_EQ(0, kill(getpid(), SIGUSR1));
        while (atomic_load(&others) == 0)
            sched_yield();
        CHECK(!atomic_load(&crew.draining));
        CHECK_EQ(0, kill(getpid(), numbers[i]));
        end(thread);
        CHECK(atomic_load(&crew.draining));
        CHECK_EQ(0, atomic_load(&hung));
    }
}

/* Keeps its worker from all else until it may end. */
static void hold_up(struct weir_service *service, unsigned thread)
{
    (void)service;
    (void)thread;
    atomic_fetch_add(&held, 1);
    while (!atomic_load(&let_go))
        sched_yield();
}

TEST(workers_that_do_not_end_in_time_are_told_of_once)
{
    set_up();
    crew_service.started = hold_up;
    crew_options.grace_period = weir_span_ms(1);
    crew_options.shutdown_timeout = weir_span_ms(20);
    pthread_t thread = start();
    workers_ask_stop(&crew, true);
    end(thread);
    CHECK_EQ(1, atomic_load(&hung));
}

/* SIGTERM grants a minute, which SIGINT takes back: what hangs is told of long before. */
TEST(sigint_hastens_what_sigterm_began)
{
    set_up();
    crew_service.started = hold_up;
    crew_options.shutdown_timeout = weir_span_ms(20);
    pthread_t thread = start();
    CHECK_EQ(0, kill(getpid(), SIGTERM));
    while (!atomic_load(&crew.draining))
        sched_yield();
    CHECK_EQ(0, kill(getpid(), SIGINT));
    end(thread);
    CHECK_EQ(1, atomic_load(&hung));
}

CHECK_MAIN
