/* SPDX-License-Identifier: MIT */
#include "server/oversee.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

/* A further one of what has been asked for already says nothing new. */
static void take_stop(struct workers *workers, int number)
{
    bool gracefully = number == SIGTERM;
    if (atomic_load(&workers->wish) >= (gracefully ? STOP_GRACEFULLY : STOP_AT_ONCE))
        return;
    log_line(LOG_NOTICE, "%s: stopping %s", gracefully ? "SIGTERM" : "SIGINT",
             gracefully ? "gracefully" : "at once");
    workers_ask_stop(workers, gracefully);
}

static void take_signals(struct workers *workers, const struct overseer *overseer)
{
    for (int number; (number = signals_next(overseer->signals)) != 0;) {
        if (number == SIGTERM || number == SIGINT)
            take_stop(workers, number);
        else if (overseer->on_signal)
            overseer->on_signal(overseer->owner, number);
    }
}

/* For poll(): rounded up, so that the deadline has passed when it returns. */
static int ms_until(struct weir_time deadline)
{
    if (weir_time_is_never(deadline))
        return -1;
    int64_t ms = weir_span_to_ms(weir_time_between(clock_monotonic(), deadline)) + 1;
    return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Waits until there is something to look at again, `deadline` at the latest. */
static void wait_for_news(struct workers *workers, const struct overseer *overseer,
                          struct weir_time deadline)
{
    struct pollfd polled[] = {
        {.fd = workers->wake, .events = POLLIN},
        {.fd = overseer->signals ? overseer->signals->descriptor : -1, .events = POLLIN},
    };
    uint64_t count;
    /* Woken by a debugger, or by a handler of the program's: there is a next time. */
    if (poll(polled, COUNT_OF(polled), ms_until(deadline)) < 0)
        return;
    if (polled[0].revents)
        must(read(workers->wake, &count, sizeof count) == sizeof count);
    if (polled[1].revents)
        take_signals(workers, overseer);
}

/* How long the whole stop may take: the grace period, and what is left to be canceled after it. */
static struct weir_time stop_deadline(const struct workers *workers, bool at_once)
{
    const struct workers_options *options = &workers->options;
    struct weir_time now = clock_monotonic();
    struct weir_time grace = at_once ? now : weir_time_after(now, options->grace_period);
    return weir_time_after(grace, options->shutdown_timeout);
}

/* Another SIGINT hastens it, and one that hangs does not hang unseen. */
static void see_it_end(struct workers *workers, const struct overseer *overseer)
{
    struct weir_time deadline = stop_deadline(workers, false);
    bool stopped = false;
    while (atomic_load(&workers->running) > 0) {
        if (!stopped && atomic_load(&workers->wish) == STOP_AT_ONCE) {
            workers_stop(workers);
            stopped = true;
            deadline = stop_deadline(workers, true);
        }
        wait_for_news(workers, overseer, deadline);
        if (weir_time_before(deadline, clock_monotonic())) {
            overseer->on_hang(overseer->owner);
            deadline = WEIR_NEVER;
        }
    }
}

void workers_oversee(struct workers *workers, const struct overseer *overseer)
{
    while (atomic_load(&workers->wish) == STOP_NOT)
        wait_for_news(workers, overseer, WEIR_NEVER);
    workers_drain(workers);
    see_it_end(workers, overseer);
    workers_end(workers);
}
