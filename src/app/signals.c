/* SPDX-License-Identifier: MIT */
#include "app/signals.h"

#include "app/program.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void fill(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGQUIT);
}

void signals_block(void)
{
    sigset_t set;
    fill(&set);
    must(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    /* A peer that has gone shows as an error of the send. */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    must(sigaction(SIGPIPE, &ignore, NULL) == 0);
}

/* How long the whole stop may take: the grace period, and what is left to be canceled after it. */
static struct weir_time stop_deadline(const struct program *program, bool graceful)
{
    struct weir_time now = clock_monotonic();
    struct weir_time grace = graceful ? weir_time_after(now, program->snapshot->grace_period) : now;
    return weir_time_after(grace, program->snapshot->shutdown_timeout);
}

static bool has_ended(const struct program *program)
{
    return atomic_load(&program->running) == 0;
}

/* The next signal; 0 after a short while without one. */
static int wait_for_signal(void)
{
    static const struct timespec tick = {.tv_nsec = 20000000};
    sigset_t set;
    fill(&set);
    int number = sigtimedwait(&set, NULL, &tick);
    return number > 0 ? number : 0;
}

/* Watches over the stop: another SIGINT hastens it, and one that hangs does not hang for ever. */
static void see_it_end(struct program *program, bool graceful)
{
    struct weir_time deadline = stop_deadline(program, graceful);
    bool stopped = !graceful;
    while (!has_ended(program)) {
        if (wait_for_signal() == SIGINT && !stopped) {
            log_line(LOG_NOTICE, "SIGINT: stopping at once");
            program_stop(program);
            stopped = true;
            deadline = stop_deadline(program, false);
        }
        if (weir_time_before(deadline, clock_monotonic())) {
            log_line(LOG_ERROR, "the workers do not end: leaving without them");
            _exit(1);
        }
    }
}

/* 0: woken without a signal, by a debugger. */
static int wait_for_ever(void)
{
    sigset_t set;
    int number = 0;
    fill(&set);
    return sigwait(&set, &number) == 0 ? number : 0;
}

void signals_serve(struct program *program)
{
    int number = 0;
    while (number != SIGTERM && number != SIGINT) {
        number = wait_for_ever();
        if (number == SIGHUP)
            program_reload_certificates(program);
        if (number == SIGQUIT)
            log_line(LOG_WARN, "SIGQUIT (hand-over) is not supported by this version: "
                               "going on as before");
    }
    bool graceful = number == SIGTERM;
    log_line(LOG_NOTICE, "%s: stopping %s", graceful ? "SIGTERM" : "SIGINT",
             graceful ? "gracefully" : "at once");
    program_drain(program);
    if (!graceful)
        program_stop(program);
    see_it_end(program, graceful);
    program_end(program);
}
