/* SPDX-License-Identifier: MIT */
#ifndef CO_TIMER_H
#define CO_TIMER_H

/*
 * Timers of one worker: a hierarchical wheel with ticks of one millisecond, so that arming and
 * disarming, which every wait does, are a few instructions. A timer fires at its time or up to two
 * ticks after it, never before.
 */

#include "base/list.h"
#include <weir/time.h>

#include <stdint.h>

enum { TIMER_LEVELS = 8, TIMER_SLOTS = 64 };

struct timer {
    struct list link; /* initialised by timer_init */
    uint64_t tick;
    uint8_t level, slot;
    void (*fire)(struct timer *timer);
};

struct timers {
    uint64_t tick;  /* everything up to and including this one has fired */
    uint64_t count; /* armed */
    uint64_t busy[TIMER_LEVELS]; /* bit per slot that is not empty */
    struct list due; /* armed for a time that had passed */
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timers_init(struct timers *timers, struct weir_time now);
/* No timer may be armed (checked). */
void timers_fini(struct timers *timers);

/*
 * `fire` is called from timers_expire(), when the timer is disarmed already; it may arm it again.
 */
void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
/*
 * Arms, or moves, the timer. WEIR_NEVER disarms it. A time that has passed fires at the next
 * expiry.
 */
void timer_arm(struct timers *timers, struct timer *timer, struct weir_time at);
/* Harmless when it is not armed. */
void timer_disarm(struct timers *timers, struct timer *timer);
bool timer_is_armed(const struct timer *timer);

/* When timers_expire() should be called next; WEIR_NEVER when nothing is armed. May be early. */
struct weir_time timers_next(const struct timers *timers);
/* Fires what is due. Returns how many fired. */
unsigned timers_expire(struct timers *timers, struct weir_time now);

#endif
