/* SPDX-License-Identifier: MIT */
/*
 * The queue before an address that takes few connections, under storms of cancellations: who stays
 * is served in the order in which all workers' requests began to wait, nobody is lost, nobody waits
 * while a connection rests, and nothing is sent to who has gone (the sanitizers would tell).
 *
 *     test_queue SEED      the storms of that seed alone
 */
#include "tests/sim/pool_rig.h"

#include "base/check.h"
#include "base/clock.h"
#include "upstream/ask.h"
#include "upstream/keys.h"

#include "tests/check.h"

#include <stdlib.h>

enum { ASKERS = 120, SEEDS = 600, STORMS = 6 };
enum { SECONDS_MAX = 10 }; /* a sanitizer's build sees fewer seeds */

/* A worker that was kept from its turn, and a way from one to another. */
#define REST_WHILE_WAITING_MAX weir_span_ms(100)

enum asker_state { ASKER_SLEEPS, ASKER_ASKS, ASKER_HAS, ASKER_ENDED };

struct asker {
    struct rig_part *part;
    struct co *co;
    enum asker_state state;
    enum connector_want want;
    struct weir_span starts, holds;
    bool keeps, canceled;
    enum weir_err err;
    unsigned ticket; /* the place in which it began to wait; 0: it did not */
    bool waits;      /* stands in the queue, as seen last */
    struct weir_time asked;
    bool overtook; /* when it had left, an older one stood there as before */
};

struct queue_play {
    struct pool_rig rig;
    struct asker askers[ASKERS];
    struct weir_span starts_max, holds_max;
    bool bursts; /* many begin at one moment */
    unsigned last_ticket, alive;
    struct weir_time rests_since; /* a connection rests while somebody waits; WEIR_NEVER: not so */
    struct gate *gate;
    unsigned served, served_from_queue, canceled, canceled_waiting, in_storms;
    unsigned broke; /* the server ended so many connections */
};

static struct queue_play play;
static uint64_t chosen_seed;

static struct asker *asker_of(const struct ask *ask)
{
    for (unsigned i = 0; i < ASKERS; i++)
        if (play.askers[i].state == ASKER_ASKS && play.askers[i].co == ask->co)
            return &play.askers[i];
    return NULL;
}

/* Who stands in the queue now, in its order; and who has gone and is put back for a moment. */
static void see_queue(void)
{
    bool waits[ASKERS] = {false};
    unsigned oldest = UINT32_MAX, before = 0;
    list_each (link, &play.gate->asks) {
        const struct ask *ask = container_of(link, struct ask, gate_link);
        struct asker *asker = asker_of(ask);
        if (!asker)
            continue;
        if (asker->ticket == 0)
            asker->ticket = ++play.last_ticket;
        CHECK(asker->ticket > before); /* in order, whoever was put back */
        before = asker->ticket;
        /* Who was put back, or got a dead one and asks again, had been away. */
        if (asker->waits && asker->asked.ns == ask->asked.ns && before < oldest)
            oldest = before;
        asker->asked = ask->asked;
        waits[asker - play.askers] = true;
    }
    for (unsigned i = 0; i < ASKERS; i++) {
        struct asker *asker = &play.askers[i];
        if (asker->waits && !waits[i])
            asker->overtook = oldest < asker->ticket;
        asker->waits = waits[i];
    }
}

static unsigned count_idle(void)
{
    unsigned idle = 0;
    for (unsigned i = 0; i < play.rig.part_count; i++)
        idle += play.rig.parts[i].pool.idle_count;
    return idle;
}

/* Who waits while one rests has been overlooked, or will be told in a moment. */
static void see_rest(struct weir_time now)
{
    if (list_is_empty(&play.gate->asks) || count_idle() == 0)
        play.rests_since = WEIR_NEVER;
    else if (weir_time_is_never(play.rests_since))
        play.rests_since = now;
    else
        CHECK(weir_time_between(play.rests_since, now).ns <= REST_WHILE_WAITING_MAX.ns);
}

static void on_turned(void *world)
{
    if (!play.gate)
        return;
    see_queue();
    see_rest(((struct sim_world *)world)->now);
    for (unsigned i = 0; i < play.rig.part_count; i++)
        pool_audit(&play.rig.parts[i].pool);
}

/* The clients. */

