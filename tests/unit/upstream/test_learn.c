/* SPDX-License-Identifier: MIT */
/* The learner step by step; test_learn_model.c has it in a pool's hands. */
#include "upstream/learn.h"

#include "base/rand.h"

#include "tests/check.h"

#define MS(count) weir_span_ms(count)
#define S(count) weir_span_s(count)

static struct weir_time at_ms(int64_t ms)
{
    return weir_time_after(WEIR_TIME_INIT(0), MS(ms));
}

/* What is told, and what is known at last; -1 ms: nothing is. */

enum step_kind { DONE, CLOSED, AFTER, SURVIVED, WAITS };

struct step {
    enum step_kind kind;
    int64_t age_ms; /* WAITS: how long */
    uint64_t requests;
};

#define CLOSES(age_ms)                                                                             \
    {                                                                                              \
        CLOSED, age_ms, 1                                                                          \
    }
#define FIVE_CLOSES(age_ms)                                                                        \
    CLOSES(age_ms), CLOSES(age_ms), CLOSES(age_ms), CLOSES(age_ms), CLOSES(age_ms)
#define LASTS(age_ms)                                                                              \
    {                                                                                              \
        SURVIVED, age_ms, 1                                                                        \
    }
#define PASS(ms)                                                                                   \
    {                                                                                              \
        WAITS, ms, 0                                                                               \
    }
#define ENDS(requests)                                                                             \
    {                                                                                              \
        AFTER, 0, requests                                                                         \
    }
#define CARRIES(requests)                                                                          \
    {                                                                                              \
        SURVIVED, 0, requests                                                                      \
    }

struct script {
    const char *name;
    struct step steps[16];
    int64_t timeout_ms, safe_ms;
    uint64_t max_requests;
};

/* Each step comes ten seconds after the one before. */
static struct weir_time play(struct learn *learn, const struct step *steps)
{
    struct weir_time now = at_ms(0);
    learn_init(learn);
    for (const struct step *step = steps; step->kind != DONE; step++) {
        struct weir_span age = MS(step->age_ms);
        now = weir_time_after(now, step->kind == WAITS ? age : S(10));
        if (step->kind == CLOSED)
            learn_closed(learn, now, age, step->requests);
        else if (step->kind == AFTER)
            learn_closed_after(learn, now, step->requests);
        else if (step->kind == SURVIVED)
            learn_survived(learn, now, age, step->requests);
    }
    return now;
}

static int64_t known_ms(struct weir_span span)
{
    return weir_span_is_forever(span) ? -1 : weir_span_to_ms(span);
}

static void check_scripts(const struct script *scripts, size_t count)
{
    for (const struct script *script = scripts; script < scripts + count; script++) {
        struct learn learn;
        struct weir_time now = play(&learn, script->steps);
        bool good = CHECK_EQ(script->timeout_ms, known_ms(learn_idle_timeout(&learn, now)));
        good = CHECK_EQ(script->safe_ms, known_ms(learn_safe_rest(&learn, now))) && good;
        good = CHECK_EQ(script->max_requests, learn_max_requests(&learn, now)) && good;
        if (!good)
            printf("# %s\n", script->name);
    }
}

#define CHECK_SCRIPTS(scripts) check_scripts(scripts, sizeof(scripts) / sizeof *(scripts))

TEST(closes_that_agree_are_the_timeout)
{
    static const struct script scripts[] = {
        {"nothing seen", {{0}}, -1, -1, 0},
        {"a long rest", {LASTS(50000)}, -1, -1, 0},
        {"two closes", {CLOSES(5000), CLOSES(5000)}, -1, -1, 0},
        {"three", {CLOSES(5000), CLOSES(5001), CLOSES(5003)}, 5000, 4500, 0},
        {"at least 20 ms", {CLOSES(100), CLOSES(100), CLOSES(100)}, 100, 80, 0},
        {"some milliseconds", {CLOSES(100), CLOSES(112), CLOSES(105)}, 100, 80, 0},
        {"too many", {CLOSES(100), CLOSES(116), CLOSES(105)}, -1, -1, 0},
        {"three within 3 %", {CLOSES(5000), CLOSES(5150), CLOSES(5100)}, 5000, 4500, 0},
        {"three within 4 %", {CLOSES(5000), CLOSES(5200), CLOSES(5100)}, -1, -1, 0},
        {"after many at no age",
         {CLOSES(500), CLOSES(90000), CLOSES(1500), CLOSES(3000), CLOSES(6000), CLOSES(12000),
          CLOSES(24000), CLOSES(48000), CLOSES(96000), CLOSES(5000), CLOSES(5000), CLOSES(5000)},
         5000,
         4500,
         0},
        {"at once is no timeout", {CLOSES(49), CLOSES(49), CLOSES(49)}, -1, -1, 0},
        {"at no age at once", {CLOSES(50), CLOSES(50), CLOSES(50)}, 50, 30, 0},
        {"three at no age", {CLOSES(5000), CLOSES(7000), CLOSES(9000)}, -1, -1, 0},
        {"three that agree roughly", {CLOSES(5000), CLOSES(5900), CLOSES(5500)}, -1, -1, 0},
        {"five that agree roughly",
         {CLOSES(5000), CLOSES(5900), CLOSES(5500), CLOSES(5100), CLOSES(5700)},
         5000,
         4100, /* their spread is more than a tenth */
         0},
    };
    CHECK_SCRIPTS(scripts);
}

