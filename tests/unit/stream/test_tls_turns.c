/* SPDX-License-Identifier: MIT */
#include "stream/tls_turns.h"

#include "co/scope.h"
#include "tests/unit/http/stage.h"

enum { COMERS = 6 };

static struct tls_turns turns;

/* One who wants to take a step. */
struct comer {
    unsigned number;
    struct weir_time deadline;
    bool is_costly; /* its step spends what a turn has */
    struct co *co;
    enum weir_err err;
    bool over;
    uint64_t turn; /* it was let in */
};

static struct comer comers[COMERS];
static unsigned let_in[COMERS], let_in_count;

/* As if the steps of this turn had taken long. */
static void spend(void)
{
    turns.turn = stage.loop.turn;
    turns.spent = weir_span_s(1);
}

static void come(void *argument)
{
    struct comer *self = argument;
    self->co = co_self();
    self->err = tls_turns_enter(&turns, self->deadline);
    if (!self->err) {
        self->turn = stage.loop.turn;
        let_in[let_in_count++] = self->number;
        tls_turns_leave(&turns);
        if (self->is_costly)
            spend();
    }
    self->co = NULL;
    self->over = true;
}

/* All of them, one after another, in a turn whose budget is spent. */
static void begin(struct scope *scope, bool are_costly)
{
    tls_turns_init(&turns, &stage.loop);
    spend();
    let_in_count = 0;
    scope_init(scope);
    for (unsigned i = 0; i < COMERS; i++) {
        comers[i] = (struct comer){.number = i, .deadline = in_ms(3000), .is_costly = are_costly};
        CHECK_OK(scope_spawn(scope, "comer", come, &comers[i]));
    }
}

static void check_idle(void)
{
    CHECK(!turns.has_next);
    CHECK(wait_queue_is_empty(&turns.waiting));
}

STAGE_TEST(within_the_budget_nobody_waits)
{
    tls_turns_init(&turns, &stage.loop);
    uint64_t turn = stage.loop.turn;
    for (int i = 0; i < 20; i++) {
        CHECK_OK(tls_turns_enter(&turns, WEIR_NEVER));
        tls_turns_leave(&turns);
    }
    CHECK_EQ(turn, stage.loop.turn);
    check_idle();
}

/* What a step takes is counted, by the clock. */
STAGE_TEST(steps_spend_the_budget)
{
    tls_turns_init(&turns, &stage.loop);
    uint64_t turn = stage.loop.turn;
    CHECK_OK(tls_turns_enter(&turns, WEIR_NEVER));
    struct weir_time began = turns.began;
    while (weir_time_between(began, stage.loop.ops->now(stage.loop.backend)).ns < 600000)
        ;
    tls_turns_leave(&turns);
    CHECK(turns.spent.ns >= 600000);
    CHECK_EQ(turn, stage.loop.turn);
    CHECK_OK(tls_turns_enter(&turns, WEIR_NEVER));
    CHECK(stage.loop.turn > turn);
    CHECK_EQ(0, turns.spent.ns); /* another turn, another budget */
    tls_turns_leave(&turns);
    check_idle();
}

static bool has_run;

static void run_between(void *unused)
{
    (void)unused;
    has_run = true;
}

STAGE_TEST(others_run_while_one_waits_for_its_turn)
{
    struct scope scope;
    tls_turns_init(&turns, &stage.loop);
    has_run = false;
    uint64_t turn = stage.loop.turn;
    spend();
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "other", run_between, NULL));
    CHECK_OK(tls_turns_enter(&turns, WEIR_NEVER));
    CHECK(has_run);
    CHECK(stage.loop.turn > turn);
    tls_turns_leave(&turns);
    CHECK_OK(scope_join(&scope));
}

/* One a turn, where each step costs what there is. */
STAGE_TEST(first_come_first_served)
{
    struct scope scope;
    begin(&scope, true);
    CHECK_OK(scope_join(&scope));
    CHECK_EQ(COMERS, let_in_count);
    for (unsigned i = 0; i < let_in_count; i++) {
        CHECK_OK(comers[i].err);
        CHECK_EQ(i, let_in[i]);
        if (i > 0)
            CHECK(comers[i].turn > comers[i - 1].turn);
    }
    check_idle();
}

