/* SPDX-License-Identifier: MIT */
/*
 * A tick is written in digits to the base of TIMER_SLOTS. A timer lies at the level of the highest
 * digit in which its tick differs from the wheel's, in the slot of that digit's value. Hence:
 *
 *   - its digits above that level are the wheel's, so slots never wrap round;
 *   - its digit is greater than the wheel's, so the lowest busy slot of a level comes first;
 *   - all timers of a level come before those of the levels above.
 *
 * So the next busy slot is one search for a bit, and time may jump: the wheel goes from busy slot
 * to busy slot. When it reaches one of an upper level, the timers there move down. TIMER_LEVELS
 * digits hold every tick that weir_time can express; none is too far away.
 */
#include "co/timer.h"

#include "base/check.h"

enum {
    TICK_NS = 1000000,
    DIGIT_BITS = 6,
    LEVEL_DUE = TIMER_LEVELS, /* of a timer in timers.due */
};

static const uint64_t tick_max = INT64_MAX / TICK_NS;

/* The first tick that does not lie before `at`. */
static uint64_t tick_from(struct weir_time at)
{
    return at.ns <= 0 ? 0 : ((uint64_t)at.ns + TICK_NS - 1) / TICK_NS;
}

void timers_init(struct timers *timers, struct weir_time now)
{
    *timers = (struct timers){.tick = now.ns <= 0 ? 0 : (uint64_t)now.ns / TICK_NS};
    list_init(&timers->due);
    for (unsigned level = 0; level < TIMER_LEVELS; level++)
        for (unsigned slot = 0; slot < TIMER_SLOTS; slot++)
            list_init(&timers->slots[level][slot]);
}

void timers_fini(struct timers *timers)
{
    must(timers->count == 0);
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.fire = fire};
    list_init(&timer->link);
}

bool timer_is_armed(const struct timer *timer)
{
    return !list_is_empty(&timer->link);
}

static void place(struct timers *timers, struct timer *timer)
{
    if (timer->tick <= timers->tick) {
        timer->level = LEVEL_DUE;
        list_push_back(&timers->due, &timer->link);
        return;
    }
    unsigned highest_bit = 63 - (unsigned)__builtin_clzll(timer->tick ^ timers->tick);
    unsigned level = highest_bit / DIGIT_BITS;
    unsigned slot = timer->tick >> (level * DIGIT_BITS) & (TIMER_SLOTS - 1);
    timer->level = (uint8_t)level;
    timer->slot = (uint8_t)slot;
    timers->busy[level] |= (uint64_t)1 << slot;
    list_push_back(&timers->slots[level][slot], &timer->link);
}

void timer_arm(struct timers *timers, struct timer *timer, struct weir_time at)
{
    timer_disarm(timers, timer);
    if (weir_time_is_never(at))
        return;
    timer->tick = tick_from(at);
    timers->count++;
    place(timers, timer);
}

void timer_disarm(struct timers *timers, struct timer *timer)
{
    if (!timer_is_armed(timer))
        return;
    bool alone = timer->link.prev == timer->link.next;
    if (alone && timer->level != LEVEL_DUE)
        timers->busy[timer->level] &= ~((uint64_t)1 << timer->slot);
    list_remove(&timer->link);
    timers->count--;
}

/* The first busy slot and the first tick of it; false when none is busy. */
static bool next_slot(const struct timers *timers, unsigned *ret_level, unsigned *ret_slot,
                      uint64_t *ret_tick)
{
    for (unsigned level = 0; level < TIMER_LEVELS; level++) {
        if (!timers->busy[level])
            continue;
        unsigned slot = (unsigned)__builtin_ctzll(timers->busy[level]);
        unsigned shift = level * DIGIT_BITS;
        uint64_t above = timers->tick >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS);
        *ret_level = level;
        *ret_slot = slot;
        *ret_tick = above | (uint64_t)slot << shift;
        return true;
    }
    return false;
}

struct weir_time timers_next(const struct timers *timers)
{
    unsigned level, slot;
    uint64_t tick;
    if (!list_is_empty(&timers->due))
        tick = timers->tick;
    else if (!next_slot(timers, &level, &slot, &tick) || tick > tick_max)
        return WEIR_NEVER;
    return WEIR_TIME_INIT((int64_t)(tick * TICK_NS));
}

static void fire(struct timers *timers, struct timer *timer)
{
    timers->count--;
    timer->fire(timer);
}

/* The wheel stands at the slot's first tick: fires what is due there and moves the rest down. */
static unsigned empty_slot(struct timers *timers, unsigned level, unsigned slot)
{
    unsigned fired = 0;
    struct list *timers_of_slot = &timers->slots[level][slot];
    timers->busy[level] &= ~((uint64_t)1 << slot);
    for (struct list *link; (link = list_pop_front(timers_of_slot));) {
        struct timer *timer = container_of(link, struct timer, link);
        if (timer->tick > timers->tick) {
            place(timers, timer);
            continue;
        }
        fire(timers, timer);
        fired++;
    }
    return fired;
}

unsigned timers_expire(struct timers *timers, struct weir_time now)
{
    unsigned fired = 0;
    uint64_t now_tick = now.ns <= 0 ? 0 : (uint64_t)now.ns / TICK_NS;

    /* What is armed for the past by those that fire now waits for the next expiry. */
    struct list due;
    list_init(&due);
    list_splice(&due, &timers->due);
    for (struct list *link; (link = list_pop_front(&due)); fired++)
        fire(timers, container_of(link, struct timer, link));

    unsigned level, slot;
    uint64_t tick;
    while (next_slot(timers, &level, &slot, &tick) && tick <= now_tick) {
        timers->tick = tick;
        fired += empty_slot(timers, level, slot);
    }
    if (timers->tick < now_tick)
        timers->tick = now_tick;
    return fired;
}
