/* SPDX-License-Identifier: MIT */
/* What is kept, in which order it comes back, and what has to go when there are too many. */
#include "upstream/pool.h"

#include "tests/unit/upstream/rig.h"

STAGE_TEST(two_keys_come_back_under_their_own)
{
    struct conn *conn;
    rig_open(8);
    struct rig_pair a = rig_idle(0), b = rig_idle(1);
    CHECK_EQ(2, rig.pool.idle_count);
    CHECK_EQ(a.id, rig_take(0, &conn));
    CHECK_EQ(0, rig_pop(0));
    rig_drop(&conn);
    CHECK_EQ(b.id, rig_pop(1));
    CHECK_EQ(0, rig_pop(1));
    CHECK_EQ(0, rig_pop(2));
    raw_close(a.server);
    raw_close(b.server);
    rig_close();
}

STAGE_TEST(the_one_released_last_comes_first)
{
    struct conn *conn;
    rig_open(8);
    struct rig_pair a = rig_dial(0), b = rig_dial(0), c = rig_dial(0);
    rig_put(&b);
    rig_put(&a);
    rig_put(&c);
    CHECK_EQ(c.id, rig_take(0, &c.conn));
    CHECK_EQ(a.id, rig_take(0, &a.conn));
    rig_put(&c);
    CHECK_EQ(c.id, rig_take(0, &c.conn));
    CHECK_EQ(b.id, rig_take(0, &b.conn));
    CHECK_EQ(0, rig_take(0, &conn));
    rig_put(&a);
    rig_put(&b);
    rig_put(&c);
    raw_close(a.server);
    raw_close(b.server);
    raw_close(c.server);
    rig_close();
}

STAGE_TEST(an_id_is_never_used_again)
{
    uint64_t last = 0;
    rig_open(8);
    for (int i = 0; i < 20; i++) {
        struct rig_pair pair = rig_dial(0);
        CHECK(pair.id > last);
        last = pair.id;
        rig_drop(&pair.conn);
        raw_close(pair.server);
    }
    rig_close();
}

STAGE_TEST(over_the_size_the_one_released_longest_ago_goes)
{
    rig_open(2);
    struct rig_pair a = rig_idle(0), b = rig_idle(0), c = rig_idle(0);
    CHECK_EQ(2, rig.pool.idle_count);
    rig_check_end(&a, 0);
    CHECK_EQ(1, rig_closed(0, CLOSE_EVICTED));
    CHECK_EQ(c.id, rig_pop(0));
    CHECK_EQ(b.id, rig_pop(0));
    CHECK_EQ(0, rig_pop(0));
    raw_close(b.server);
    raw_close(c.server);
    rig_close();
}

STAGE_TEST(whatever_its_key_is)
{
    rig_open(2);
    struct rig_pair a = rig_idle(0), b = rig_idle(1), c = rig_idle(1);
    rig_check_end(&a, 0);
    CHECK_EQ(1, rig_closed(0, CLOSE_EVICTED));
    CHECK_EQ(0, rig_pop(0));
    struct rig_pair d = rig_idle(2);
    rig_check_end(&b, 0);
    CHECK_EQ(1, rig_closed(1, CLOSE_EVICTED));
    CHECK_EQ(c.id, rig_pop(1));
    CHECK_EQ(d.id, rig_pop(2));
    raw_close(c.server);
    raw_close(d.server);
    rig_close();
}

/* Being used again makes it young, and what is in use takes no place. */
STAGE_TEST(a_taken_one_leaves_its_place_and_its_age)
{
    rig_open(2);
    struct rig_pair a = rig_idle(0), b = rig_idle(1);
    CHECK_EQ(a.id, rig_take(0, &a.conn));
    struct rig_pair c = rig_idle(2);
    CHECK_EQ(2, rig.pool.idle_count);
    CHECK_EQ(0, rig_closed(1, CLOSE_EVICTED));
    rig_put(&a);
    rig_check_end(&b, 0);
    CHECK_EQ(1, rig_closed(1, CLOSE_EVICTED));
    CHECK_EQ(a.id, rig_pop(0));
    CHECK_EQ(c.id, rig_pop(2));
    raw_close(a.server);
    raw_close(c.server);
    rig_close();
}

STAGE_TEST(size_one_keeps_the_newest)
{
    rig_open(1);
    struct rig_pair a = rig_idle(0), b = rig_idle(0);
    rig_check_end(&a, 0);
    CHECK_EQ(b.id, rig_pop(0));
    raw_close(b.server);
    rig_close();
}

STAGE_TEST(size_zero_keeps_none)
{
    rig_open(0);
    struct rig_pair a = rig_idle(0);
    rig_check_end(&a, 0);
    CHECK_EQ(0, rig_pop(0));
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_POOLING_OFF));
    CHECK_EQ(1, rig_closed(0, CLOSE_NOT_REUSABLE));
    rig_close();
}

STAGE_TEST(idle_timeout_zero_keeps_none_of_that_peer)
{
    struct peer_options defaults;
    peer_options_init(&defaults);
    rig_open(8);
    defaults.limits.idle_timeout = weir_span_ns(0);
    rig_peer(0, &defaults.limits);
    struct rig_pair a = rig_idle(0), b = rig_idle(1);
    rig_check_end(&a, 0);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_POOLING_OFF));
    CHECK_EQ(b.id, rig_pop(1));
    raw_close(b.server);
    rig_close();
}

