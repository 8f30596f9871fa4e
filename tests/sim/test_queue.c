/* SPDX-License-Identifier: MIT */
/* The queue before an address that takes few connections. */
#include "tests/sim/pool_rig.h"

#include "base/check.h"

#include "tests/check.h"

static struct pool_rig rig;

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
CHECK_MAIN