TEST(survivors_speak_against_it)
{
    static const struct script scripts[] = {
        {"rests shorter than it",
         {CLOSES(5000), LASTS(4990), CLOSES(5000), LASTS(1000), CLOSES(5000), LASTS(4999)},
         5000,
         4500,
         0},
        {"a longer rest between",
         {CLOSES(5000), CLOSES(5000), LASTS(9000), CLOSES(5000)},
         -1,
         -1,
         0},
        {"a little longer between",
         {CLOSES(5000), CLOSES(5000), LASTS(5500), CLOSES(5000)},
         -1,
         -1,
         0},
        {"a longer rest after", {CLOSES(5000), CLOSES(5000), CLOSES(5000), LASTS(9000)}, -1, -1, 0},
        {"a longer close after",
         {CLOSES(5000), CLOSES(5000), CLOSES(5000), CLOSES(9000)},
         -1,
         -1,
         0},
        {"a little longer after three",
         {CLOSES(5000), CLOSES(5000), CLOSES(5000), LASTS(6000)},
         -1,
         -1,
         0},
        {"a little longer after five", {FIVE_CLOSES(5000), LASTS(5800)}, 5000, 4200, 0},
        {"a longer rest before",
         {LASTS(9000), CLOSES(5000), CLOSES(5000), CLOSES(5000)},
         5000,
         4500,
         0},
    };
    CHECK_SCRIPTS(scripts);
}

TEST(newer_closes_replace_it)
{
    static const struct script scripts[] = {
        {"one early close",
         {CLOSES(60000), CLOSES(60000), CLOSES(60000), CLOSES(5000)},
         60000,
         54000,
         0},
        {"two",
         {CLOSES(60000), CLOSES(60000), CLOSES(60000), CLOSES(5000), CLOSES(5000)},
         60000,
         54000,
         0},
        {"three early closes",
         {CLOSES(60000), CLOSES(60000), CLOSES(60000), CLOSES(60000), CLOSES(5000), CLOSES(5000),
          CLOSES(5000)},
         5000,
         4500,
         0},
        {"early closes disproved",
         {CLOSES(60000), CLOSES(60000), CLOSES(60000), CLOSES(5000), CLOSES(5000), CLOSES(60000),
          CLOSES(5000)},
         60000,
         54000,
         0},
    };
    CHECK_SCRIPTS(scripts);
}

TEST(after_five_equal_closes_exceptions_do_not_count)
{
    static const struct script scripts[] = {
        {"an exception", {FIVE_CLOSES(5000), CLOSES(4000)}, 5000, 4500, 0},
        {"an exception later",
         {FIVE_CLOSES(5000), CLOSES(5000), CLOSES(5000), CLOSES(5000), CLOSES(4500)},
         5000,
         4500,
         0},
        {"two of them", {FIVE_CLOSES(5000), CLOSES(3200), CLOSES(4000)}, 5000, 4500, 0},
        {"between closes as ever",
         {FIVE_CLOSES(5000), CLOSES(4000), CLOSES(4000), CLOSES(5000), CLOSES(4000), CLOSES(4000)},
         5000,
         4500,
         0},
        {"the rule", {FIVE_CLOSES(5000), CLOSES(4000), CLOSES(4000), CLOSES(4000)}, 4000, 3600, 0},
        {"neither", {FIVE_CLOSES(5000), CLOSES(4000), CLOSES(3500), CLOSES(4500)}, -1, -1, 0},
        {"a little less", {FIVE_CLOSES(5000), CLOSES(4950)}, 4950, 4455, 0},
        {"exceptions before it is firm",
         {CLOSES(5000), CLOSES(5000), CLOSES(5000), CLOSES(3200), CLOSES(5000), CLOSES(3200),
          CLOSES(3600)},
         5000,
         4500,
         0},
        {"no firm rule before five",
         {CLOSES(5000), CLOSES(5000), CLOSES(5000), CLOSES(4800), CLOSES(4600)},
         4600,
         4140,
         0},
    };
    CHECK_SCRIPTS(scripts);
}

