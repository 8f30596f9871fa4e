/* SPDX-License-Identifier: MIT */
#include "co/wait.h"

#include "tests/check.h"
#include "tests/unit/co/drive.h"

/* A coroutine that waits once: how, and what came of it. */
struct waiting {
    struct weir_time deadline;
    struct wait_queue *queue;
    enum weir_err got;
    int64_t ended_ms; /* 0 as long as it waits */
    int rank;         /* the how-manieth to end */
};

static int ended_count;

static void wait_once(void *argument)
{
    struct waiting *waiting = argument;
    waiting->got = waiting->queue ? wait_on(waiting->queue, waiting->deadline)
                                  : co_wait(waiting->deadline);
    waiting->ended_ms = sched_here()->now.ns / 1000000;
    waiting->rank = ++ended_count;
}

static struct co *spawn_waiting(struct sched *sched, struct waiting *waiting)
{
    struct co *co = NULL;
    CHECK_OK(co_spawn(sched, NULL, "waiting", wait_once, waiting, &co));
    return co;
}

static void begin(struct sched *sched)
{
    ended_count = 0;
    sched_init(sched, at_ms(1000), 100);
}

TEST(a_wake_ends_a_wait)
{
    struct sched sched;
    struct waiting waiting = {.deadline = WEIR_NEVER};
    begin(&sched);
    struct co *co = spawn_waiting(&sched, &waiting);
    sched_run(&sched);
    CHECK_EQ(CO_PARKED, co->state);
    CHECK(weir_time_is_never(timers_next(&sched.timers)));
    co_wake(co);
    co_wake(co);
    CHECK_EQ(0, ended_count);
    sched_run(&sched);
    CHECK_EQ(1, ended_count);
    CHECK_OK(waiting.got);
    sched_fini(&sched);
}

TEST(a_deadline_ends_a_wait)
{
    struct sched sched;
    struct waiting waiting = {.deadline = at_ms(1250)};
    begin(&sched);
    spawn_waiting(&sched, &waiting);
    drive_until(&sched, at_ms(1249));
    CHECK_EQ(0, ended_count);
    drive_until(&sched, at_ms(1252));
    sched_run(&sched);
    CHECK_ERR(WEIR_E_TIMEOUT, waiting.got);
    CHECK(waiting.ended_ms >= 1250 && waiting.ended_ms <= 1252);
    CHECK_EQ(0, sched.timers.count);
    sched_fini(&sched);
}

TEST(a_wake_disarms_the_deadline)
{
    struct sched sched;
    struct waiting waiting = {.deadline = at_ms(1250)};
    begin(&sched);
    struct co *co = spawn_waiting(&sched, &waiting);
    sched_run(&sched);
    CHECK_EQ(1, sched.timers.count);
    co_wake(co);
    CHECK_EQ(0, sched.timers.count);
    drive(&sched);
    CHECK_OK(waiting.got);
    CHECK_EQ(1000, waiting.ended_ms);
    sched_fini(&sched);
}

TEST(a_wake_beats_a_timeout_that_has_not_run)
{
    struct sched sched;
    struct waiting waiting = {.deadline = at_ms(1001)};
    begin(&sched);
    struct co *co = spawn_waiting(&sched, &waiting);
    sched_run(&sched);
    sched.now = at_ms(1010);
    CHECK_EQ(1, timers_expire(&sched.timers, sched.now));
    co_wake(co);
    sched_run(&sched);
    CHECK_OK(waiting.got);
    sched_fini(&sched);
}

TEST(a_deadline_in_the_past_lets_others_run_first)
{
    struct sched sched;
    struct waiting past = {.deadline = at_ms(900)}, now = {.deadline = at_ms(1000)};
    struct waiting queued = {.deadline = WEIR_NEVER};
    begin(&sched);
    struct co *other = spawn_waiting(&sched, &queued);
    sched_run(&sched);
    spawn_waiting(&sched, &past);
    spawn_waiting(&sched, &now);
    co_wake(other);
    sched_run(&sched);
    CHECK_EQ(1, queued.rank);
    CHECK_EQ(2, past.rank);
    CHECK_EQ(3, now.rank);
    CHECK_ERR(WEIR_E_TIMEOUT, past.got);
    CHECK_ERR(WEIR_E_TIMEOUT, now.got);
    sched_fini(&sched);
}