/* Steps that cost next to nothing: all of those who wait are let in in the next turn. */
STAGE_TEST(nobody_is_left_behind_when_steps_are_cheap)
{
    struct scope scope;
    begin(&scope, false);
    uint64_t turn = stage.loop.turn;
    CHECK_OK(scope_join(&scope));
    CHECK_EQ(COMERS, let_in_count);
    for (unsigned i = 0; i < COMERS; i++) {
        CHECK_OK(comers[i].err);
        CHECK(comers[i].over && comers[i].turn <= turn + 3);
    }
    check_idle();
}

/* Who comes later, when there is budget again, goes behind those who wait. */
STAGE_TEST(nobody_is_overtaken)
{
    struct scope scope;
    struct comer late = {.number = COMERS - 1, .deadline = in_ms(3000)};
    tls_turns_init(&turns, &stage.loop);
    spend();
    let_in_count = 0;
    scope_init(&scope);
    for (unsigned i = 0; i < COMERS - 1; i++) {
        comers[i] = (struct comer){.number = i, .deadline = in_ms(3000), .is_costly = i == 1};
        CHECK_OK(scope_spawn(&scope, "comer", come, &comers[i]));
    }
    while (let_in_count == 0 && stage_breathe())
        ;
    come(&late);
    CHECK_OK(scope_join(&scope));
    CHECK_EQ(COMERS, let_in_count);
    CHECK_OK(late.err);
    for (unsigned i = 0; i < let_in_count; i++)
        CHECK_EQ(i, let_in[i]);
    check_idle();
}

/* A loop whose turn does not end until the test says so. */
static struct loop frozen;

static void freeze(void)
{
    frozen.ops = stage.loop.ops;
    frozen.backend = stage.loop.backend;
    frozen.turn = 7;
    turns.loop = &frozen;
    turns.turn = frozen.turn;
}

/* One gives up; the others are let in all the same. */
WEIR_SUSPENDS static void give_up(unsigned who, bool by_cancel)
{
    struct scope scope;
    begin(&scope, false);
    freeze();
    if (!by_cancel)
        comers[who].deadline = in_ms(10);
    stage_turns();
    CHECK_EQ(0, let_in_count);
    if (by_cancel)
        co_cancel(comers[who].co);
    STAGE_UNTIL(comers[who].over);
    CHECK_ERR(by_cancel ? WEIR_E_CANCELED : WEIR_E_TIMEOUT, comers[who].err);
    stage_turns();
    CHECK_EQ(0, let_in_count);
    frozen.turn++;
    CHECK_OK(scope_join(&scope));
    CHECK_EQ(COMERS - 1, let_in_count);
    for (unsigned i = 0; i < COMERS; i++)
        if (i != who)
            CHECK_OK(comers[i].err);
    check_idle();
}

STAGE_TEST(a_cancel_ends_the_waiting)
{
    give_up(0, true); /* the one that is next */
    give_up(1, true);
    give_up(COMERS - 1, true);
}

STAGE_TEST(a_deadline_ends_the_waiting)
{
    give_up(1, false);
    give_up(COMERS - 1, false);
}

STAGE_TEST(all_may_give_up)
{
    struct scope scope;
    begin(&scope, false);
    CHECK_OK(co_yield ());
    scope_cancel(&scope);
    CHECK_OK(scope_join(&scope));
    for (unsigned i = 0; i < COMERS; i++)
        CHECK(comers[i].over);
    check_idle();
    /* And the next one is not hindered. */
    CHECK_OK(tls_turns_enter(&turns, in_ms(1000)));
    tls_turns_leave(&turns);
}

/* Who was woken and is canceled before it runs passes the turn on. */
STAGE_TEST(one_that_is_canceled_when_it_was_woken_passes_it_on)
{
    struct scope scope;
    begin(&scope, false);
    freeze();
    stage_turns();
    co_cancel(comers[0].co); /* wakes the next one */
    struct co *woken = comers[1].co;
    while (!comers[0].over)
        CHECK_OK(co_yield ());
    if (!comers[1].over)
        co_cancel(woken);
    STAGE_UNTIL(comers[1].over);
    CHECK_ERR(WEIR_E_CANCELED, comers[1].err);
    frozen.turn++;
    CHECK_OK(scope_join(&scope));
    for (unsigned i = 2; i < COMERS; i++)
        CHECK_OK(comers[i].err);
    check_idle();
}

CHECK_MAIN