static void cancel(struct asker *asker)
{
    if (asker->canceled || asker->state > ASKER_ASKS)
        return;
    asker->canceled = true;
    co_cancel(asker->co);
}

/* Just when it may be answered: by who gives a connection back. */
static void cancel_oldest(void)
{
    struct list *link = list_first(&play.gate->asks);
    struct asker *oldest = link ? asker_of(container_of(link, struct ask, gate_link)) : NULL;
    if (oldest)
        cancel(oldest);
}

WEIR_SUSPENDS static void hold(struct asker *self, struct session *session)
{
    struct rand *rand = &play.rig.world.rand;
    self->state = ASKER_HAS;
    play.served++;
    if (self->ticket > 0) {
        play.served_from_queue++;
        CHECK(!self->overtook);
    }
    (void)co_sleep(self->holds);
    unsigned chosen = (unsigned)rand_below(rand, 8);
    if (chosen == 0)
        cancel_oldest();
    session_release(&session, self->keeps);
    if (chosen == 1)
        cancel_oldest();
}

static void run_asker(void *argument)
{
    struct asker *self = argument;
    struct session *session = NULL;
    struct peer *peer = self->part->peer;
    if (co_sleep(self->starts) == WEIR_OK) {
        self->state = ASKER_ASKS;
        self->err = connector_get(&self->part->pool, peer, self->want, WEIR_NEVER, &session);
        if (!self->err)
            hold(self, session);
        else
            CHECK_ERR(WEIR_E_CANCELED, self->err);
        CHECK(!self->err || self->canceled);
        play.canceled_waiting += self->err && self->ticket > 0;
    }
    self->state = ASKER_ENDED;
    play.canceled += self->canceled;
    play.alive--;
}

/* All at once, half of those who wait. */
static void storm(void)
{
    for (unsigned i = 0; i < ASKERS; i++) {
        struct asker *asker = &play.askers[i];
        if (asker->state != ASKER_ASKS || !sim_chance(&play.rig.world, 500))
            continue;
        cancel(asker);
        play.in_storms++;
    }
}

/* Ends some of its connections after a while, whoever has them. */
static void serve(struct server *server, struct stream **stream, unsigned number)
{
    struct sim_world *world = &play.rig.world;
    struct iobuf *buf;
    struct weir_time end = WEIR_NEVER;
    (void)number;
    if (sim_chance(world, 300))
        end = loop_deadline(server->loop, sim_span(world, weir_span_ms(1), weir_span_ms(100)));
    enum weir_err err;
    while ((err = stream_recv(*stream, end, &buf)) == WEIR_OK)
        iobuf_give(&server->loop->bufs, &buf);
    play.broke += err == WEIR_E_TIMEOUT;
}

static void start_asker(struct pool_rig *rig, struct asker *asker)
{
    struct sim_world *world = &rig->world;
    asker->part = &rig->parts[rand_below(&world->rand, rig->part_count)];
    asker->starts = sim_span(world, weir_span_ns(1), play.starts_max);
    if (play.bursts)
        asker->starts.ns -= asker->starts.ns % weir_span_ms(50).ns;
    asker->holds = sim_span(world, weir_span_ns(1), play.holds_max);
    asker->keeps = !sim_chance(world, 200);
    asker->want = sim_chance(world, 100) ? CONNECTOR_FRESH : CONNECTOR_ANY;
    play.alive++;
    must(co_spawn(&asker->part->loop.sched, NULL, "asker", run_asker, asker, &asker->co) ==
         WEIR_OK);
}

static void direct(struct pool_rig *rig)
{
    struct pool_key *key = pool_key_of(&rig->parts[0].pool, rig->parts[0].peer);
    must(key);
    pool_key_hold(key);
    play.gate = gate_of(key);
    for (unsigned i = 0; i < ASKERS; i++)
        start_asker(rig, &play.askers[i]);
    for (int i = 0; i < STORMS; i++) {
        struct weir_span most = weir_span_ns(play.starts_max.ns / STORMS * 2);
        must(co_sleep(sim_span(&rig->world, weir_span_ns(1), most)) == WEIR_OK);
        storm();
    }
    struct weir_time end = loop_deadline(&rig->parts[0].loop, weir_span_s(120));
    while (play.alive > 0 && CHECK(weir_time_before(loop_now(&rig->parts[0].loop), end)))
        rig_sleep_ms(1);
    must(play.alive == 0);
    play.gate = NULL;
    pool_key_let_go(&rig->parts[0].pool, key);
}

