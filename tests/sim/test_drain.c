/* SPDX-License-Identifier: MIT */
/*
 * One address is drained while its connections rest, are in use, are dialled, are waited for, and
 * are on their way from one worker to another. Each part drains its own peer.
 */
#include "tests/sim/pool_rig.h"

#include "base/check.h"

#include "tests/check.h"

static struct pool_rig rig;
static struct rig_part *const here = &rig.parts[0], *const there = &rig.parts[1];

static uint64_t drained(const struct rig_part *part)
{
    return rig_closed(part, CLOSE_DRAINED);
}

static uint64_t waits(const struct rig_part *part, enum wait_result result)
{
    return stat_read(&part->stats.waits[result]);
}

static unsigned connections(void)
{
    unsigned count = 0, dials = 0;
    struct pool_key *key = pool_key_of(&here->pool, here->peer);
    must(key);
    gate_count(gate_of(key), &count, &dials);
    return count;
}

/* At rest. */

static void drain_idle(struct pool_rig *self)
{
    rig_make_idle(here, 2);
    rig_make_idle(there, 1);
    CHECK_EQ(2, here->pool.idle_count);
    struct weir_time before = loop_now(&here->loop);
    struct peer *peer = here->peer;
    here->peer = NULL;
    pool_drain_peer(&here->pool, peer);
    CHECK_EQ(0, here->pool.idle_count);
    CHECK_EQ(2, drained(here));
    CHECK_EQ(0, here->pool.keys.count);
    CHECK_EQ(1, self->peers_alive);
    CHECK_EQ(before.ns, loop_now(&here->loop).ns); /* at once */
    /* The other part has not drained it yet, and keeps its own until then. */
    CHECK_EQ(1, there->pool.idle_count);
    rig_drain_peer(there);
    CHECK_EQ(0, there->pool.idle_count);
    CHECK_EQ(1, drained(there));
    CHECK_EQ(0, there->pool.keys.count);
    CHECK_EQ(0, self->peers_alive);
}

TEST(what_rests_is_closed_at_once)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig_run(&rig, drain_idle);
}

/* In use. */

static void drain_busy(struct pool_rig *self)
{
    struct rig_get old, later;
    rig_get(&old, here, CONNECTOR_ANY);
    CHECK_OK(rig_await(&old));
    rig_drain_peer(here);
    rig_new_peer(here);
    rig_sleep_ms(1000);
    CHECK_EQ(1, here->pool.in_use_count);
    CHECK_EQ(0, drained(here));
    CHECK_EQ(3, self->peers_alive);
    uint64_t id = rig_id(&old);
    rig_release(&old);
    CHECK_EQ(0, here->pool.in_use_count + here->pool.idle_count);
    CHECK_EQ(1, drained(here));
    CHECK_EQ(1, stat_read(&here->stats.not_kept[KEEP_NOT_PEER_DRAINED]));
    CHECK_EQ(0, here->pool.keys.count);
    CHECK_EQ(2, self->peers_alive);
    rig_get(&later, here, CONNECTOR_ANY);
    CHECK_OK(rig_await(&later));
    CHECK(rig_id(&later) > id);
    CHECK_EQ(SOURCE_NEW, later.session->story.source);
    rig_release(&later);
    CHECK_EQ(1, here->pool.idle_count);
}

TEST(what_is_in_use_is_closed_at_its_release)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig_run(&rig, drain_busy);
}

/* Not even to who waits for nothing but a connection to this address. */
static void drain_busy_with_one_waiting(struct pool_rig *self)
{
    struct rig_get old, next;
    (void)self;
    rig_get(&old, here, CONNECTOR_ANY);
    CHECK_OK(rig_await(&old));
    rig_drain_peer(here);
    rig_new_peer(here);
    rig_get(&next, here, CONNECTOR_ANY);
    rig_sleep_ms(100);
    CHECK(rig_waits(&next));
    uint64_t id = rig_id(&old);
    rig_release(&old);
    CHECK_OK(rig_await(&next));
    CHECK(rig_id(&next) > id);
    CHECK_EQ(1, waits(here, WAIT_DIALLED) - 1);
    CHECK_EQ(1, drained(here));
    rig_release(&next);
}

TEST(it_goes_to_nobody_who_waits)
{
    rig_open(&rig, 1, 1, 8, NULL);
    rig.options.limits.max_connections = 1;
    rig_run(&rig, drain_busy_with_one_waiting);
}

/* Waited for. */

