/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CO_DRIVE_H
#define TESTS_UNIT_CO_DRIVE_H

/* A loop for coroutines that wait only for each other and for time, which jumps. */

#include "co/co.h"

static inline struct weir_time at_ms(int64_t ms)
{
    return WEIR_TIME_INIT(ms * 1000000);
}

/* Runs everything that happens up to `end`. */
static inline void drive_until(struct sched *sched, struct weir_time end)
{
    for (;;) {
        sched_run(sched);
        if (!sched_is_idle(sched))
            continue;
        struct weir_time next = timers_next(&sched->timers);
        if (weir_time_before(end, next))
            break;
        if (weir_time_before(sched->now, next))
            sched->now = next;
        timers_expire(&sched->timers, sched->now);
    }
    sched->now = end;
    timers_expire(&sched->timers, end);
}

/* Runs until nobody is left who waits for time. */
static inline void drive(struct sched *sched)
{
    for (;;) {
        sched_run(sched);
        struct weir_time next = timers_next(&sched->timers);
        if (sched_is_idle(sched) && weir_time_is_never(next))
            return;
        if (sched_is_idle(sched))
            drive_until(sched, next);
    }
}

#endif
