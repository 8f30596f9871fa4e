/* SPDX-License-Identifier: MIT */
#include "co/co.h"

#include "co/wait.h"
#include "tests/check.h"
#include "tests/unit/co/drive.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int steps;

static void add_three_times(void *argument)
{
    for (int i = 0; i < 3; i++) {
        CHECK_OK(co_yield());
        steps += *(int *)argument;
    }
}

TEST(coroutines_run_to_their_end)
{
    struct sched sched;
    int one = 1, ten = 10;
    steps = 0;
    sched_init(&sched, at_ms(0), 10);
    CHECK(sched_here() == &sched);
    CHECK(sched_is_idle(&sched));
    CHECK_OK(co_spawn(&sched, NULL, "one", add_three_times, &one, NULL));
    CHECK_OK(co_spawn(&sched, NULL, "ten", add_three_times, &ten, NULL));
    CHECK_EQ(0, steps);
    CHECK(!sched_is_idle(&sched));
    sched_run(&sched);
    CHECK(sched_is_idle(&sched));
    CHECK_EQ(33, steps);
    CHECK_EQ(0, sched.co_count);
    CHECK_EQ(8, sched.switch_count);
    sched_fini(&sched);
}

static void look_at_self(void *argument)
{
    struct co *self = co_self();
    *(struct co **)argument = self;
    CHECK(self && self->state == CO_RUNNING);
    CHECK(strcmp(self->name, "self") == 0);
    char *here = __builtin_frame_address(0);
    CHECK(here > (char *)self->stack_base && here < (char *)self->stack_base + STACK_BYTES);
}

TEST(self_is_the_running_one)
{
    struct sched sched;
    struct co *spawned, *seen = NULL;
    sched_init(&sched, at_ms(0), 1);
    CHECK_OK(co_spawn(&sched, NULL, "self", look_at_self, &seen, &spawned));
    CHECK(co_self() == NULL);
    CHECK_EQ(CO_READY, spawned->state);
    CHECK_EQ(1, spawned->id);
    sched_run(&sched);
    CHECK(seen == spawned);
    CHECK(co_self() == NULL);
    sched_fini(&sched);
}

static void end_at_once(void *argument)
{
    ++*(int *)argument;
}

TEST(the_limit_is_an_error_and_ended_ones_make_room)
{
    struct sched sched;
    int ended = 0;
    sched_init(&sched, at_ms(0), 2);
    for (int round = 0; round < 1000; round++) {
        CHECK_OK(co_spawn(&sched, NULL, "first", end_at_once, &ended, NULL));
        CHECK_OK(co_spawn(&sched, NULL, "second", end_at_once, &ended, NULL));
        CHECK_ERR(WEIR_E_LIMIT, co_spawn(&sched, NULL, "third", end_at_once, &ended, NULL));
        sched_run(&sched);
    }
    CHECK_EQ(2000, ended);
    CHECK_EQ(2, sched.stacks.total_count);
    sched_fini(&sched);
}

/* Goes deep and comes back, with others in between. */
static int sum_to(int count)
{
    volatile int mine = count;
    if (count == 0)
        return 0;
    int below = sum_to(count - 1);
    if (count % 25 == 0)
        CHECK_OK(co_yield());
    return below + mine;
}

static void check_sum(void *argument)
{
    CHECK_EQ(5050, sum_to(100));
    ++*(int *)argument;
}

TEST(a_thousand_at_once_keep_their_stacks_apart)
{
    enum { MANY = 1000 };
    struct sched sched;
    int ended = 0;
    sched_init(&sched, at_ms(0), MANY);
    for (int i = 0; i < MANY; i++)
        CHECK_OK(co_spawn(&sched, NULL, "sum", check_sum, &ended, NULL));
    CHECK_EQ(MANY, sched.co_count);
    drive(&sched);
    CHECK_EQ(MANY, ended);
    sched_fini(&sched);
}

