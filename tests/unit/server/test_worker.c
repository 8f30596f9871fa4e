/* SPDX-License-Identifier: MIT */
/* What coroutines of the program meet on a worker that ends. */
#include "tests/unit/server/crew.h"

static _Atomic unsigned spawned, canceled, again, spawned_late;
static _Atomic bool started_ended;

static void run_crew(weir_started_fn *started)
{
    atomic_store(&spawned, 0);
    atomic_store(&canceled, 0);
    atomic_store(&again, 0);
    atomic_store(&spawned_late, 0);
    atomic_store(&started_ended, false);
    crew_prepare();
    crew_service.started = started;
    crew_options.count = 1;
    crew_open();
    crew_listen();
    CHECK_OK(workers_start(&crew));
    while (atomic_load(&spawned) == 0)
        sched_yield();
}

static void end_crew(void)
{
    crew_await_running(0);
    workers_end(&crew);
    workers_join(&crew);
    workers_close(&crew);
}

WEIR_SUSPENDS static void wait_for_ever(void *argument)
{
    (void)argument;
    atomic_fetch_add(&spawned, 1);
    CHECK_ERR(WEIR_E_CANCELED, co_wait(WEIR_NEVER));
    CHECK(atomic_load(&started_ended));
    atomic_fetch_add(&canceled, 1);
}

struct pause {
    struct timer timer;
    struct co *co;
};

static void on_pause_over(struct timer *timer)
{
    co_wake(container_of(timer, struct pause, timer)->co);
}

/* Is there until it is canceled, and takes its time to end. */
WEIR_SUSPENDS static void spawn_and_wait(struct weir_service *service, unsigned thread)
{
    (void)service;
    (void)thread;
    CHECK_OK(weir_spawn(weir_loop_here(), wait_for_ever, NULL));
    CHECK_ERR(WEIR_E_CANCELED, co_wait(WEIR_NEVER));
    struct pause pause = {.co = co_self()};
    timer_init(&pause.timer, on_pause_over);
    loop_timer_arm(loop_here(), &pause.timer, weir_span_ms(5));
    co_wait_firm();
    atomic_store(&started_ended, true);
}

TEST(what_was_spawned_goes_after_what_was_started)
{
    run_crew(spawn_and_wait);
    workers_drain(&crew);
    end_crew();
    CHECK_EQ(1, atomic_load(&canceled));
}

WEIR_SUSPENDS static void spawn_when_canceled(void *argument)
{
    atomic_fetch_add(&spawned, 1);
    CHECK_ERR(WEIR_E_CANCELED, co_wait(WEIR_NEVER));
    if (atomic_fetch_add(&again, 1) < 3)
        CHECK_OK(weir_spawn(weir_loop_here(), spawn_when_canceled, argument));
}

static void spawn_stubborn(struct weir_service *service, unsigned thread)
{
    (void)service;
    (void)thread;
    CHECK_OK(weir_spawn(weir_loop_here(), spawn_when_canceled, NULL));
}

TEST(one_that_spawns_another_when_it_is_canceled_does_not_hold_up_the_end)
{
    run_crew(spawn_stubborn);
    workers_drain(&crew);
    end_crew();
    CHECK_EQ(4, atomic_load(&again));
}

TEST(a_stop_cancels_what_was_spawned_too)
{
    run_crew(spawn_stubborn);
    workers_drain(&crew);
    workers_stop(&crew);
    end_crew();
    CHECK_EQ(4, atomic_load(&again));
}

CHECK_MAIN
