/* SPDX-License-Identifier: MIT */
/*
 * Who dials takes what becomes free before, at whichever worker: a dial may take long, and a
 * connection that nobody else waits for is there.
 */
#include "base/check.h"
#include "base/log.h"
#include "tests/sim/pool_rig.h"

#include "tests/check.h"

static struct pool_rig rig;

static void bar(enum sim_bar how)
{
    sim_bar(&rig.world, &rig.server.addr, how);
}

/* One at the first worker, in use, and one that dials at the second, whose dial never ends. */
WEIR_SUSPENDS static void begin(struct rig_get *busy, struct rig_get *dialling)
{
    rig_get(busy, &rig.parts[0], CONNECTOR_ANY);
    CHECK_OK(rig_await(busy));
    bar(SIM_SWALLOWS);
    rig_get(dialling, &rig.parts[1], CONNECTOR_ANY);
    rig_sleep_ms(50);
    CHECK(rig_waits(dialling));
    CHECK_EQ(1, rig.parts[1].pool.dialling_count);
}

static void release_elsewhere(struct pool_rig *self)
{
    struct rig_get busy, dialling;
    begin(&busy, &dialling);
    uint64_t id = rig_id(&busy);
    rig_release(&busy);
    CHECK_OK(rig_await(&dialling));
    CHECK_EQ(id, rig_id(&dialling));
    CHECK_EQ(SOURCE_TAKEN_OVER, dialling.session->story.source);
    CHECK_EQ(WAIT_TAKEN_OVER, dialling.session->story.waited);
    CHECK_EQ(1, self->server.accepted_count);
    rig_release(&dialling);
    bar(SIM_OPEN);
}

TEST(what_becomes_free_elsewhere_goes_to_who_dials)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig_run(&rig, release_elsewhere);
}

/* Its own worker's first, since that costs no move. */
static void release_here(struct pool_rig *self)
{
    struct rig_get busy, there, here;
    begin(&busy, &there);
    rig_get(&here, &self->parts[0], CONNECTOR_ANY);
    rig_sleep_ms(50);
    CHECK(rig_waits(&here) && rig_waits(&there));
    rig_release(&busy);
    CHECK_OK(rig_await(&here));
    CHECK(rig_waits(&there));
    rig_release(&here);
    CHECK_OK(rig_await(&there));
    rig_release(&there);
    bar(SIM_OPEN);
}

TEST(who_dials_here_comes_before_who_dials_elsewhere)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig_run(&rig, release_here);
}

/* Its dial goes on, and it stands by again. */
static void release_a_dying_one(struct pool_rig *self)
{
    struct rig_get busy, dialling;
    begin(&busy, &dialling);
    struct census *census = busy.session->conn->key->census;
    self->world.faults.late_detach = 1000;
    scope_cancel(&self->server.connections);
    rig_sleep_ms(2);
    rig_release(&busy);
    CHECK(!census_has_standing_by(census));
    rig_sleep_ms(50);
    CHECK_EQ(1, rig_closed(&self->parts[0], CLOSE_PEER_CLOSED));
    CHECK_EQ(0, self->parts[0].pool.moved_out_count);
    CHECK(rig_waits(&dialling) && census_has_standing_by(census));
    co_cancel(dialling.co);
    CHECK_ERR(WEIR_E_CANCELED, rig_await(&dialling));
    CHECK(!census_has_standing_by(census));
    bar(SIM_OPEN);
}

TEST(one_that_dies_on_its_way_changes_nothing)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig.world.faults.latency_min = weir_span_ms(5);
    rig.world.faults.latency_max = weir_span_ms(6);
    rig_run(&rig, release_a_dying_one);
}

/* Nobody wants it any more when it comes: it rests where it came to. */
static void give_up_meanwhile(struct pool_rig *self)
{
    struct rig_get busy, dialling;
    begin(&busy, &dialling);
    self->world.faults.late_detach = 1000;
    rig_release(&busy);
    co_cancel(dialling.co);
    CHECK_ERR(WEIR_E_CANCELED, rig_await(&dialling));
    CHECK_EQ(1, self->parts[1].pool.abandoned_count);
    rig_sleep_ms(50);
    CHECK_EQ(1, self->parts[0].pool.idle_count + self->parts[1].pool.idle_count);
    CHECK_EQ(0, self->parts[1].pool.abandoned_count);
    bar(SIM_OPEN);
}

TEST(who_gives_up_meanwhile_leaves_nothing)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig.world.faults.latency_min = weir_span_ms(5);
    rig.world.faults.latency_max = weir_span_ms(6);
    rig_run(&rig, give_up_meanwhile);
}

/* A request that wants a new connection is not given one that was used. */
static void want_a_fresh_one(struct pool_rig *self)
{
    struct rig_get busy, fresh;
    rig_get(&busy, &self->parts[0], CONNECTOR_ANY);
    CHECK_OK(rig_await(&busy));
    bar(SIM_SWALLOWS);
    rig_get(&fresh, &self->parts[1], CONNECTOR_FRESH);
    rig_sleep_ms(50);
    rig_release(&busy);
    rig_sleep_ms(50);
    CHECK(rig_waits(&fresh));
    CHECK_EQ(1, self->parts[0].pool.idle_count);
    co_cancel(fresh.co);
    CHECK_ERR(WEIR_E_CANCELED, rig_await(&fresh));
    bar(SIM_OPEN);
}

TEST(who_wants_a_fresh_one_does_not_stand_by)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig_run(&rig, want_a_fresh_one);
}

CHECK_MAIN
