/* SPDX-License-Identifier: MIT */
#include "io/loop.h"

#include "base/clock.h"
#include "tests/unit/io/drive.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void read_the_time(const struct backend_ops *ops)
{
    struct loop loop;
    struct weir_time before = clock_monotonic();
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = ops, .worker = 3}));
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

TEST_EACH_KERNEL(time_is_the_turn_s, read_the_time)

static unsigned fired;

static void count_firing(struct timer *timer)
{
    (void)timer;
    fired++;
}

static void wait_for_a_timer(const struct backend_ops *ops)
{
    struct loop loop;
    struct timer timer;
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = ops}));
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

TEST_EACH_KERNEL(a_turn_ends_when_a_timer_is_due, wait_for_a_timer)

static void yield_often(struct drive *drive)
{
    uint64_t turn = drive->loop.turn;
    for (int i = 0; i < 100000; i++)
        CHECK_OK(co_yield ());
    CHECK(drive->loop.turn > turn); /* the world is looked at meanwhile */
}

DRIVE_EACH(busy_coroutines_do_not_starve_the_world, yield_often)

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

DRIVE_EACH(a_mail_from_another_thread_ends_the_wait, wait_for_mail)

static void *stop(void *argument)
{
    loop_stop(argument);
    return NULL;
}

static void be_stopped(const struct backend_ops *ops)
{
    struct loop loop;
    pthread_t thread;
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = ops}));
    CHECK_EQ(0, pthread_create(&thread, NULL, stop, &loop));
    loop_run(&loop);
    pthread_join(thread, NULL);
    loop_fini(&loop);
}

TEST_EACH_KERNEL(another_thread_may_stop_the_loop, be_stopped)

static void interrupt_before(const struct backend_ops *ops)
{
    struct loop loop;
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = ops}));
    for (int i = 0; i < 3; i++) {
        loop.ops->interrupt(loop.backend);
        loop.ops->interrupt(loop.backend);
        loop_turn(&loop, WEIR_NEVER);
    }
    CHECK_EQ(3, loop.turn);
    loop_fini(&loop);
}

TEST_EACH_KERNEL(an_interrupt_before_the_wait_counts_too, interrupt_before)

/* Of loops that wait without end as of loops that have no time to wait. */

enum { POSTERS = 2, POSTS = 4000 };

struct letters {
    struct loop *loop;
    struct letter {
        struct mail mail;
        struct letters *all;
    } each[POSTS];
    unsigned read;
};

static void read_letter(struct mail *mail)
{
    container_of(mail, struct letter, mail)->all->read++;
}

/* In bursts of all lengths; between them the loop has the time to fall asleep, or has not. */
static void *post_letters(void *argument)
{
    struct letters *letters = argument;
    for (int i = 0; i < POSTS; i++) {
        letters->each[i] = (struct letter){{.deliver = read_letter}, letters};
        loop_post(letters->loop, &letters->each[i].mail);
        if (i % 7 == 0)
            sched_yield();
    }
    return NULL;
}

static void receive_letters(struct drive *drive, bool busy)
{
    struct letters *letters = calloc(POSTERS, sizeof *letters);
    pthread_t threads[POSTERS];
    struct weir_time deadline = within_s(drive, 20);
    must(letters);
    for (int i = 0; i < POSTERS; i++) {
        letters[i].loop = &drive->loop;
        CHECK_EQ(0, pthread_create(&threads[i], NULL, post_letters, &letters[i]));
    }
    while (letters[0].read + letters[1].read < POSTERS * POSTS) {
        enum weir_err err = busy ? co_yield () : co_sleep(weir_span_ns(1));
        if (!CHECK_OK(err) || !CHECK(weir_time_before(loop_now(&drive->loop), deadline)))
            break;
    }
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    let_turn(drive, 2);
    CHECK_EQ(POSTS, letters[0].read);
    CHECK_EQ(POSTS, letters[1].read);
    free(letters);
}

