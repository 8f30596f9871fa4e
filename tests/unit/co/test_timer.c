/* SPDX-License-Identifier: MIT */
#include "co/timer.h"

#include "base/check.h"
#include "base/rand.h"
#include "tests/check.h"
#include "tests/unit/co/drive.h"

/* A timer and what the test expects of it. */
struct alarm {
    struct timer timer;
    struct weir_time at;
    bool armed;
    unsigned fired;
    struct alarm *other; /* disarmed or armed by the callback of some tests */
};

static struct timers wheel;
static struct weir_time now;
static int64_t latest_ns; /* how late the latest one was */

static void ring(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    CHECK(alarm->armed);
    CHECK(!timer_is_armed(timer));
    CHECK(!weir_time_before(now, alarm->at));
    int64_t late_ns = weir_time_between(alarm->at, now).ns;
    if (late_ns > latest_ns)
        latest_ns = late_ns;
    alarm->armed = false;
    alarm->fired++;
}

static void arm(struct alarm *alarm, struct weir_time at)
{
    alarm->at = at;
    alarm->armed = !weir_time_is_never(at);
    timer_arm(&wheel, &alarm->timer, at);
    CHECK_EQ(alarm->armed, timer_is_armed(&alarm->timer));
}

static unsigned expire_at(struct weir_time at)
{
    now = at;
    return timers_expire(&wheel, at);
}

static struct weir_time at_ns(int64_t ns)
{
    return WEIR_TIME_INIT(ns);
}

static void begin(struct weir_time start)
{
    now = start;
    latest_ns = 0;
    timers_init(&wheel, start);
    CHECK(weir_time_is_never(timers_next(&wheel)));
}

TEST(fires_at_its_time_and_not_before)
{
    struct alarm alarm = {0};
    begin(at_ms(5));
    timer_init(&alarm.timer, ring);
    CHECK(!timer_is_armed(&alarm.timer));
    arm(&alarm, at_ns(7300000));
    CHECK_EQ(0, expire_at(at_ns(7299999)));
    struct weir_time next = timers_next(&wheel);
    CHECK(next.ns >= 7300000 && next.ns <= 9300000);
    CHECK_EQ(1, expire_at(next));
    CHECK_EQ(1, alarm.fired);
    CHECK_EQ(0, expire_at(at_ms(100)));
    timers_fini(&wheel);
}

TEST(moving_and_disarming)
{
    struct alarm alarm = {0};
    begin(at_ms(0));
    timer_init(&alarm.timer, ring);
    timer_disarm(&wheel, &alarm.timer);
    arm(&alarm, at_ms(10));
    arm(&alarm, at_ms(5000));
    CHECK_EQ(1, wheel.count);
    CHECK_EQ(0, expire_at(at_ms(4999)));
    arm(&alarm, WEIR_NEVER);
    CHECK_EQ(0, wheel.count);
    CHECK(weir_time_is_never(timers_next(&wheel)));
    CHECK_EQ(0, expire_at(at_ms(9000)));
    arm(&alarm, at_ms(9500));
    timer_disarm(&wheel, &alarm.timer);
    timer_disarm(&wheel, &alarm.timer);
    CHECK_EQ(0, expire_at(at_ms(10000)));
    CHECK_EQ(0, alarm.fired);
    timers_fini(&wheel);
}

TEST(a_time_that_has_passed_fires_at_the_next_expiry)
{
    struct alarm alarms[3] = {0};
    begin(at_ns(8500000));
    for (int i = 0; i < 3; i++)
        timer_init(&alarms[i].timer, ring);
    arm(&alarms[0], at_ms(8));
    arm(&alarms[1], at_ns(-4));
    arm(&alarms[2], at_ms(0));
    timer_disarm(&wheel, &alarms[2].timer);
    CHECK(timers_next(&wheel).ns <= now.ns);
    CHECK_EQ(2, expire_at(now));
    CHECK_EQ(1, alarms[0].fired);
    CHECK_EQ(1, alarms[1].fired);
    timers_fini(&wheel);
}

static void ring_again_in_the_past(struct timer *timer)
{
    ring(timer);
    arm(container_of(timer, struct alarm, timer), at_ms(1));
}

TEST(arming_for_the_past_while_firing_does_not_loop)
{
    struct alarm alarm = {0};
    begin(at_ms(50));
    timer_init(&alarm.timer, ring_again_in_the_past);
    arm(&alarm, at_ms(51));
    for (unsigned i = 1; i <= 3; i++) {
        CHECK_EQ(1, expire_at(at_ms(60)));
        CHECK_EQ(i, alarm.fired);
    }
    timer_disarm(&wheel, &alarm.timer);
    timers_fini(&wheel);
}

static void ring_every_second(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    ring(timer);
    arm(alarm, weir_time_after(alarm->at, weir_span_s(1)));
}

TEST(what_is_armed_while_time_jumps_fires_in_that_jump)
{
    struct alarm alarm = {0};
    begin(at_ms(0));
    timer_init(&alarm.timer, ring_every_second);
    arm(&alarm, at_ms(1000));
    CHECK_EQ(3600, expire_at(at_ms(3600 * 1000)));
    CHECK_EQ(3601000, alarm.at.ns / 1000000);
    timer_disarm(&wheel, &alarm.timer);
    timers_fini(&wheel);
}

static void ring_and_disarm_the_other(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);
    ring(timer);
    timer_disarm(&wheel, &alarm->other->timer);
    alarm->other->armed = false;
}

