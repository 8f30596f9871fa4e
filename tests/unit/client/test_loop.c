/* SPDX-License-Identifier: MIT */
#include "client/loop.h"

#include "tests/check.h"
#include "tests/unit/io/kernels.h"

#include <poll.h>
#include <pthread.h>

enum { PATIENCE_MS = 5000 };

static struct weir_loop_options options_over(const struct backend_ops *ops)
{
    struct weir_loop_options options;
    weir_loop_options_init(&options);
    options.io = ops == &uring_ops ? WEIR_IO_URING : WEIR_IO_EPOLL;
    return options;
}

static void count_one(void *argument)
{
    ++*(unsigned *)argument;
}

static void spawn_three(void *argument)
{
    for (unsigned i = 0; i < 3; i++)
        CHECK_OK(weir_spawn(weir_loop_here(), count_one, argument));
}

static void run_all(const struct backend_ops *ops)
{
    struct weir_loop_options options = options_over(ops);
    unsigned count = 0, descriptors = count_descriptors();
    CHECK_OK(weir_run(&options, spawn_three, &count));
    CHECK_EQ(3, count);
    CHECK_EQ(descriptors, count_descriptors());
}
TEST_EACH_KERNEL(run_waits_for_all_that_was_spawned, run_all)

TEST(run_needs_no_options)
{
    unsigned count = 0;
    CHECK_OK(weir_run(NULL, count_one, &count));
    CHECK_EQ(1, count);
}

static void sleep_and_count(void *argument)
{
    struct weir_time began = weir_now();
    CHECK_OK(weir_sleep(weir_span_ms(3)));
    CHECK(weir_time_between(began, weir_now()).ns >= 3000000);
    CHECK_OK(weir_yield());
    count_one(argument);
}

TEST(a_loop_runs_more_than_once)
{
    struct weir_loop *loop = NULL;
    unsigned count = 0;
    CHECK_OK(weir_loop_new(NULL, &loop));
    CHECK(weir_loop_here() == loop);
    for (unsigned i = 1; i <= 3; i++) {
        CHECK(!weir_loop_is_busy(loop));
        CHECK_OK(weir_spawn(loop, sleep_and_count, &count));
        CHECK(weir_loop_is_busy(loop));
        weir_loop_run(loop);
        CHECK_EQ(i, count);
    }
    weir_loop_free(&loop);
    CHECK(!loop);
    weir_loop_free(&loop);
}

TEST(coroutines_have_a_limit)
{
    struct weir_loop_options options;
    struct weir_loop *loop = NULL;
    unsigned count = 0;
    weir_loop_options_init(&options);
    options.coroutines_max = 2;
    CHECK_OK(weir_loop_new(&options, &loop));
    CHECK_OK(weir_spawn(loop, count_one, &count));
    CHECK_OK(weir_spawn(loop, count_one, &count));
    CHECK_ERR(WEIR_E_LIMIT, weir_spawn(loop, count_one, &count));
    weir_loop_free(&loop);
    CHECK_EQ(2, count);
}

static void sleep_for_ever(void *argument)
{
    enum weir_err *err = argument;
    *err = weir_sleep(weir_span_s(1000000));
}

TEST(free_cancels_who_is_left)
{
    struct weir_loop *loop = NULL;
    enum weir_err err = WEIR_OK;
    CHECK_OK(weir_loop_new(NULL, &loop));
    CHECK_OK(weir_spawn(loop, sleep_for_ever, &err));
    weir_loop_step(loop);
    weir_loop_free(&loop);
    CHECK_ERR(WEIR_E_CANCELED, err);
}

static void begin_another(void *argument)
{
    CHECK_ERR(WEIR_E_CANCELED, weir_sleep(weir_span_s(1000000)));
    CHECK_OK(weir_spawn(weir_loop_here(), sleep_for_ever, argument));
}

TEST(free_cancels_who_begins_meanwhile)
{
    struct weir_loop *loop = NULL;
    enum weir_err err = WEIR_OK;
    alarm(10); /* else it is waited for */
    CHECK_OK(weir_loop_new(NULL, &loop));
    CHECK_OK(weir_spawn(loop, begin_another, &err));
    weir_loop_step(loop);
    weir_loop_free(&loop);
    CHECK_ERR(WEIR_E_CANCELED, err);
    alarm(0);
}

static void *stop_from_a_thread(void *argument)
{
    weir_loop_stop(argument);
    return NULL;
}