static void receive_letters_at_work(struct drive *drive)
{
    receive_letters(drive, true);
}

static void receive_letters_between_naps(struct drive *drive)
{
    receive_letters(drive, false);
}

DRIVE_EACH(no_mail_is_lost_while_the_loop_works, receive_letters_at_work)
DRIVE_EACH(no_mail_is_lost_while_the_loop_naps, receive_letters_between_naps)

/* Each letter goes back by the loop, which waits without end for the next one. */
struct echo {
    struct mail mail;
    struct loop *loop;
    unsigned count;
    _Atomic unsigned answered;
};

static void answer_letter(struct mail *mail)
{
    struct echo *echo = container_of(mail, struct echo, mail);
    echo->count++;
    atomic_fetch_add(&echo->answered, 1);
    if (echo->count == POSTS)
        loop_stop(echo->loop);
}

static void *post_one_by_one(void *argument)
{
    struct echo *echo = argument;
    for (unsigned i = 0; i < POSTS; i++) {
        echo->mail.deliver = answer_letter;
        loop_post(echo->loop, &echo->mail);
        while (atomic_load(&echo->answered) <= i)
            sched_yield();
    }
    return NULL;
}

static void wake_up_often(const struct backend_ops *ops)
{
    struct loop loop;
    pthread_t thread;
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = ops}));
    struct echo echo = {.loop = &loop};
    CHECK_EQ(0, pthread_create(&thread, NULL, post_one_by_one, &echo));
    loop_run(&loop);
    pthread_join(thread, NULL);
    CHECK_EQ(POSTS, echo.count);
    CHECK(loop.turn <= 2 * POSTS + 2); /* it slept between them */
    loop_fini(&loop);
}

TEST_EACH_KERNEL(each_mail_wakes_a_loop_that_sleeps, wake_up_often)

/* Nobody reads the last interrupts of a loop; it must end all the same. */
static void end_interrupted(const struct backend_ops *ops)
{
    unsigned descriptors = count_descriptors();
    for (unsigned i = 0; i < 64; i++) {
        struct loop loop;
        CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = ops}));
        if (i & 1)
            loop.ops->interrupt(loop.backend);
        if (i & 2)
            loop_turn(&loop, loop_now(&loop));
        if (i & 4)
            loop.ops->interrupt(loop.backend);
        if (i & 8)
            loop_turn(&loop, loop_now(&loop));
        if (i & 16)
            loop_turn(&loop, loop_now(&loop));
        if (i & 32)
            loop.ops->interrupt(loop.backend);
        loop_fini(&loop);
    }
    CHECK_EQ(descriptors, count_descriptors());
}

TEST_EACH_KERNEL(a_loop_ends_whatever_interrupts_are_left, end_interrupted)

static void stop_often(const struct backend_ops *ops)
{
    for (int i = 0; i < 200; i++) {
        struct loop loop;
        pthread_t thread;
        CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = ops}));
        CHECK_EQ(0, pthread_create(&thread, NULL, stop, &loop));
        if (i % 2)
            loop_turn(&loop, loop_now(&loop));
        loop_run(&loop);
        pthread_join(thread, NULL);
        loop_fini(&loop);
    }
}

TEST_EACH_KERNEL(a_stop_is_never_missed, stop_often)

/* What it needs are two descriptors at least, and there is one. */
static void find_no_room(const struct backend_ops *ops)
{
    struct loop loop;
    struct rlimit before, now;
    int next = dup(STDERR_FILENO);
    CHECK(next >= 0);
    close(next);
    CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    now = (struct rlimit){(rlim_t)next + 1, before.rlim_max};
    CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &now));
    CHECK_ERR(WEIR_E_NO_DESCRIPTORS, loop_init(&loop, &(struct loop_options){.ops = ops}));
    CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    CHECK(!loop.bufs.free);
    CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = ops}));
    loop_fini(&loop);
}

TEST_EACH_KERNEL(a_loop_that_cannot_be_had_leaves_nothing, find_no_room)

CHECK_MAIN
