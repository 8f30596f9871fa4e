/* SPDX-License-Identifier: MIT */
#include "upstream/share.h"

#include "tests/unit/upstream/h2_host.h"

STAGE_TEST(all_share_one_dial)
{
    host_open(100);
    ask_many(8);
    if (all_have(8)) {
        CHECK_EQ(1, opened_count());
        for (unsigned i = 1; i < 8; i++)
            CHECK(conn_of(i) == conn_of(0));
        CHECK_EQ(8, conn_of(0)->streams);
        CHECK_EQ(8, stat_read(&rig.stats[0].streams));
        CHECK_EQ(1, rig.pool.in_use_count);
        CHECK_EQ(1, stat_read(&rig.stats[0].waits[WAIT_DIALLED]));
        CHECK_EQ(7, stat_read(&rig.stats[0].waits[WAIT_SHARED]));
    }
    give_all_back();
    CHECK_EQ(1, rig.pool.idle_count);
    host_fini();
}

/* Who came second does not begin before it is known whether there is a stream for him. */
STAGE_TEST(they_wait_for_the_servers_settings)
{
    host_open(100);
    hosts.says_less = true;
    ask_many(3);
    if (STAGE_UNTIL(askers[0].over) && CHECK_OK(askers[0].err)) {
        stage_turns();
        CHECK(!askers[1].over && !askers[2].over);
        CHECK(!conn_of(0)->h2->settled);
        CHECK_EQ(1, conn_h2_limit(conn_of(0)));
        hosts.at[0].mute = false;
        if (all_have(3)) {
            CHECK(conn_of(0)->h2->settled && conn_of(1) == conn_of(0) && conn_of(2) == conn_of(0));
            CHECK_EQ(100, conn_h2_limit(conn_of(0)));
        }
    }
    give_all_back();
    host_fini();
}

STAGE_TEST(what_finds_no_stream_dials)
{
    host_open(3);
    ask_many(8);
    if (all_have(8)) {
        CHECK_EQ(3, opened_count());
        CHECK_EQ(8, stat_read(&rig.stats[0].streams));
        for (unsigned i = 0; i < 8; i++)
            CHECK(conn_of(i)->streams <= 3);
    }
    give_all_back();
    CHECK_EQ(3, rig.pool.idle_count);
    host_fini();
}

/* As many are dialled at once as are needed by what one is allowed to have. */
STAGE_TEST(our_own_limit_is_known_before)
{
    struct peer_options options;
    host_open(100);
    options = host_options(0);
    options.h2.max_streams = 2;
    peer_init(&rig.peers[0], &options);
    hosts.says_less = true;
    ask_many(4);
    STAGE_UNTIL(askers[0].over && hosts.count == 2);
    CHECK_EQ(2, opened_count());
    hosts.at[0].mute = hosts.at[1].mute = false;
    if (all_have(4)) {
        CHECK_EQ(2, opened_count());
        CHECK(conn_of(0)->streams == 2 && conn_of(3)->streams == 2);
    }
    give_all_back();
    host_fini();
}

STAGE_TEST(with_one_stream_each_nobody_waits_for_another)
{
    struct peer_options options;
    host_open(100);
    options = host_options(0);
    options.h2.max_streams = 1;
    peer_init(&rig.peers[0], &options);
    hosts.says_less = true;
    ask_many(3);
    if (all_have(3))
        CHECK_EQ(3, opened_count());
    hosts.says_less = false;
    for (unsigned i = 0; i < hosts.count; i++)
        hosts.at[i].mute = false;
    give_all_back();
    host_fini();
}

STAGE_TEST(a_server_that_cannot_be_reached_is_so_for_all)
{
    int taken;
    struct peer_options options;
    host_open(100);
    options = host_options(0);
    options.addr = raw_refusing(&taken);
    peer_init(&rig.peers[0], &options);
    ask_many(4);
    for (unsigned i = 0; i < 4; i++) {
        STAGE_UNTIL(askers[i].over);
        CHECK_ERR(WEIR_E_REFUSED, askers[i].err);
    }
    CHECK_EQ(1, stat_read(&rig.stats[0].connect_errors[WEIR_E_REFUSED]));
    raw_close(taken);
    host_fini();
}

STAGE_TEST(who_led_may_leave)
{
    host_open(100);
    hosts.says_less = true;
    ask_many(3);
    (void)!co_yield ();
    co_cancel(askers[0].co);
    STAGE_UNTIL(askers[0].over);
    CHECK_ERR(WEIR_E_CANCELED, askers[0].err);
    STAGE_UNTIL(hosts.count > 0);
    hosts.says_less = false;
    STAGE_UNTIL(askers[1].over || askers[2].over || hosts.count > 0);
    for (unsigned i = 0; i < hosts.count; i++)
        hosts.at[i].mute = false;
    for (unsigned i = 1; i < 3; i++) {
        STAGE_UNTIL(askers[i].over);
        CHECK_OK(askers[i].err);
    }
    STAGE_UNTIL(pool_is_quiet(&rig.pool));
    CHECK(opened_count() <= 2);
    give_all_back();
    for (unsigned i = 0; i < hosts.count; i++)
        hosts.at[i].mute = false;
    host_fini();
}

STAGE_TEST(who_followed_may_leave)
{
    host_open(100);
    hosts.says_less = true;
    ask_many(3);
    STAGE_UNTIL(askers[0].over);
    co_cancel(askers[1].co);
    STAGE_UNTIL(askers[1].over);
    CHECK_ERR(WEIR_E_CANCELED, askers[1].err);
    hosts.at[0].mute = false;
    STAGE_UNTIL(askers[2].over);
    CHECK_OK(askers[2].err);
    CHECK_EQ(2, conn_of(2)->streams);
    CHECK_EQ(1, opened_count());
    give_all_back();
    host_fini();
}

/* Its server closes it before it has said anything: the others try on their own. */
STAGE_TEST(one_that_breaks_before_it_is_settled_is_nobodys_hope)
{
    host_open(100);
    hosts.says_less = true;
    ask_many(3);
    STAGE_UNTIL(askers[0].over && hosts.count == 1);
    hosts.says_less = false;
    host_close(&hosts.at[0]);
    for (unsigned i = 1; i < 3; i++) {
        STAGE_UNTIL(askers[i].over);
        CHECK_OK(askers[i].err);
    }
    CHECK_EQ(2, opened_count());
    CHECK(conn_of(1) == conn_of(2) && conn_of(1) != conn_of(0));
    CHECK(conn_of(0)->h2->retired);
    give_all_back();
    CHECK_EQ(1, rig.pool.idle_count);
    host_fini();
}

/* A stream that is given back is taken by who waits at the limit of connections. */
STAGE_TEST(who_waits_in_the_queue_gets_a_stream)
{
    struct peer_options options;
    host_open(2);
    options = host_options(0);
    options.limits.max_connections = 1;
    options.limits.queue_size = 10;
    peer_init(&rig.peers[0], &options);
    ask_many(4);
    if (all_have(2)) {
        stage_turns();
        CHECK(!askers[2].over && !askers[3].over);
        give_back(1);
        STAGE_UNTIL(askers[2].over);
        CHECK_OK(askers[2].err);
        CHECK(!askers[3].over);
        give_back(0);
        STAGE_UNTIL(askers[3].over);
        CHECK_OK(askers[3].err);
        CHECK_EQ(1, opened_count());
    }
    give_all_back();
    host_fini();
}

CHECK_MAIN