static void wake_it(void *argument)
{
    co_wake(argument);
}

TEST(a_deadline_in_the_past_may_still_be_woken)
{
    struct sched sched;
    struct waiting past = {.deadline = at_ms(0)};
    begin(&sched);
    struct co *co = spawn_waiting(&sched, &past);
    CHECK_OK(co_spawn(&sched, NULL, "waker", wake_it, co, NULL));
    sched_run(&sched);
    CHECK_OK(past.got);
    sched_fini(&sched);
}

TEST(cancelling_ends_the_present_wait)
{
    struct sched sched;
    struct waiting waiting = {.deadline = at_ms(2000)};
    begin(&sched);
    struct co *co = spawn_waiting(&sched, &waiting);
    sched_run(&sched);
    co_cancel(co);
    co_wake(co);
    sched_run(&sched);
    CHECK_ERR(WEIR_E_CANCELED, waiting.got);
    CHECK_EQ(1000, waiting.ended_ms);
    sched_fini(&sched);
}

static void wait_while_canceled(void *argument)
{
    struct sched *sched = sched_here();
    struct wait_queue queue;
    wait_queue_init(&queue);
    uint64_t before = sched->switch_count;
    CHECK_ERR(WEIR_E_CANCELED, co_wait(WEIR_NEVER));
    CHECK_ERR(WEIR_E_CANCELED, co_wait(at_ms(0)));
    CHECK_ERR(WEIR_E_CANCELED, co_yield());
    CHECK_ERR(WEIR_E_CANCELED, co_sleep(weir_span_ms(5)));
    CHECK_ERR(WEIR_E_CANCELED, wait_on(&queue, WEIR_NEVER));
    CHECK(wait_queue_is_empty(&queue));
    CHECK_EQ(before, sched->switch_count);
    *(bool *)argument = true;
}

TEST(who_is_canceled_waits_no_more)
{
    struct sched sched;
    struct co *co;
    bool ended = false;
    begin(&sched);
    CHECK_OK(co_spawn(&sched, NULL, "canceled", wait_while_canceled, &ended, &co));
    co_cancel(co);
    sched_run(&sched);
    CHECK(ended);
    sched_fini(&sched);
}

static void wait_firmly(void *argument)
{
    co_wait_firm();
    *(enum weir_err *)argument = co_wait(WEIR_NEVER);
}

TEST(a_firm_wait_is_not_canceled)
{
    struct sched sched;
    struct co *co;
    enum weir_err after = WEIR_OK;
    begin(&sched);
    CHECK_OK(co_spawn(&sched, NULL, "firm", wait_firmly, &after, &co));
    sched_run(&sched);
    co_cancel(co);
    sched_run(&sched);
    CHECK_EQ(CO_PARKED, co->state);
    CHECK_OK(after);
    co_wake(co);
    sched_run(&sched);
    CHECK_ERR(WEIR_E_CANCELED, after);
    CHECK_EQ(0, sched.co_count);
    sched_fini(&sched);
}

static void wait_again_after_uncancel(void *argument)
{
    CHECK_ERR(WEIR_E_CANCELED, co_wait(WEIR_NEVER));
    CHECK_ERR(WEIR_E_CANCELED, co_yield());
    co_uncancel();
    CHECK_OK(co_yield());
    *(enum weir_err *)argument = co_wait(at_ms(1010));
}

TEST(a_cancellation_can_be_taken_back)
{
    struct sched sched;
    struct co *co;
    enum weir_err after = WEIR_OK;
    begin(&sched);
    CHECK_OK(co_spawn(&sched, NULL, "uncanceled", wait_again_after_uncancel, &after, &co));
    sched_run(&sched);
    co_cancel(co);
    drive(&sched);
    CHECK_ERR(WEIR_E_TIMEOUT, after);
    CHECK_EQ(0, sched.co_count);
    sched_fini(&sched);
}