TEST(another_thread_may_stop_it)
{
    struct weir_loop *loop = NULL;
    enum weir_err err = WEIR_OK;
    pthread_t thread;
    CHECK_OK(weir_loop_new(NULL, &loop));
    CHECK_OK(weir_spawn(loop, sleep_for_ever, &err));
    must(pthread_create(&thread, NULL, stop_from_a_thread, loop) == 0);
    weir_loop_run(loop);
    must(pthread_join(thread, NULL) == 0);
    CHECK(weir_loop_is_busy(loop));
    weir_loop_free(&loop);
}

/* A pipe that another coroutine writes to. */
struct pipe_play {
    int ends[2];
    enum weir_err first, second, third;
};

static void write_one(void *argument)
{
    struct pipe_play *play = argument;
    CHECK_OK(weir_sleep(weir_span_ms(2)));
    CHECK_EQ(1, write(play->ends[1], "x", 1));
}

static void wait_for_pipe(void *argument)
{
    struct pipe_play *play = argument;
    play->first = weir_wait_fd(play->ends[0], WEIR_READABLE, weir_in(weir_span_ms(1)));
    CHECK_OK(weir_spawn(weir_loop_here(), write_one, play));
    play->second = weir_wait_fd(play->ends[0], WEIR_READABLE, weir_in(weir_span_ms(PATIENCE_MS)));
    play->third = weir_wait_fd(play->ends[1], WEIR_WRITABLE, WEIR_NEVER);
}

static void wait_for_descriptors(const struct backend_ops *ops)
{
    struct weir_loop_options options = options_over(ops);
    struct pipe_play play;
    must(pipe(play.ends) == 0);
    CHECK_OK(weir_run(&options, wait_for_pipe, &play));
    CHECK_ERR(WEIR_E_TIMEOUT, play.first);
    CHECK_OK(play.second);
    CHECK_OK(play.third);
    close(play.ends[0]);
    close(play.ends[1]);
}
TEST_EACH_KERNEL(a_descriptor_is_waited_for, wait_for_descriptors)

struct parent {
    unsigned count;
    enum weir_err child, join;
};

static void child_sleeps(void *argument)
{
    struct parent *parent = argument;
    parent->child = weir_sleep(weir_span_s(1000000));
}

static void open_scopes(void *argument)
{
    struct parent *parent = argument;
    struct weir_scope *scope = NULL;
    CHECK_OK(weir_scope_open(&scope));
    CHECK_OK(weir_scope_spawn(scope, sleep_and_count, &parent->count));
    CHECK_OK(weir_scope_spawn(scope, sleep_and_count, &parent->count));
    parent->join = weir_scope_join(&scope);
    CHECK(!scope);
    CHECK_EQ(2, parent->count);
    CHECK_OK(weir_scope_open(&scope));
    CHECK_OK(weir_scope_spawn(scope, child_sleeps, parent));
    CHECK_OK(weir_yield());
    weir_scope_cancel(scope);
    CHECK_OK(weir_scope_join(&scope));
}

TEST(a_scope_joins_its_children)
{
    struct parent parent = {.join = WEIR_E_IO};
    CHECK_OK(weir_run(NULL, open_scopes, &parent));
    CHECK_OK(parent.join);
    CHECK_ERR(WEIR_E_CANCELED, parent.child);
}

/* As a program with a loop of its own does. */
static void drive_from_outside(const struct backend_ops *ops)
{
    struct weir_loop_options options = options_over(ops);
    struct weir_loop *loop = NULL;
    unsigned count = 0, waits = 0;
    int descriptor = -1, again = -1;
    CHECK_OK(weir_loop_new(&options, &loop));
    CHECK_OK(weir_loop_fd(loop, &descriptor));
    CHECK_OK(weir_loop_fd(loop, &again));
    CHECK_EQ(descriptor, again);
    CHECK_OK(weir_spawn(loop, sleep_and_count, &count));
    weir_loop_step(loop);
    while (weir_loop_is_busy(loop) && waits < 1000) {
        struct pollfd poll_fd = {.fd = descriptor, .events = POLLIN};
        waits++;
        if (!CHECK_EQ(1, poll(&poll_fd, 1, PATIENCE_MS)))
            break;
        weir_loop_step(loop);
    }
    CHECK_EQ(1, count);
    CHECK(waits < 20);
    weir_loop_free(&loop);
}
TEST_EACH_KERNEL(a_program_waits_for_the_descriptor, drive_from_outside)

CHECK_MAIN