struct queue_totals {
    unsigned served, served_from_queue, canceled, canceled_waiting, in_storms, broke;
    uint64_t moved;
};

static void add_up(struct queue_totals *totals)
{
    totals->served += play.served;
    totals->served_from_queue += play.served_from_queue;
    totals->canceled += play.canceled;
    totals->canceled_waiting += play.canceled_waiting;
    totals->in_storms += play.in_storms;
    totals->broke += play.broke;
    for (unsigned i = 0; i < play.rig.part_count; i++)
        totals->moved += play.rig.parts[i].pool.moved_in_count;
}

static void play_seed(uint64_t seed, struct queue_totals *totals)
{
    memset(&play, 0, sizeof play);
    play.rests_since = WEIR_NEVER;
    rig_open(&play.rig, seed, 1 + (unsigned)seed % RIG_PARTS_MAX, 8, serve);
    struct sim_world *world = &play.rig.world;
    world->turned = on_turned;
    world->owner = world;
    world->faults.late_detach = 300;
    world->faults.late_announce = 300;
    world->faults.stall = 1;
    world->faults.stall_max = weir_span_ms(30);
    struct peer_limits *limits = &play.rig.options.limits;
    limits->max_connections = 1 + (unsigned)rand_below(&world->rand, 4);
    limits->max_dials = (unsigned)rand_below(&world->rand, 3);
    limits->queue_timeout = weir_span_s(600);
    limits->learn = false;
    play.starts_max = sim_span(world, weir_span_ms(100), weir_span_ms(1000));
    play.bursts = sim_chance(world, 500);
    play.holds_max = sim_span(world, weir_span_ms(1), weir_span_ms(40));
    rig_run(&play.rig, direct);
    add_up(totals);
}

TEST(who_stays_is_served_in_the_order_of_waiting)
{
    struct queue_totals totals = {0};
    struct weir_time end = weir_time_after(clock_monotonic(), weir_span_s(SECONDS_MAX));
    unsigned asked = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        unsigned failures = check_failures;
        if (chosen_seed && seed != chosen_seed)
            continue;
        if (!chosen_seed && !weir_time_before(clock_monotonic(), end))
            break;
        play_seed(seed, &totals);
        asked += ASKERS;
        if (check_failures != failures)
            printf("# to run it again: test_queue %" PRIu64 "\n", seed);
    }
    printf("# %u asked: %u served, %u of them from the queue; %u canceled, %u of them while they "
           "waited, %u in storms; %" PRIu64 " connections moved, %u broke\n",
           asked, totals.served, totals.served_from_queue, totals.canceled, totals.canceled_waiting,
           totals.in_storms, totals.moved, totals.broke);
    if (chosen_seed)
        return;
    CHECK(totals.served_from_queue > asked / 10 && totals.canceled_waiting > asked / 10);
    CHECK(totals.moved > asked / 100 && totals.broke > asked / 1000);
}

/* --- One thing at a time ---------------------------------------------------------------------- */

static struct pool_rig rig;

/* Each asks where most rest, which is the same worker for all of them. */
static void ask_at_once(struct pool_rig *self)
{
    struct rig_get gets[RIG_PARTS_MAX - 1];
    for (unsigned i = 1; i < self->part_count; i++)
        rig_make_idle(&self->parts[i], 1);
    for (unsigned i = 0; i < self->part_count - 1; i++)
        rig_get(&gets[i], &self->parts[0], CONNECTOR_ANY);
    rig_sleep_ms(100);
    for (unsigned i = 0; i < self->part_count - 1; i++)
        CHECK(!rig_waits(&gets[i]));
    for (unsigned i = 0; i < self->part_count - 1; i++) {
        CHECK_OK(rig_await(&gets[i]));
        if (gets[i].session)
            rig_release(&gets[i]);
    }
}

TEST(who_asks_in_vain_asks_where_others_rest)
{
    rig_open(&rig, 1, RIG_PARTS_MAX, 8, NULL);
    rig.options.limits.max_connections = RIG_PARTS_MAX - 1;
    rig.options.limits.queue_timeout = weir_span_s(60);
    rig_run(&rig, ask_at_once);
}