TEST(closes_at_one_moment_are_one)
{
    struct learn learn;
    learn_init(&learn);
    for (int i = 0; i < 50; i++)
        learn_closed(&learn, at_ms(20 * i), S(7), 1);
    CHECK_EQ(-1, known_ms(learn_idle_timeout(&learn, at_ms(1000))));
    for (int i = 0; i < 50; i++)
        learn_closed(&learn, at_ms(1000 + 20 * i), MS(7000 - i), 1);
    CHECK_EQ(-1, known_ms(learn_idle_timeout(&learn, at_ms(2000))));
    learn_closed(&learn, at_ms(2000), S(7), 1);
    CHECK_EQ(6951, known_ms(learn_idle_timeout(&learn, at_ms(2000))));
    /* Nor do they count as many that do not fit. */
    static const struct step steps[] = {CLOSES(5000), CLOSES(5000), CLOSES(5000), {DONE, 0, 0}};
    struct weir_time now = play(&learn, steps);
    for (int i = 0; i < 20; i++)
        learn_closed(&learn, weir_time_after(now, MS(1000 + i)), MS(3000 - 100 * i), 1);
    CHECK_EQ(5000, known_ms(learn_idle_timeout(&learn, now)));
    /* What is short is learned in a shorter time. */
    learn_init(&learn);
    for (int i = 0; i < 3; i++)
        learn_closed(&learn, at_ms(80 * i), MS(300), 1);
    CHECK_EQ(300, known_ms(learn_idle_timeout(&learn, at_ms(160))));
}

TEST(what_no_close_confirms_expires)
{
    /* Ten minutes, and the time of a probe: 5 s * 5 / 3 + 1 s. */
    enum { EXPIRY_MS = 600000 + 9333 };
    static const struct script scripts[] = {
        {"in time", {CLOSES(5000), CLOSES(5000), CLOSES(5000), PASS(EXPIRY_MS)}, 5000, 4500, 0},
        {"expired", {CLOSES(5000), CLOSES(5000), CLOSES(5000), PASS(EXPIRY_MS + 1)}, -1, -1, 0},
        {"one close confirms",
         {CLOSES(5000), CLOSES(5000), CLOSES(5000), PASS(1000 * EXPIRY_MS), CLOSES(5000)},
         5000,
         4500,
         0},
        {"not at another age",
         {CLOSES(5000), CLOSES(5000), CLOSES(5000), PASS(1000 * EXPIRY_MS), CLOSES(2000)},
         -1,
         -1,
         0},
        {"nor does a survivor",
         {CLOSES(5000), CLOSES(5000), CLOSES(5000), PASS(600000), LASTS(4900), PASS(10000)},
         -1,
         -1,
         0},
    };
    CHECK_SCRIPTS(scripts);
}

TEST(max_requests_step_by_step)
{
    static const struct script scripts[] = {
        {"two ends", {ENDS(1000), ENDS(1000)}, -1, -1, 0},
        {"three", {ENDS(1000), ENDS(1000), ENDS(1000)}, -1, -1, 1000},
        {"three counts", {ENDS(1000), ENDS(999), ENDS(1000), ENDS(1000)}, -1, -1, 0},
        {"seen as closes", {{CLOSED, 1, 7}, {CLOSED, 2, 7}, {CLOSED, 0, 7}}, -1, -1, 7},
        {"less carried between", {ENDS(9), CARRIES(8), ENDS(9), CARRIES(9), ENDS(9)}, -1, -1, 9},
        {"more carried between", {ENDS(9), ENDS(9), CARRIES(10), ENDS(9)}, -1, -1, 0},
        {"more carried after", {ENDS(9), ENDS(9), ENDS(9), CARRIES(10)}, -1, -1, 0},
        {"more carried to a rest", {ENDS(9), ENDS(9), ENDS(9), {CLOSED, 5000, 10}}, -1, -1, 0},
        {"more carried to its end", {ENDS(9), ENDS(9), ENDS(9), ENDS(10)}, -1, -1, 0},
        {"ended early", {ENDS(1000), ENDS(1000), ENDS(1000), ENDS(3), ENDS(3)}, -1, -1, 1000},
        {"moved down", {ENDS(1000), ENDS(1000), ENDS(1000), ENDS(3), ENDS(3), ENDS(3)}, -1, -1, 3},
        {"in time", {ENDS(1000), ENDS(1000), ENDS(1000), PASS(599999)}, -1, -1, 1000},
        {"expired", {ENDS(1000), ENDS(1000), ENDS(1000), PASS(600000)}, -1, -1, 0},
        {"not few", {ENDS(10), ENDS(10), ENDS(10), PASS(60000)}, -1, -1, 10},
        {"few, in time", {ENDS(9), ENDS(9), ENDS(9), PASS(59999)}, -1, -1, 9},
        {"few, expired", {ENDS(9), ENDS(9), ENDS(9), PASS(60000)}, -1, -1, 0},
        {"one end confirms", {ENDS(9), ENDS(9), ENDS(9), PASS(600000), ENDS(9)}, -1, -1, 9},
    };
    CHECK_SCRIPTS(scripts);
}

