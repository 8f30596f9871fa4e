/* SPDX-License-Identifier: MIT */
/* Connections of HTTP/2 go from one part of a pool to another: both parts on one loop here. */
#include "upstream/move.h"

#include "tests/unit/upstream/h2_host.h"

static struct pool other; /* part 1; the rig's is part 0 */
static struct upstream_stats other_stats[RIG_SERVERS];
static struct peer other_peer;
static struct session *session;

static void open_parts(void)
{
    struct peer_options options;
    host_open_among(10, 2);
    hosts.answers = true;
    memset(other_stats, 0, sizeof other_stats);
    options = host_options(0);
    peer_init(&other_peer, &options);
    const struct pool_options pool = {
        .loop = &stage.loop,
        .streams = &stage.streams,
        .commons = rig.commons,
        .worker = 1,
        .stats = other_stats,
        .seed = 2,
    };
    pool_init(&other, &pool);
}

WEIR_SUSPENDS static void close_parts(void)
{
    session_release(&session, true);
    give_all_back();
    pool_audit(&other);
    STAGE_UNTIL(pool_is_quiet(&other) && pool_is_quiet(&rig.pool));
    pool_fini(&other);
    host_fini();
}

/* One that rests at the rig's part. */
WEIR_SUSPENDS static uint64_t rest_one(void)
{
    ask_many(1);
    if (!all_have(1) || !CHECK_OK(exchange(askers[0].session)))
        return 0;
    uint64_t id = conn_of(0)->id;
    give_back(0);
    CHECK_EQ(1, rig.pool.idle_count);
    return id;
}

/* Who asks at the other part. */
WEIR_SUSPENDS static bool get_there(void)
{
    return CHECK_OK(connector_get(&other, &other_peer, CONNECTOR_ANY, in_ms(5000), &session));
}

STAGE_TEST(one_that_rests_goes_where_it_is_wanted)
{
    open_parts();
    uint64_t id = rest_one();
    if (get_there()) {
        CHECK_EQ(SOURCE_TAKEN_OVER, session->story.source);
        CHECK_EQ(id, session->conn->id);
        CHECK_EQ(HTTP_2, session->conn->protocol);
        CHECK(session->conn->h2->settled && session->conn->pool == &other);
        CHECK_EQ(0, rig.pool.idle_count);
        CHECK_OK(exchange(session)); /* and goes on where it was */
        CHECK_EQ(200, swap.response.status);
        CHECK_EQ(2, hosts.at[0].end.user_count);
        CHECK_EQ(1, hosts.count);
    }
    close_parts();
}

/* One that is used stays, however much room it has. */
STAGE_TEST(one_in_use_stays)
{
    open_parts();
    ask_many(1);
    if (all_have(1) && get_there()) {
        CHECK(session->conn != conn_of(0));
        CHECK_EQ(SOURCE_NEW, session->story.source);
    }
    close_parts();
}

/* The PING that a server sends while it moves is answered; a GOAWAY ends it. */
STAGE_TEST(what_comes_on_the_way_is_heard)
{
    for (unsigned says_goaway = 0; says_goaway < 2; says_goaway++) {
        open_parts();
        uint64_t id = rest_one();
        struct h2_session *server = &hosts.at[0].end.session;
        if (says_goaway)
            h2_session_refuse_more(server);
        else
            h2_session_ping(server);
        host_send(&hosts.at[0]); /* it lies there, and nobody has looked */
        if (get_there()) {
            CHECK_EQ(says_goaway, session->conn->id != id);
            CHECK_OK(exchange(session));
            if (!says_goaway)
                STAGE_UNTIL(server->pings_answered == 1);
        }
        close_parts();
    }
}

/* Each part knows what it has: one moved in, and out, and counted as a session where it is. */
STAGE_TEST(the_books_are_right)
{
    open_parts();
    rig.peers[0].options.counts_active = other_peer.options.counts_active = true;
    if (rest_one() && get_there()) {
        struct gate *gate = gate_of(session->conn->key);
        CHECK_EQ(1, atomic_load(&gate->active));
        CHECK_EQ(1, rig.pool.moved_out_count);
        CHECK_EQ(1, other.moved_in_count);
        CHECK_EQ(1, stat_read(&other_stats[0].streams));
        CHECK_EQ(0, stat_read(&rig.stats[0].streams));
        session_release(&session, true);
        CHECK_EQ(0, atomic_load(&gate->active));
        CHECK_EQ(1, other.idle_count);
    }
    close_parts();
}

CHECK_MAIN
