/* SPDX-License-Identifier: MIT */
#include "upstream/connector.h"

#include "tests/unit/upstream/swap.h"

#define OK_1 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"

/* A whole exchange on the session that is there. */
WEIR_SUSPENDS static void exchange(void)
{
    swap_request("GET");
    if (!swap_send())
        return;
    raw_send(swap.server, OK_1);
    CHECK_OK(swap_recv());
    swap_release(true);
}

STAGE_TEST(a_story_tells_new_and_reused)
{
    rig_open(8);
    if (!swap_get(CONNECTOR_ANY))
        return;
    struct session_story first = swap.session->story;
    CHECK_EQ(SOURCE_NEW, first.source);
    CHECK_EQ(1, first.connection_requests);
    CHECK_EQ(0, first.connection_idle.ns);
    CHECK(first.connect.ns >= 0);
    exchange();
    struct weir_time released = loop_now(&stage.loop);
    stage_turns();
    STAGE_UNTIL(weir_time_before(released, loop_now(&stage.loop)));

    if (!swap_get(CONNECTOR_ANY))
        return;
    struct session_story second = swap.session->story;
    CHECK_EQ(SOURCE_REUSED, second.source);
    CHECK_EQ(first.connection_id, second.connection_id);
    CHECK_EQ(2, second.connection_requests);
    CHECK_EQ(0, second.connect.ns);
    CHECK(second.connection_idle.ns > 0);
    CHECK(second.connection_age.ns >= second.connection_idle.ns);
    CHECK_EQ(released.ns, swap.session->released_before.ns);
    exchange();
    CHECK_EQ(1, stat_read(&rig.stats[0].requests[SOURCE_NEW]));
    CHECK_EQ(1, stat_read(&rig.stats[0].requests[SOURCE_REUSED]));
    CHECK_EQ(1, stat_read(&rig.stats[0].opened));
    swap_end();
}

STAGE_TEST(fresh_means_a_new_one_whatever_is_idle)
{
    rig_open(8);
    if (!swap_get(CONNECTOR_ANY))
        return;
    uint64_t first = swap.session->conn->id;
    exchange();
    int first_server = swap.server;
    if (!swap_get(CONNECTOR_FRESH))
        return;
    CHECK_EQ(SOURCE_NEW, swap.session->story.source);
    CHECK(swap.session->conn->id != first);
    CHECK(swap.server != first_server);
    CHECK_EQ(1, rig.pool.idle_count);
    exchange();
    CHECK_EQ(2, rig.pool.idle_count);
    raw_close(first_server);
    swap_end();
}

STAGE_TEST(a_dead_idle_one_is_passed_over)
{
    rig_open(8);
    if (!swap_get(CONNECTOR_ANY))
        return;
    exchange();
    stage_turns();
    raw_close(swap.server);
    if (!swap_get(CONNECTOR_ANY))
        return;
    CHECK_EQ(SOURCE_NEW, swap.session->story.source);
    CHECK_EQ(1, rig_closed(0, CLOSE_PEER_CLOSED));
    exchange();
    swap_end();
}

STAGE_TEST(what_a_dial_ends_with_is_told)
{
    int taken;
    struct session *session = NULL;
    rig_open(8);
    raw_close(rig.servers[0].descriptor);
    rig.servers[0].addr = raw_refusing(&taken);
    rig.servers[0].descriptor = taken;
    rig_peer(0, NULL);
    CHECK_ERR(WEIR_E_REFUSED,
              connector_get(&rig.pool, &rig.peers[0], CONNECTOR_ANY, in_ms(5000), &session));
    CHECK(!session);
    CHECK_EQ(0, stat_read(&rig.stats[0].requests[SOURCE_NEW]));
    rig_close();
}

/* Many one after the other need one connection; many at once need one each. */
STAGE_TEST(one_at_a_time_needs_one_connection)
{
    enum { AT_ONCE = 5 };
    static struct session *sessions[AT_ONCE];
    static int servers[AT_ONCE];
    rig_open(8);
    for (int i = 0; i < 50; i++) {
        if (!swap_get(CONNECTOR_ANY))
            return;
        exchange();
    }
    CHECK_EQ(1, stat_read(&rig.stats[0].opened));
    CHECK_EQ(49, stat_read(&rig.stats[0].requests[SOURCE_REUSED]));
    for (int i = 0; i < AT_ONCE; i++) {
        if (!swap_get(CONNECTOR_ANY))
            return;
        sessions[i] = swap.session;
        servers[i] = swap.server;
    }
    CHECK_EQ(AT_ONCE, stat_read(&rig.stats[0].opened));
    for (int i = 0; i < AT_ONCE; i++)
        session_release(&sessions[i], true);
    CHECK_EQ(AT_ONCE, rig.pool.idle_count);
    for (int i = 0; i < AT_ONCE; i++)
        raw_close(servers[i]);
    rig_close();
}

CHECK_MAIN
