/* SPDX-License-Identifier: MIT */
#include "server/signals.h"

#include "tests/check.h"

#include <pthread.h>
#include <unistd.h>

static const int numbers[] = {SIGUSR1, SIGUSR2, 0};

static bool is_blocked(int number)
{
    sigset_t now;
    CHECK_EQ(0, pthread_sigmask(SIG_SETMASK, NULL, &now));
    return sigismember(&now, number) == 1;
}

TEST(signals_are_taken_one_by_one_in_line)
{
    struct signals signals;
    CHECK_OK(signals_open(&signals, numbers));
    CHECK(is_blocked(SIGUSR1) && is_blocked(SIGUSR2));
    CHECK_EQ(0, signals_next(&signals));
    CHECK_EQ(0, raise(SIGUSR2));
    CHECK_EQ(SIGUSR2, signals_next(&signals));
    CHECK_EQ(0, signals_next(&signals));
    CHECK_EQ(0, kill(getpid(), SIGUSR1));
    CHECK_EQ(SIGUSR1, signals_next(&signals));
    signals_close(&signals);
    CHECK(!is_blocked(SIGUSR1) && !is_blocked(SIGUSR2));
    CHECK_EQ(-1, signals.descriptor);
}

/* Who had blocked them finds them so. */
TEST(what_was_blocked_before_is_so_afterwards)
{
    struct signals outer, inner;
    CHECK_OK(signals_open(&outer, numbers));
    CHECK_OK(signals_open(&inner, numbers));
    signals_close(&inner);
    CHECK(is_blocked(SIGUSR1));
    signals_close(&outer);
    CHECK(!is_blocked(SIGUSR1));
}

/* Who asks twice for an end gets it once. */
TEST(what_nobody_took_does_not_come_afterwards)
{
    struct signals signals;
    CHECK_OK(signals_open(&signals, numbers));
    CHECK_EQ(0, raise(SIGUSR1));
    CHECK_EQ(0, kill(getpid(), SIGUSR2));
    signals_close(&signals);
    CHECK(!is_blocked(SIGUSR1) && !is_blocked(SIGUSR2));
}

static void mind(int number)
{
    (void)number;
}

static void (*swap(void (*next)(int)))(int)
{
    struct sigaction before, now = {.sa_handler = next};
    CHECK_EQ(0, sigaction(SIGPIPE, &now, &before));
    return before.sa_handler;
}

TEST(a_broken_pipe_is_ignored_unless_the_program_minds)
{
    swap(mind);
    signals_ignore_pipe();
    CHECK(swap(SIG_DFL) == mind);
    signals_ignore_pipe();
    CHECK(swap(SIG_DFL) == SIG_IGN);
}

CHECK_MAIN
