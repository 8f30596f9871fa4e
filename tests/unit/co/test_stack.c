/* SPDX-License-Identifier: MIT */
#include "co/stack.h"

#include "base/check.h"
#include "co/co.h"
#include "tests/check.h"
#include "tests/unit/co/drive.h"

#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(stacks_are_apart_and_wholly_usable)
{
    enum { MANY = 150 };
    static char *bases[MANY];
    struct stacks stacks;
    stacks_init(&stacks, MANY);
    for (int i = 0; i < MANY; i++) {
        void *base = NULL;
        CHECK_OK(stack_get(&stacks, &base));
        CHECK_EQ(0, (uintptr_t)base % 16);
        bases[i] = base;
        memset(base, i, STACK_BYTES);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ((char)i, bases[i][0]);
        CHECK_EQ((char)i, bases[i][STACK_BYTES - 1]);
    }
    CHECK_EQ(MANY, stacks.used_count);
    for (int i = 0; i < MANY; i++)
        stack_release(&stacks, bases[i]);
    CHECK_EQ(0, stacks.used_count);
    CHECK_EQ(MANY, stacks.free_count);
    stacks_fini(&stacks);
}

TEST(the_last_one_released_comes_first)
{
    struct stacks stacks;
    void *a, *b, *again;
    stacks_init(&stacks, 2);
    CHECK_OK(stack_get(&stacks, &a));
    CHECK_OK(stack_get(&stacks, &b));
    CHECK_ERR(WEIR_E_LIMIT, stack_get(&stacks, &again));
    stack_release(&stacks, a);
    stack_release(&stacks, b);
    CHECK_OK(stack_get(&stacks, &again));
    CHECK(again == b);
    CHECK_EQ(2, stacks.total_count);
    stack_release(&stacks, b);
    stacks_fini(&stacks);
}

static bool is_resident(void *base)
{
    unsigned char resident = 0;
    CHECK(mincore(base, 1, &resident) == 0);
    return resident & 1;
}

TEST(trimming_gives_memory_back_and_keeps_the_warm_ones)
{
    enum { MANY = 100, KEPT = 10 };
    static void *bases[MANY];
    struct stacks stacks;
    stacks_init(&stacks, MANY);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            CHECK_OK(stack_get(&stacks, &bases[i]));
            memset(bases[i], 1, STACK_BYTES);
        }
        CHECK_EQ(MANY, stacks.total_count);
        for (int i = 0; i < MANY; i++)
            stack_release(&stacks, bases[i]);
        stacks_trim(&stacks, KEPT);
        CHECK_EQ(MANY, stacks.free_count);
        for (int i = 0; i < MANY; i++)
            CHECK_EQ(i >= MANY - KEPT, is_resident(bases[i]));
        stacks_trim(&stacks, KEPT);
    }
    stacks_fini(&stacks);
}

TEST(the_guard_has_a_name)
{
    CHECK(strlen(stacks_guard_name()) > 10);
}

/* Touches the stack downwards, far further than it reaches. */
static void overflow(void *argument)
{
    volatile char frame[512];
    uintptr_t depth = (uintptr_t)argument;
    frame[0] = (char)depth;
    if (depth < 1000000)
        overflow((void *)(depth + 1));
    frame[1] = frame[0];
}

static void touch_below(void *argument)
{
    struct co *self = co_self();
    (void)argument;
    ((volatile char *)self->stack_base)[-1] = 1;
}

/* Runs it as a coroutine, between two other stacks, in a child that must die of SIGSEGV. */
static void check_faults(co_fn *fn)
{
    pid_t child = fork();
    if (child == 0) {
        struct sched sched;
        void *below;
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        sigaction(SIGSEGV, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        sched_init(&sched, at_ms(0), 2);
        if (stack_get(&sched.stacks, &below) == WEIR_OK &&
            co_spawn(&sched, NULL, "overflow", fn, NULL, NULL) == WEIR_OK)
            sched_run(&sched);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(SIGSEGV, WTERMSIG(status));
}

TEST(an_overflow_hits_the_guard)
{
    check_faults(overflow);
    check_faults(touch_below);
}

CHECK_MAIN
