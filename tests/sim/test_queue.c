/* SPDX-License-Identifier: MIT */
/* The queue before an address that takes few connections. */
#include "tests/sim/pool_rig.h"

#include "base/check.h"

#include "tests/check.h"

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

CHECK_MAIN