/* A key goes on working after its last connection has gone, whichever way it went. */
STAGE_TEST(an_emptied_key_can_be_used_again)
{
    rig_open(1);
    struct rig_pair other = {.server = -1};
    for (int i = 0; i < 3; i++) {
        struct rig_pair a = rig_idle(0);
        if (i == 0)
            CHECK_EQ(a.id, rig_pop(0));
        if (i == 1)
            other = rig_idle(1); /* evicts it */
        if (i == 2)
            raw_close(a.server);
        STAGE_UNTIL(stat_read(&rig.stats[0].idle[HTTP_1]) == 0);
        CHECK_EQ(0, rig_pop(0));
        if (i != 2)
            raw_close(a.server);
    }
    struct rig_pair again = rig_idle(0);
    CHECK_EQ(again.id, rig_pop(0));
    raw_close(again.server);
    raw_close(other.server);
    rig_close();
}

STAGE_TEST(closing_one_leaves_the_others_of_its_key)
{
    rig_open(8);
    struct rig_pair a = rig_idle(0), b = rig_idle(0), c = rig_idle(0), other = rig_idle(1);
    raw_close(b.server);
    STAGE_UNTIL(rig.pool.idle_count == 3);
    pool_audit(&rig.pool);
    CHECK_EQ(c.id, rig_pop(0));
    CHECK_EQ(a.id, rig_pop(0));
    CHECK_EQ(0, rig_pop(0));
    CHECK_EQ(other.id, rig_pop(1));
    raw_close(a.server);
    raw_close(c.server);
    raw_close(other.server);
    rig_close();
}

STAGE_TEST(keys_with_equal_hashes_never_share)
{
    rig_open(8);
    key_force_collisions(true);
    for (unsigned i = 0; i < RIG_SERVERS; i++)
        rig_peer(i, NULL);
    struct rig_pair a = rig_idle(0), b = rig_idle(1), a2 = rig_idle(0);
    CHECK_EQ(0, rig_pop(2));
    CHECK_EQ(b.id, rig_pop(1));
    CHECK_EQ(0, rig_pop(1));
    CHECK_EQ(a2.id, rig_pop(0));
    CHECK_EQ(a.id, rig_pop(0));
    raw_close(a.server);
    raw_close(b.server);
    raw_close(a2.server);
    rig_close();
    key_force_collisions(false);
}

/* Another peer with the same key gets it, and from then on it is counted for that one. */
STAGE_TEST(peers_with_equal_keys_share)
{
    rig_open(8);
    struct rig_pair a = rig_idle(0);
    static struct peer twin;
    struct peer_options options = rig.peers[0].options;
    options.upstream_number = 2;
    options.limits.read_timeout = weir_span_ms(1);
    peer_init(&twin, &options);
    struct conn *conn = rig_take_for(&twin);
    if (CHECK(conn)) {
        CHECK_EQ(a.id, conn->id);
        CHECK(conn->peer == &twin);
        CHECK_EQ(1, stat_read(&rig.stats[2].in_use[HTTP_1]));
        CHECK_EQ(0, stat_read(&rig.stats[0].in_use[HTTP_1]));
        pool_close(&conn, CLOSE_ERROR, true);
    }
    raw_close(a.server);
    rig_close();
}

STAGE_TEST(gauges_and_counters_follow)
{
    rig_open(8);
    struct upstream_stats *stats = &rig.stats[0];
    struct rig_pair a = rig_dial(0);
    CHECK_EQ(1, stat_read(&stats->in_use[HTTP_1]));
    CHECK_EQ(1, stat_read(&stats->opened));
    CHECK_EQ(0, stat_read(&stats->dialling));
    rig_put(&a);
    CHECK_EQ(0, stat_read(&stats->in_use[HTTP_1]));
    CHECK_EQ(1, stat_read(&stats->idle[HTTP_1]));
    CHECK_EQ(a.id, rig_take(0, &a.conn));
    rig_put(&a);
    CHECK_EQ(a.id, rig_pop(0));
    CHECK_EQ(0, stat_read(&stats->idle[HTTP_1]));
    uint64_t connects = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        connects += stat_read(&stats->connect.counts[i]);
    CHECK_EQ(1, connects);
    CHECK_EQ(1, stat_read(&stats->opened));
    CHECK_EQ(1, rig_closed(0, CLOSE_ERROR));
    raw_close(a.server);
    rig_close();
}

STAGE_TEST(a_refused_dial_is_counted_and_leaves_nothing)
{
    struct conn *conn = NULL;
    int taken;
    rig_open(8);
    raw_close(rig.servers[0].descriptor);
    rig.servers[0].addr = raw_refusing(&taken);
    rig.servers[0].descriptor = taken;
    rig_peer(0, NULL);
    CHECK_ERR(WEIR_E_REFUSED, rig_connect(&rig.peers[0], &conn));
    CHECK(!conn);
    pool_audit(&rig.pool);
    CHECK_EQ(1, stat_read(&rig.stats[0].connect_errors[WEIR_E_REFUSED]));
    CHECK_EQ(0, stat_read(&rig.stats[0].opened));
    CHECK_EQ(0, rig.pool.dialling_count);
    rig_close();
}

CHECK_MAIN
