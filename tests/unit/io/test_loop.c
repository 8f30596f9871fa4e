/* SPDX-License-Identifier: MIT */
#include "io/loop.h"

#include "base/clock.h"
#include "tests/unit/io/drive.h"

#include <pthread.h>

TEST(time_is_the_turn_s)
{
    struct loop loop;
    struct weir_time before = clock_monotonic();
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = &epoll_ops, .worker = 3}));
    CHECK(loop_here() == &loop);
    CHECK_EQ(3, loop.worker);
    CHECK(loop_now(&loop).ns >= before.ns);
    CHECK(weir_time_is_never(loop_deadline(&loop, WEIR_FOREVER)));
    CHECK_EQ(loop_now(&loop).ns + 5000000, loop_deadline(&loop, weir_span_ms(5)).ns);
    struct weir_time now = loop_now(&loop);
    loop_turn(&loop, now);
    CHECK(loop_now(&loop).ns >= now.ns);
    CHECK_EQ(1, loop.turn);
    loop_turn(&loop, weir_time_after(loop_now(&loop), weir_span_ms(10)));
    CHECK(weir_time_between(now, loop_now(&loop)).ns >= 10000000);
    loop_fini(&loop);
}

static unsigned fired;

static void count_firing(struct timer *timer)
{
    (void)timer;
    fired++;
}

TEST(a_turn_ends_when_a_timer_is_due)
{
    struct loop loop;
    struct timer timer;
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = &epoll_ops}));
    timer_init(&timer, count_firing);
    struct weir_time due = loop_deadline(&loop, weir_span_ms(10));
    loop_timer_arm(&loop, &timer, weir_span_ms(10));
    for (fired = 0; fired == 0;)
        loop_turn(&loop, WEIR_NEVER);
    CHECK(loop_now(&loop).ns >= due.ns);
    CHECK(loop.turn <= 5); /* it waits rather than asks */
    loop_timer_arm(&loop, &timer, weir_span_ms(10));
    loop_timer_disarm(&loop, &timer);
    loop_turn(&loop, weir_time_after(loop_now(&loop), weir_span_ms(20)));
    CHECK_EQ(1, fired);
    loop_fini(&loop);
}

static void yield_often(struct drive *drive)
{
    uint64_t turn = drive->loop.turn;
    for (int i = 0; i < 100000; i++)
        CHECK_OK(co_yield ());
    CHECK(drive->loop.turn > turn); /* the world is looked at meanwhile */
}

TEST(busy_coroutines_do_not_starve_the_world)
{
    drive(yield_often);
}

struct poster {
    struct loop *loop;
    struct mail mail;
    struct co *waiting;
    bool come;
};

static void come(struct mail *mail)
{
    struct poster *poster = container_of(mail, struct poster, mail);
    CHECK(loop_here() == poster->loop && !co_self());
    poster->come = true;
    co_wake(poster->waiting);
}

static void *post(void *argument)
{
    struct poster *poster = argument;
    loop_post(poster->loop, &poster->mail);
    return NULL;
}

static void wait_for_mail(struct drive *drive)
{
    struct poster poster = {.loop = &drive->loop, .mail.deliver = come, .waiting = co_self()};
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        poster.come = false;
        CHECK_EQ(0, pthread_create(&thread, NULL, post, &poster));
        while (!poster.come)
            if (!CHECK_OK(co_wait(within_s(drive, 10))))
                break;
        pthread_join(thread, NULL);
    }
}

TEST(a_mail_from_another_thread_ends_the_wait)
{
    drive(wait_for_mail);
}

static void *stop(void *argument)
{
    loop_stop(argument);
    return NULL;
}

TEST(another_thread_may_stop_the_loop)
{
    struct loop loop;
    pthread_t thread;
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = &epoll_ops}));
    CHECK_EQ(0, pthread_create(&thread, NULL, stop, &loop));
    loop_run(&loop);
    pthread_join(thread, NULL);
    loop_fini(&loop);
}

TEST(an_interrupt_before_the_wait_counts_too)
{
    struct loop loop;
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = &epoll_ops}));
    for (int i = 0; i < 3; i++) {
        loop.ops->interrupt(loop.backend);
        loop.ops->interrupt(loop.backend);
        loop_turn(&loop, WEIR_NEVER);
    }
    CHECK_EQ(3, loop.turn);
    loop_fini(&loop);
}

CHECK_MAIN