static void drain_queued(struct pool_rig *self)
{
    struct rig_get busy, any, fresh, elsewhere;
    (void)self;
    rig_get(&busy, here, CONNECTOR_ANY);
    CHECK_OK(rig_await(&busy));
    rig_get(&any, here, CONNECTOR_ANY);
    rig_get(&fresh, here, CONNECTOR_FRESH);
    rig_get(&elsewhere, there, CONNECTOR_ANY);
    rig_sleep_ms(100);
    CHECK(rig_waits(&any) && rig_waits(&fresh) && rig_waits(&elsewhere));
    rig_drain_peer(here);
    rig_sleep_ms(1);
    CHECK(!rig_waits(&any) && !rig_waits(&fresh));
    CHECK_ERR(WEIR_E_PEER_DRAINED, rig_await(&any));
    CHECK_ERR(WEIR_E_PEER_DRAINED, rig_await(&fresh));
    CHECK_EQ(2, waits(here, WAIT_DRAINED));
    CHECK(rig_waits(&elsewhere));
    /* Who waits in another part has its turn when this one is closed. */
    rig_release(&busy);
    CHECK_OK(rig_await(&elsewhere));
    CHECK_EQ(1, drained(here));
    CHECK_EQ(0, here->pool.keys.count);
    rig_release(&elsewhere);
    CHECK_EQ(1, there->pool.idle_count);
}

TEST(who_waits_is_told)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig.options.limits.max_connections = 1;
    rig.options.limits.queue_timeout = weir_span_s(60);
    rig_run(&rig, drain_queued);
}

/* Dialled. */

static void drain_connecting(struct pool_rig *self)
{
    struct rig_get get;
    rig_get(&get, here, CONNECTOR_ANY);
    rig_sleep_ms(5);
    CHECK_EQ(1, here->pool.dialling_count);
    rig_drain_peer(here);
    rig_sleep_ms(1);
    CHECK(!rig_waits(&get));
    CHECK_ERR(WEIR_E_PEER_DRAINED, rig_await(&get));
    CHECK_EQ(1, waits(here, WAIT_DRAINED));
    /* The dial refers to the old peer and its key until it has ended. */
    CHECK_EQ(2, self->peers_alive);
    CHECK_EQ(1, here->pool.keys.count);
    rig_new_peer(here);
    while (here->pool.dialling_count > 0)
        rig_sleep_ms(1);
    CHECK_EQ(0, here->pool.idle_count + here->pool.in_use_count);
    CHECK_EQ(0, here->pool.keys.count);
    CHECK_EQ(2, self->peers_alive);
    CHECK_EQ(0, connections());
    CHECK_EQ(here->pool.opened_count, drained(here));
    CHECK_EQ(1, here->pool.opened_count +
                    stat_read(&here->stats.connect_errors[WEIR_E_CONNECT_TIMEOUT]));
}

TEST(a_dial_is_left_alone_and_its_connection_closed)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig.world.faults.latency_min = weir_span_ms(100);
    rig.world.faults.latency_max = weir_span_ms(120);
    rig_run(&rig, drain_connecting);
}

TEST(a_dial_that_is_never_answered_ends_as_ever)
{
    rig_open(&rig, 1, 2, 8, NULL);
    sim_bar(&rig.world, &rig.server.addr, SIM_SWALLOWS);
    rig_run(&rig, drain_connecting);
}

/* On its way from one worker to another. It takes 5 ms to leave its loop. */

static void open_slow_moves(unsigned max_connections)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig.world.faults.late_detach = 1000;
    rig.world.faults.latency_min = weir_span_ms(5);
    rig.world.faults.latency_max = weir_span_ms(6);
    rig.options.limits.max_connections = max_connections;
    rig.options.limits.queue_timeout = weir_span_s(60);
}

/* A connection rests there, and is on its way here. */
WEIR_SUSPENDS static void begin_taking_over(struct rig_get *get)
{
    rig_make_idle(there, 1);
    rig_get(get, here, CONNECTOR_ANY);
    rig_sleep_ms(2);
    CHECK(rig_waits(get) && get->co);
    CHECK_EQ(0, there->pool.idle_count);
    CHECK_EQ(1, there->pool.in_use_count);
}

static void drain_where_it_goes(struct pool_rig *self)
{
    struct rig_get get;
    begin_taking_over(&get);
    rig_drain_peer(here);
    rig_sleep_ms(1);
    CHECK(!rig_waits(&get));
    CHECK_ERR(WEIR_E_PEER_DRAINED, rig_await(&get));
    rig_new_peer(here);
    rig_sleep_ms(20);
    CHECK_EQ(1, here->pool.moved_in_count);
    CHECK_EQ(1, stat_read(&here->stats.takeovers[TAKE_LATE]));
    CHECK_EQ(1, drained(here));
    CHECK_EQ(0, here->pool.idle_count + here->pool.in_use_count);
    CHECK_EQ(0, here->pool.keys.count);
    CHECK_EQ(2, self->peers_alive);
    CHECK_EQ(0, connections());
}