TEST(a_firing_timer_may_disarm_one_of_the_same_time)
{
    static const int64_t times_ms[] = {10, 1000, 100000, -5};
    for (size_t i = 0; i < COUNT_OF(times_ms); i++) {
        struct alarm first = {0}, second = {0};
        begin(at_ms(0));
        timer_init(&first.timer, ring_and_disarm_the_other);
        timer_init(&second.timer, ring);
        first.other = &second;
        arm(&first, at_ms(times_ms[i]));
        arm(&second, at_ms(times_ms[i]));
        CHECK_EQ(1, expire_at(at_ms(200000)));
        CHECK_EQ(1, first.fired);
        CHECK_EQ(0, second.fired);
        CHECK_EQ(0, wheel.count);
        timers_fini(&wheel);
    }
}

TEST(the_far_future_is_not_too_far)
{
    static const int64_t years[] = {1, 3, 30, 291};
    const int64_t year_ns = (int64_t)365 * 24 * 3600 * 1000000000;
    struct alarm alarms[COUNT_OF(years)] = {0};
    begin(at_ms(12345));
    for (size_t i = 0; i < COUNT_OF(years); i++) {
        timer_init(&alarms[i].timer, ring);
        arm(&alarms[i], at_ns(years[i] * year_ns));
    }
    for (size_t i = 0; i < COUNT_OF(years); i++) {
        CHECK_EQ(0, expire_at(at_ns(years[i] * year_ns - 1)));
        CHECK_EQ(1, expire_at(at_ns(years[i] * year_ns + 2000000)));
        CHECK_EQ(1, alarms[i].fired);
    }
    timers_fini(&wheel);
}

/* Milliseconds to decades, each size as likely as the others. */
static int64_t random_span_ns(struct rand *rand)
{
    return (int64_t)rand_below(rand, (uint64_t)1 << rand_below(rand, 61));
}

static void change_some(struct rand *rand, struct alarm *alarms, size_t count)
{
    for (uint64_t changes = rand_below(rand, 5); changes > 0; changes--) {
        struct alarm *alarm = &alarms[rand_below(rand, count)];
        if (rand_below(rand, 4) == 0) {
            timer_disarm(&wheel, &alarm->timer);
            alarm->armed = false;
        } else {
            arm(alarm, weir_time_after(now, weir_span_ns(random_span_ns(rand) - 3000000)));
        }
    }
}

static struct weir_time earliest(const struct alarm *alarms, size_t count)
{
    struct weir_time earliest = WEIR_NEVER;
    for (size_t i = 0; i < count; i++)
        if (alarms[i].armed)
            earliest = weir_time_min(earliest, alarms[i].at);
    return earliest;
}

/* Everything due long enough must have fired; ring() checks that nothing fires too early. */
static void check_none_missed(const struct alarm *alarms, size_t count)
{
    uint64_t armed = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(alarms[i].armed, timer_is_armed(&alarms[i].timer));
        armed += alarms[i].armed;
        if (alarms[i].armed)
            CHECK(weir_time_between(alarms[i].at, now).ns < 1000000);
    }
    CHECK_EQ(armed, wheel.count);
}

static void step(struct rand *rand, struct alarm *alarms, size_t count)
{
    struct weir_time next = timers_next(&wheel);
    struct weir_time due = earliest(alarms, count);
    if (weir_time_is_never(due)) {
        CHECK(weir_time_is_never(next));
        return;
    }
    int64_t latest_next_ns = (weir_time_before(due, now) ? now.ns : due.ns) + 999999;
    CHECK(next.ns <= latest_next_ns);
    if (next.ns > INT64_MAX / 4)
        return;
    struct weir_time target = rand_below(rand, 3)
                                  ? next
                                  : weir_time_after(now, weir_span_ns(random_span_ns(rand) / 64));
    if (weir_time_before(now, target) && target.ns < INT64_MAX / 2)
        expire_at(target);
    else
        expire_at(now);
    check_none_missed(alarms, count);
}

TEST(random_timers_against_a_plain_list)
{
    static struct alarm alarms[40];
    for (uint64_t seed = 1; seed <= 60; seed++) {
        unsigned before = check_failures;
        struct rand rand;
        rand_init(&rand, seed);
        begin(at_ns(random_span_ns(&rand) / 16));
        for (size_t i = 0; i < COUNT_OF(alarms); i++) {
            alarms[i] = (struct alarm){0};
            timer_init(&alarms[i].timer, ring);
        }
        for (int i = 0; i < 400; i++) {
            change_some(&rand, alarms, COUNT_OF(alarms));
            step(&rand, alarms, COUNT_OF(alarms));
        }
        for (size_t i = 0; i < COUNT_OF(alarms); i++)
            timer_disarm(&wheel, &alarms[i].timer);
        timers_fini(&wheel);
        if (check_failures != before) {
            printf("# seed %" PRIu64 "\n", seed);
            return;
        }
    }
}

TEST(on_time_calls_are_late_by_two_ticks_at_most)
{
    static struct alarm alarms[64];
    struct rand rand;
    rand_init(&rand, 7);
    begin(at_ns(123456789));
    for (size_t i = 0; i < COUNT_OF(alarms); i++) {
        timer_init(&alarms[i].timer, ring);
        arm(&alarms[i], weir_time_after(now, weir_span_ns(random_span_ns(&rand) >> 8)));
    }
    latest_ns = 0;
    for (struct weir_time next; next = timers_next(&wheel), !weir_time_is_never(next);)
        expire_at(weir_time_before(now, next) ? next : now);
    CHECK(latest_ns <= 2000000);
    for (size_t i = 0; i < COUNT_OF(alarms); i++)
        CHECK_EQ(1, alarms[i].fired);
    timers_fini(&wheel);
}

CHECK_MAIN