static void yield_until(void *argument)
{
    while (!*(bool *)argument)
        CHECK_OK(co_yield());
}

TEST(busy_coroutines_do_not_keep_the_loop)
{
    struct sched sched;
    bool stop = false;
    sched_init(&sched, at_ms(0), 2);
    CHECK_OK(co_spawn(&sched, NULL, "busy", yield_until, &stop, NULL));
    CHECK_OK(co_spawn(&sched, NULL, "busy too", yield_until, &stop, NULL));
    sched_run(&sched);
    CHECK_EQ(SCHED_RUN_SWITCHES, sched.switch_count);
    CHECK(!sched_is_idle(&sched));
    stop = true;
    sched_run(&sched);
    CHECK_EQ(SCHED_RUN_SWITCHES + 2, sched.switch_count);
    CHECK_EQ(0, sched.co_count);
    sched_fini(&sched);
}

static void spawn_and_wait(void *argument)
{
    CHECK_OK(co_spawn(sched_here(), NULL, "grandchild", end_at_once, argument, NULL));
    CHECK_EQ(0, *(int *)argument);
    CHECK_OK(co_yield());
    CHECK_EQ(1, *(int *)argument);
}

TEST(coroutines_spawn_coroutines)
{
    struct sched sched;
    int ended = 0;
    sched_init(&sched, at_ms(0), 2);
    CHECK_OK(co_spawn(&sched, NULL, "parent", spawn_and_wait, &ended, NULL));
    sched_run(&sched);
    CHECK_EQ(0, sched.co_count);
    sched_fini(&sched);
}

TEST(one_thread_may_turn_two_schedulers)
{
    struct sched first, second;
    int ended = 0;
    sched_init(&first, at_ms(0), 1);
    CHECK(sched_enter(NULL) == &first);
    sched_init(&second, at_ms(0), 1);
    CHECK_OK(co_spawn(&first, NULL, "first", end_at_once, &ended, NULL));
    CHECK_OK(co_spawn(&second, NULL, "second", end_at_once, &ended, NULL));
    sched_run(&second);
    CHECK_EQ(1, ended);
    CHECK(sched_enter(&first) == &second);
    sched_run(&first);
    CHECK_EQ(2, ended);
    sched_fini(&first);
    CHECK(sched_enter(&second) == NULL);
    sched_fini(&second);
}

static void break_an_invariant(void *argument)
{
    must(*(int *)argument == 7);
}

static void wait_for_ever(void *argument)
{
    (void)argument;
    CHECK_ERR(WEIR_E_CANCELED, co_wait(WEIR_NEVER));
}

enum { TEXT_SIZE = 16384 };

/* The child's words on standard error; it must have been aborted. */
static void run_broken_child(char ret_text[static TEXT_SIZE])
{
    int ends[2];
    if (!CHECK(pipe(ends) == 0))
        return;
    pid_t child = fork();
    if (child == 0) {
        struct sched sched;
        int six = 6;
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(ends[1], STDERR_FILENO);
        sched_init(&sched, at_ms(0), 2);
        check_set_reporter(co_report);
        if (co_spawn(&sched, NULL, "sleeper", wait_for_ever, NULL, NULL) == WEIR_OK &&
            co_spawn(&sched, NULL, "breaker", break_an_invariant, &six, NULL) == WEIR_OK)
            sched_run(&sched);
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    for (ssize_t got; (got = read(ends[0], ret_text + len, TEXT_SIZE - 1 - len)) > 0;)
        len += (size_t)got;
    ret_text[len] = '\0';
    close(ends[0]);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST(a_broken_invariant_tells_all_coroutines)
{
    static char text[TEXT_SIZE];
    run_broken_child(text);
    CHECK(strstr(text, "broken invariant: *(int *)argument == 7"));
    CHECK(strstr(text, "coroutine 1 parked sleeper"));
    CHECK(strstr(text, "coroutine 2 running breaker"));
}

CHECK_MAIN