TEST(taken_over_to_where_it_was_drained_it_is_closed)
{
    open_slow_moves(0);
    rig_run(&rig, drain_where_it_goes);
}

static void drain_where_it_comes_from(struct pool_rig *self)
{
    struct rig_get get;
    begin_taking_over(&get);
    rig_drain_peer(there);
    CHECK_OK(rig_await(&get));
    CHECK_EQ(SOURCE_TAKEN_OVER, get.session->story.source);
    CHECK_EQ(0, drained(there));
    CHECK_EQ(1, there->pool.moved_out_count);
    CHECK_EQ(0, there->pool.keys.count);
    CHECK_EQ(1, self->peers_alive);
    rig_release(&get);
    CHECK_EQ(1, here->pool.idle_count);
}

TEST(taken_over_from_where_it_was_drained_it_arrives)
{
    open_slow_moves(0);
    rig_run(&rig, drain_where_it_comes_from);
}

/* The same for one that goes to who waits longest, in another part. */
static void drain_where_it_is_handed_to(struct pool_rig *self)
{
    struct rig_get busy, first, second;
    (void)self;
    rig_get(&busy, there, CONNECTOR_ANY);
    CHECK_OK(rig_await(&busy));
    rig_get(&first, here, CONNECTOR_ANY);
    rig_sleep_ms(20);
    rig_get(&second, there, CONNECTOR_ANY);
    rig_sleep_ms(20);
    rig_release(&busy);
    CHECK(rig_waits(&first) && rig_waits(&second));
    rig_drain_peer(here);
    rig_sleep_ms(1);
    CHECK_ERR(WEIR_E_PEER_DRAINED, rig_await(&first));
    CHECK_OK(rig_await(&second));
    CHECK_EQ(SOURCE_NEW, second.session->story.source);
    CHECK_EQ(1, here->pool.moved_in_count);
    CHECK_EQ(1, drained(here));
    CHECK_EQ(0, here->pool.keys.count);
    rig_release(&second);
}

TEST(handed_to_where_it_was_drained_it_is_closed)
{
    open_slow_moves(1);
    rig_run(&rig, drain_where_it_is_handed_to);
}

/* A request that began before the drain comes to the pool after it. */

static void ask_for_a_drained_one(struct pool_rig *self)
{
    struct session *session = NULL;
    struct peer *peer = peer_ref(here->peer);
    rig_make_idle(here, 1);
    rig_drain_peer(here);
    CHECK_EQ(2, self->peers_alive);
    CHECK_EQ(0, here->pool.keys.count);
    for (int want = CONNECTOR_ANY; want <= CONNECTOR_FRESH; want++)
        CHECK_ERR(WEIR_E_PEER_DRAINED, connector_get(&here->pool, peer, (enum connector_want)want,
                                                     WEIR_NEVER, &session));
    CHECK(!session);
    CHECK_EQ(0, here->pool.keys.count);
    peer_unref(peer);
    CHECK_EQ(1, self->peers_alive);
}

TEST(who_comes_after_it_leaves_nothing_behind)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig_run(&rig, ask_for_a_drained_one);
}

/* What it was given is dead, and its peer was drained meanwhile: it does not ask once more. */
static void drain_who_was_given_a_dead_one(struct pool_rig *self)
{
    struct rig_get busy, waiting;
    rig_get(&busy, here, CONNECTOR_ANY);
    CHECK_OK(rig_await(&busy));
    rig_get(&waiting, here, CONNECTOR_ANY);
    rig_sleep_ms(20);
    self->world.faults.late_announce = 1000;
    self->world.faults.late_max = weir_span_s(1);
    scope_cancel(&self->server.connections);
    rig_sleep_ms(5);
    session_release(&busy.session, true);
    struct peer *peer = here->peer;
    here->peer = NULL;
    pool_drain_peer(&here->pool, peer);
    CHECK_ERR(WEIR_E_PEER_DRAINED, rig_await(&waiting));
    CHECK_EQ(1, rig_closed(here, CLOSE_PEER_CLOSED));
    CHECK_EQ(1, self->server.accepted_count);
    CHECK_EQ(0, here->pool.keys.count);
    self->world.faults.late_announce = 0;
}

TEST(who_was_given_a_dead_one_does_not_dial)
{
    rig_open(&rig, 1, 1, 8, NULL);
    rig.options.limits.max_connections = 1;
    rig_run(&rig, drain_who_was_given_a_dead_one);
}

CHECK_MAIN
