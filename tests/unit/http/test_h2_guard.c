/* SPDX-License-Identifier: MIT */
#include "http/h2_guard.h"
#include "tests/check.h"

struct rule {
    const char *name;
    uint32_t burst, per_second;
};

static const struct rule rules[H2_FLOOD_COUNT] = {
#define X(NAME, name, burst, per_second, text) {name, burst, per_second},
#include "http/h2_flood.def"
#undef X
};

static const struct weir_time begin = {INT64_C(5000000000)};
static struct h2_guard guard;

static struct weir_time after_ms(int64_t ms)
{
    return weir_time_after(begin, weir_span_ms(ms));
}

/* How many are taken in a row, up to far more than any burst. */
static uint32_t taken(enum h2_flood flood, struct weir_time now)
{
    uint32_t count = 0;
    while (count < 100000 && h2_guard_count(&guard, flood, now))
        count++;
    return count;
}

/* Nothing left of any kind, at `begin`. */
static void start_empty(void)
{
    h2_guard_init(&guard, begin);
    for (unsigned i = 0; i < H2_FLOOD_COUNT; i++)
        taken((enum h2_flood)i, begin);
}

static uint32_t at_most(uint64_t count, uint32_t limit)
{
    return count < limit ? (uint32_t)count : limit;
}

TEST(names)
{
    for (unsigned i = 0; i < H2_FLOOD_COUNT; i++)
        CHECK(strcmp(rules[i].name, h2_flood_name((enum h2_flood)i)) == 0);
}

TEST(a_burst_is_taken_and_not_one_more)
{
    h2_guard_init(&guard, begin);
    for (unsigned i = 0; i < H2_FLOOD_COUNT; i++) {
        CHECK_EQ(rules[i].burst, taken((enum h2_flood)i, begin));
        CHECK(!h2_guard_count(&guard, (enum h2_flood)i, begin));
    }
}

TEST(kinds_do_not_use_each_other_up)
{
    h2_guard_init(&guard, begin);
    CHECK_EQ(rules[H2_FLOOD_PING].burst, taken(H2_FLOOD_PING, begin));
    CHECK_EQ(rules[H2_FLOOD_SETTINGS].burst, taken(H2_FLOOD_SETTINGS, begin));
}

struct wait {
    int64_t ms;
    int64_t seconds; /* that count */
};

static const struct wait waits[] = {
    {-1000, 0},        {0, 0},
    {999, 0},          {1000, 1},
    {1999, 1},         {2000, 2},
    {9000, 9},         {10000, 10},
    {86400000, 86400}, {INT64_C(3155760000000), INT64_C(3155760000)}, /* 100 years */
};

TEST(time_fills_up_by_whole_seconds)
{
    for (size_t w = 0; w < sizeof waits / sizeof waits[0]; w++) {
        for (unsigned i = 0; i < H2_FLOOD_COUNT; i++) {
            start_empty();
            uint64_t due = (uint64_t)waits[w].seconds * rules[i].per_second;
            CHECK_EQ(at_most(due, rules[i].burst), taken((enum h2_flood)i, after_ms(waits[w].ms)));
        }
    }
}

TEST(what_is_left_of_a_second_counts_towards_the_next)
{
    const uint32_t each = rules[H2_FLOOD_PING].per_second;
    start_empty();
    CHECK_EQ(each, taken(H2_FLOOD_PING, after_ms(1900)));
    CHECK_EQ(0, taken(H2_FLOOD_PING, after_ms(1999)));
    CHECK_EQ(each, taken(H2_FLOOD_PING, after_ms(2000)));
    CHECK_EQ(each, taken(H2_FLOOD_PING, after_ms(3500)));
    CHECK_EQ(each, taken(H2_FLOOD_PING, after_ms(4000)));
}

/* A look each millisecond must not keep a second from becoming whole. */
TEST(looking_often_changes_nothing)
{
    uint32_t count = 0;
    start_empty();
    for (int64_t ms = 1; ms <= 3000; ms++)
        count += taken(H2_FLOOD_SETTINGS, after_ms(ms));
    CHECK_EQ(3 * rules[H2_FLOOD_SETTINGS].per_second, count);
}

TEST(rest_saves_up_no_more_than_a_burst)
{
    h2_guard_init(&guard, begin);
    for (unsigned i = 0; i < H2_FLOOD_COUNT; i++)
        CHECK_EQ(rules[i].burst, taken((enum h2_flood)i, after_ms(3600000)));
}

TEST(time_at_its_end_is_survived)
{
    h2_guard_init(&guard, (struct weir_time){0});
    taken(H2_FLOOD_PING, (struct weir_time){0});
    CHECK_EQ(rules[H2_FLOOD_PING].burst, taken(H2_FLOOD_PING, WEIR_NEVER));
    CHECK_EQ(0, taken(H2_FLOOD_PING, WEIR_NEVER));
    CHECK_EQ(0, taken(H2_FLOOD_PING, begin)); /* back again */
}

static const uint32_t earnings[] = {0, 1, 7, 199, 200, 201, 5000, 5001, UINT32_MAX};

TEST(what_is_earned_is_allowed_up_to_the_burst)
{
    for (size_t e = 0; e < sizeof earnings / sizeof earnings[0]; e++) {
        for (unsigned i = 0; i < H2_FLOOD_COUNT; i++) {
            start_empty();
            h2_guard_earn(&guard, (enum h2_flood)i, earnings[e]);
            CHECK_EQ(at_most(earnings[e], rules[i].burst), taken((enum h2_flood)i, begin));
        }
    }
}

TEST(earning_when_full_gives_nothing)
{
    h2_guard_init(&guard, begin);
    h2_guard_earn(&guard, H2_FLOOD_WINDOW_UPDATE, UINT32_MAX);
    h2_guard_earn(&guard, H2_FLOOD_WINDOW_UPDATE, 1);
    CHECK_EQ(rules[H2_FLOOD_WINDOW_UPDATE].burst, taken(H2_FLOOD_WINDOW_UPDATE, begin));
}

TEST(earning_adds_to_what_is_left)
{
    start_empty();
    h2_guard_earn(&guard, H2_FLOOD_RAPID_RESET, 3);
    h2_guard_earn(&guard, H2_FLOOD_RAPID_RESET, 4);
    CHECK_EQ(7, taken(H2_FLOOD_RAPID_RESET, begin));
    CHECK_EQ(0, taken(H2_FLOOD_PING, begin)); /* and to nothing else */
}

CHECK_MAIN