static void sleep_twice(void *argument)
{
    int64_t *woke_ms = argument;
    CHECK_OK(co_sleep(weir_span_ms(70)));
    woke_ms[0] = sched_here()->now.ns / 1000000;
    CHECK_OK(co_sleep(weir_span_s(3600)));
    woke_ms[1] = sched_here()->now.ns / 1000000;
}

TEST(sleeping_takes_its_time_even_when_woken)
{
    struct sched sched;
    struct co *co;
    int64_t woke_ms[2] = {0, 0};
    begin(&sched);
    CHECK_OK(co_spawn(&sched, NULL, "sleeper", sleep_twice, woke_ms, &co));
    sched_run(&sched);
    co_wake(co);
    drive(&sched);
    CHECK(woke_ms[0] >= 1070 && woke_ms[0] <= 1072);
    CHECK(woke_ms[1] >= woke_ms[0] + 3600000 && woke_ms[1] <= woke_ms[0] + 3600002);
    sched_fini(&sched);
}

TEST(a_queue_wakes_in_order)
{
    struct sched sched;
    struct wait_queue queue;
    struct waiting waiting[4];
    begin(&sched);
    wait_queue_init(&queue);
    CHECK(!wait_wake_one(&queue));
    for (int i = 0; i < 4; i++) {
        waiting[i] = (struct waiting){.deadline = WEIR_NEVER, .queue = &queue};
        spawn_waiting(&sched, &waiting[i]);
    }
    sched_run(&sched);
    CHECK(wait_wake_one(&queue));
    sched_run(&sched);
    CHECK_EQ(1, ended_count);
    CHECK_EQ(1, waiting[0].rank);
    wait_wake_all(&queue);
    CHECK(wait_queue_is_empty(&queue));
    sched_run(&sched);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(i + 1, waiting[i].rank);
        CHECK_OK(waiting[i].got);
    }
    sched_fini(&sched);
}

TEST(who_times_out_leaves_the_queue)
{
    struct sched sched;
    struct wait_queue queue;
    begin(&sched);
    wait_queue_init(&queue);
    struct waiting waiting = {.deadline = at_ms(1005), .queue = &queue};
    spawn_waiting(&sched, &waiting);
    drive(&sched);
    CHECK_ERR(WEIR_E_TIMEOUT, waiting.got);
    CHECK(wait_queue_is_empty(&queue));
    CHECK(!wait_wake_one(&queue));
    sched_fini(&sched);
}

TEST(a_wake_is_not_lost_on_one_who_was_canceled)
{
    struct sched sched;
    struct wait_queue queue;
    begin(&sched);
    wait_queue_init(&queue);
    struct waiting first = {.deadline = WEIR_NEVER, .queue = &queue}, second = first;
    struct co *canceled = spawn_waiting(&sched, &first);
    spawn_waiting(&sched, &second);
    sched_run(&sched);
    co_cancel(canceled);
    CHECK(wait_wake_one(&queue));
    sched_run(&sched);
    CHECK_ERR(WEIR_E_CANCELED, first.got);
    CHECK_OK(second.got);
    CHECK_EQ(2, ended_count);
    sched_fini(&sched);
}

TEST(a_wake_counts_for_one_who_just_timed_out)
{
    struct sched sched;
    struct wait_queue queue;
    begin(&sched);
    wait_queue_init(&queue);
    struct waiting waiting = {.deadline = at_ms(1005), .queue = &queue};
    spawn_waiting(&sched, &waiting);
    sched_run(&sched);
    sched.now = at_ms(1006);
    timers_expire(&sched.timers, sched.now);
    CHECK(wait_wake_one(&queue));
    sched_run(&sched);
    CHECK_OK(waiting.got);
    sched_fini(&sched);
}

CHECK_MAIN
