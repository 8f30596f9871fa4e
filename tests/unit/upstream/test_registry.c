/* SPDX-License-Identifier: MIT */
#include "upstream/registry.h"

#include "tests/unit/upstream/h2_host.h"

static struct pool_key *key_here(void)
{
    return pool_key_of(&rig.pool, &rig.peers[0]);
}

STAGE_TEST(who_has_room_is_found)
{
    host_open(3);
    CHECK(!registry_take(key_here(), LOOK_WELL));
    ask_many(1);
    if (all_have(1)) {
        STAGE_UNTIL(conn_of(0)->h2->settled);
        CHECK(registry_take(key_here(), LOOK_WELL) == conn_of(0));
        ask_for(1, CONNECTOR_ANY);
        ask_for(2, CONNECTOR_ANY);
        all_have(3);
        CHECK(!registry_take(key_here(), LOOK_WELL)); /* it is full */
        give_back(1);
        CHECK(registry_take(key_here(), LOOK_WELL) == conn_of(0));
        CHECK_EQ(SOURCE_REUSED, askers[2].session->story.source);
        CHECK_EQ(HTTP_2, askers[2].session->story.protocol);
        CHECK_EQ(3, askers[2].session->story.connection_requests);
    }
    give_all_back();
    CHECK(!registry_take(key_here(), LOOK_WELL)); /* it rests */
    CHECK_EQ(1, opened_count());
    host_fini();
}

/* The one that has had room for longest, so that the others come to rest. */
STAGE_TEST(they_are_filled_one_after_the_other)
{
    host_open(2);
    ask_many(4);
    if (all_have(4)) {
        struct conn *first = conn_of(0),
                    *other = conn_of(0) == conn_of(1) ? conn_of(2) : conn_of(1);
        for (unsigned i = 0; i < 4; i++)
            if (conn_of(i) == first && i > 0) {
                give_back(i);
                break;
            }
        CHECK(registry_take(key_here(), LOOK_WELL) == first);
        for (unsigned i = 1; i < 4; i++)
            if (askers[i].session && conn_of(i) == other) {
                give_back(i);
                break;
            }
        CHECK(registry_take(key_here(), LOOK_WELL) == first);
    }
    give_all_back();
    CHECK_EQ(2, opened_count());
    host_fini();
}

/* For a request that cannot be sent twice a dead one is noticed before. */
STAGE_TEST(a_close_look_finds_the_dead)
{
    host_open(3);
    ask_many(1);
    if (all_have(1)) {
        STAGE_UNTIL(conn_of(0)->h2->settled);
        hosts.closed = true;
        host_close(&hosts.at[0]);
        CHECK(!registry_take(key_here(), LOOK_SURELY));
        CHECK(conn_of(0)->h2->retired);
    }
    give_all_back();
    CHECK_EQ(1, rig_closed(0, CLOSE_PEER_CLOSED));
    host_fini();
}

STAGE_TEST(a_fresh_one_is_not_among_them)
{
    host_open(10);
    ask_many(1);
    if (all_have(1)) {
        STAGE_UNTIL(conn_of(0)->h2->settled);
        ask_for(1, CONNECTOR_FRESH);
        all_have(2);
        CHECK(conn_of(1) != conn_of(0));
        CHECK_EQ(SOURCE_NEW, askers[1].session->story.source);
    }
    give_all_back();
    CHECK_EQ(2, opened_count());
    host_fini();
}

/* Two that want a fresh one may have the same, if it is made for them. */
STAGE_TEST(a_fresh_one_may_be_shared)
{
    host_open(10);
    for (unsigned i = 0; i < 3; i++)
        ask_for(i, CONNECTOR_FRESH);
    if (all_have(3))
        CHECK(conn_of(1) == conn_of(0) && conn_of(2) == conn_of(0));
    give_all_back();
    CHECK_EQ(1, opened_count());
    host_fini();
}

STAGE_TEST(streams_are_counted_where_balancing_wants_to_know)
{
    struct peer_options options;
    host_open(10);
    options = host_options(0);
    options.counts_active = true;
    peer_init(&rig.peers[0], &options);
    ask_many(5);
    if (all_have(5)) {
        struct gate *gate = gate_of(key_here());
        CHECK_EQ(5, atomic_load(&gate->active));
        give_back(3);
        CHECK_EQ(4, atomic_load(&gate->active));
        give_all_back();
        CHECK_EQ(0, atomic_load(&gate->active));
    }
    host_fini();
}

CHECK_MAIN