TEST(news_are_what_may_disprove)
{
    static const struct {
        struct step steps[8];
        int64_t rest_ms;
        uint64_t requests;
    } rows[] = {
        {{{0}}, -1, UINT64_MAX},
        {{LASTS(7000), CARRIES(70)}, -1, UINT64_MAX},
        {{CLOSES(5000), CLOSES(7000)}, 7000, UINT64_MAX},
        {{CLOSES(7000), CLOSES(5000)}, 5000, UINT64_MAX},
        {{CLOSES(5000), LASTS(6000)}, 6000, UINT64_MAX},
        {{FIVE_CLOSES(5000)}, 5000, UINT64_MAX},
        {{FIVE_CLOSES(5000), LASTS(5010)}, 5010, UINT64_MAX},
        {{ENDS(9)}, -1, 9},
        {{ENDS(9), CARRIES(10)}, -1, UINT64_MAX},
        {{ENDS(9), ENDS(9), ENDS(9), ENDS(5)}, -1, 5},
        {{ENDS(9), ENDS(9), ENDS(9), ENDS(5), CARRIES(6)}, -1, 9},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct learn learn;
        (void)play(&learn, rows[i].steps);
        bool good = CHECK_EQ(rows[i].rest_ms, known_ms(learn_news_rest(&learn)));
        if (!CHECK_EQ(rows[i].requests, learn_news_requests(&learn)) || !good)
            printf("# row %zu\n", i);
    }
}

TEST(a_probe_is_wanted_a_minute_after_it_was_confirmed)
{
    struct learn learn;
    learn_init(&learn);
    CHECK(!learn_wants_probe(&learn, at_ms(1000000)));
    CHECK(weir_span_is_forever(learn_probe_age(&learn, at_ms(1000000))));
    static const struct step steps[] = {CLOSES(5000), CLOSES(5000), CLOSES(5000), {DONE, 0, 0}};
    struct weir_time now = play(&learn, steps);
    CHECK(!learn_wants_probe(&learn, now));
    CHECK(!learn_wants_probe(&learn, weir_time_after(now, MS(59999))));
    CHECK(learn_wants_probe(&learn, weir_time_after(now, S(60))));
    CHECK(learn_wants_probe(&learn, weir_time_after(now, S(600))));
    CHECK(!learn_wants_probe(&learn, weir_time_after(now, S(700))));
    /* A survivor of less confirms nothing, a close does. */
    now = weir_time_after(now, S(60));
    learn_survived(&learn, now, S(4), 1);
    CHECK(learn_wants_probe(&learn, now));
    learn_closed(&learn, now, S(5), 1);
    CHECK(!learn_wants_probe(&learn, now));
}

/* However its closes agree, a probe that stays to its end disproves all of them. */
TEST(a_probe_disproves_what_is_known)
{
    struct rand rand;
    unsigned learned = 0;
    rand_init(&rand, 1);
    for (int i = 0; i < 10000; i++) {
        struct learn learn;
        struct weir_time now = at_ms(0);
        learn_init(&learn);
        int64_t low_ms = 50 + (int64_t)rand_below(&rand, 100000);
        uint64_t spread = 1 + rand_below(&rand, (uint64_t)low_ms / 2);
        unsigned count = 3 + (unsigned)rand_below(&rand, 10);
        for (unsigned closes = 0; closes < count; closes++) {
            now = weir_time_after(now, S(10));
            learn_closed(&learn, now, MS(low_ms + (int64_t)rand_below(&rand, spread)), 1);
        }
        if (weir_span_is_forever(learn_idle_timeout(&learn, now)))
            continue;
        learned++;
        struct weir_span safe = learn_safe_rest(&learn, now), age = learn_probe_age(&learn, now);
        CHECK(safe.ns >= 0 && safe.ns < learn_idle_timeout(&learn, now).ns && safe.ns < age.ns);
        learn_survived(&learn, now, age, 1);
        if (!CHECK(weir_span_is_forever(learn_idle_timeout(&learn, now))))
            return;
    }
    CHECK(learned > 1000);
}

CHECK_MAIN