/* One that wants a new connection has no use for those that rest, and they leave no room for it. */
static void ask_for_a_fresh_one(struct pool_rig *self)
{
    struct rig_get get;
    rig_make_idle(&self->parts[0], 1);
    rig_make_idle(&self->parts[1], 1);
    rig_get(&get, &self->parts[0], CONNECTOR_FRESH);
    CHECK_OK(rig_await(&get));
    CHECK_EQ(1, rig_closed(&self->parts[0], CLOSE_EVICTED) +
                    rig_closed(&self->parts[1], CLOSE_EVICTED));
    if (get.session)
        rig_release(&get);
}

TEST(for_a_fresh_one_an_idle_one_makes_room)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig.options.limits.max_connections = 2;
    rig_run(&rig, ask_for_a_fresh_one);
}

/* Who got a dead one asks again, and is still before who came after him. */
static void give_a_dead_one(struct pool_rig *self)
{
    struct rig_part *here = &self->parts[0];
    struct rig_get busy, first, second, third;
    rig_get(&busy, here, CONNECTOR_ANY);
    CHECK_OK(rig_await(&busy));
    rig_get(&first, here, CONNECTOR_ANY);
    rig_sleep_ms(5);
    rig_get(&second, here, CONNECTOR_ANY);
    rig_sleep_ms(5);
    rig_get(&third, here, CONNECTOR_ANY);
    rig_sleep_ms(5);
    self->world.faults.late_announce = 1000;
    self->world.faults.late_max = weir_span_s(1);
    scope_cancel(&self->server.connections);
    rig_sleep_ms(5);
    session_release(&busy.session, true);
    self->world.faults.late_announce = 0;
    CHECK_OK(rig_await(&second)); /* there was room for a moment */
    CHECK_EQ(1, rig_closed(here, CLOSE_PEER_CLOSED));
    CHECK(rig_waits(&first) && rig_waits(&third));
    rig_release(&second);
    CHECK_OK(rig_await(&first));
    CHECK(rig_waits(&third));
    rig_release(&first);
    CHECK_OK(rig_await(&third));
    rig_release(&third);
}

TEST(who_got_a_dead_one_keeps_its_place)
{
    rig_open(&rig, 1, 1, 8, NULL);
    rig.options.limits.max_connections = 1;
    rig.options.limits.queue_timeout = weir_span_s(60);
    rig_run(&rig, give_a_dead_one);
}

/* What was on its way to it dies, and so does it: its place in the queue goes with it. */
static void give_up_on_the_way(struct pool_rig *self)
{
    struct rig_part *here = &self->parts[0], *there = &self->parts[1];
    struct rig_get busy, first, second;
    rig_get(&busy, there, CONNECTOR_ANY);
    CHECK_OK(rig_await(&busy));
    rig_get(&first, here, CONNECTOR_ANY);
    rig_sleep_ms(20);
    rig_get(&second, here, CONNECTOR_ANY);
    rig_sleep_ms(20);
    scope_cancel(&self->server.connections);
    rig_sleep_ms(2);
    rig_release(&busy);
    co_cancel(first.co);
    CHECK_ERR(WEIR_E_CANCELED, rig_await(&first));
    CHECK_EQ(1, here->pool.abandoned_count);
    CHECK_OK(rig_await(&second));
    CHECK_EQ(1, rig_closed(there, CLOSE_PEER_CLOSED));
    CHECK_EQ(0, there->pool.moved_out_count);
    CHECK_EQ(SOURCE_NEW, second.session->story.source);
    rig_release(&second);
    CHECK_EQ(0, here->pool.abandoned_count);
    CHECK_EQ(1, here->pool.idle_count);
}

TEST(who_gave_up_while_one_was_on_its_way_leaves_nothing)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig.world.faults.late_detach = 1000;
    rig.world.faults.latency_min = weir_span_ms(5);
    rig.world.faults.latency_max = weir_span_ms(6);
    rig.options.limits.max_connections = 1;
    rig.options.limits.queue_timeout = weir_span_s(60);
    rig_run(&rig, give_up_on_the_way);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        chosen_seed = strtoull(argv[1], NULL, 10);
    return check_run_all(chosen_seed ? 1 : argc, argv);
}
