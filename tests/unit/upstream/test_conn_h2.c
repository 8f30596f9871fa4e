/* SPDX-License-Identifier: MIT */
#include "upstream/conn_h2.h"

#include "tests/unit/upstream/h2_host.h"

/* With other limits and options for server 0, before anyone has asked. */
static void change_peer(void (*change)(struct peer_options *options))
{
    struct peer_options options = host_options(0);
    change(&options);
    peer_init(&rig.peers[0], &options);
}

static struct h2_session *server_session(unsigned host)
{
    return &hosts.at[host].end.session;
}

static void set_max_streams(unsigned host, uint32_t count)
{
    nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, count};
    must(nghttp2_submit_settings(server_session(host)->ng, NGHTTP2_FLAG_NONE, &entry, 1) == 0);
}

/* One that rests, whose server has told its SETTINGS. */
WEIR_SUSPENDS static struct conn *rest_one(void)
{
    hosts.answers = true;
    ask_many(1);
    if (!all_have(1))
        return NULL;
    struct conn *conn = conn_of(0);
    CHECK_OK(exchange(askers[0].session));
    CHECK(conn->h2->settled);
    give_back(0);
    CHECK_EQ(CONN_IDLE, conn->state);
    return conn;
}

static void pretend_rest(struct conn *conn, struct weir_span rest)
{
    conn->released.ns -= rest.ns;
}

/* --- Limits ---------------------------------------------------------------------------------- */

STAGE_TEST(the_server_lowers_the_limit_and_raises_it)
{
    host_open(4);
    ask_many(3);
    if (all_have(3)) {
        struct conn *conn = conn_of(0);
        CHECK_EQ(4, conn_h2_limit(conn));
        CHECK(conn_h2_has_room(conn));
        set_max_streams(0, 2);
        STAGE_UNTIL(conn_h2_limit(conn) == 2);
        CHECK(!conn_h2_has_room(conn) && conn->streams == 3);
        hosts.max_streams = 1;
        ask_for(3, CONNECTOR_ANY);
        all_have(4);
        CHECK(conn_of(3) != conn);
        give_back(0); /* two are as many as it may have */
        CHECK(!conn_h2_has_room(conn));
        set_max_streams(0, 200);
        STAGE_UNTIL(conn_h2_limit(conn) == 100); /* not more than ours */
        CHECK(conn_h2_has_room(conn));
        ask_for(4, CONNECTOR_ANY);
        if (STAGE_UNTIL(askers[4].over) && CHECK_OK(askers[4].err))
            CHECK(conn_of(4) == conn);
    }
    give_all_back();
    CHECK_EQ(2, opened_count());
    host_fini();
}

/* Who waits for another connection has what the server allows now. */
STAGE_TEST(a_raised_limit_serves_who_waits)
{
    host_open(1);
    ask_many(1);
    if (all_have(1)) {
        STAGE_UNTIL(conn_of(0)->h2->settled);
        hosts.says_less = true;
        for (unsigned i = 1; i < 4; i++)
            ask_for(i, CONNECTOR_ANY);
        STAGE_UNTIL(hosts.count == 2);
        set_max_streams(0, 10);
        if (all_have(4))
            for (unsigned i = 1; i < 4; i++)
                CHECK(conn_of(i) == conn_of(0) || conn_of(i)->streams == 1);
        for (unsigned i = 0; i < hosts.count; i++)
            hosts.at[i].mute = false;
    }
    give_all_back();
    host_fini();
}

static void after_three(struct peer_options *options)
{
    options->limits.max_requests_per_connection = 3;
}

STAGE_TEST(after_so_many_requests_it_is_retired)
{
    host_open(10);
    change_peer(after_three);
    hosts.answers = true;
    for (unsigned i = 0; i < 8; i++) {
        ask_for(0, CONNECTOR_ANY);
        if (!all_have(1))
            break;
        CHECK_OK(exchange(askers[0].session));
        give_back(0);
    }
    CHECK(opened_count() >= 2 && opened_count() <= 4);
    CHECK_EQ(opened_count() - rig.pool.idle_count, rig_closed(0, CLOSE_MAX_REQUESTS));
    host_fini();
}

static void aged(struct peer_options *options)
{
    options->limits.max_connection_age = weir_span_ms(40);
}

STAGE_TEST(when_it_is_old_it_ends_with_its_last_stream)
{
    host_open(10);
    change_peer(aged);
    ask_many(2);
    if (all_have(2)) {
        struct conn *conn = conn_of(0);
        STAGE_UNTIL(!conn_h2_has_room(conn));
        CHECK(conn_of(1) == conn);
        give_back(0);
        CHECK_EQ(CONN_IN_USE, conn->state);
        CHECK_EQ(0, stat_read(&rig.stats[0].closed[CLOSE_MAX_AGE]));
        give_back(1);
        CHECK_EQ(1, stat_read(&rig.stats[0].closed[CLOSE_MAX_AGE]));
    }
    STAGE_UNTIL(!host_is_open(&hosts.at[0]));
    int64_t last;
    host_fini();
    CHECK_EQ(-1, end_goaway_code(&hosts.at[0].end, &last));
}

/* --- Its end --------------------------------------------------------------------------------- */

STAGE_TEST(goaway_while_it_rests_closes_it)
{
    host_open(10);
    struct conn *conn = rest_one();
    if (conn) {
        h2_session_refuse_more(server_session(0));
        STAGE_UNTIL(rig.pool.idle_count == 0);
        CHECK_EQ(1, rig_closed(0, CLOSE_GOAWAY));
        CHECK_EQ(1, stat_read(&rig.stats[0].goaways));
    }
    host_fini();
}

STAGE_TEST(goaway_in_use_lets_its_streams_end)
{
    host_open(10);
    ask_many(2);
    if (all_have(2)) {
        struct conn *conn = conn_of(0);
        for (unsigned i = 0; i < 2; i++)
            CHECK_OK(send_get(askers[i].session));
        STAGE_UNTIL(hosts.at[0].end.user_count == 2);
        h2_session_refuse_more(server_session(0));
        STAGE_UNTIL(conn->h2->retired);
        CHECK_EQ(CLOSE_GOAWAY, conn->h2->reason);
        CHECK(!conn_h2_has_room(conn));
        ask_for(2, CONNECTOR_ANY);
        all_have(3);
        CHECK(conn_of(2) != conn);
        for (unsigned i = 0; i < 2; i++) {
            host_answer(&hosts.at[0], i);
            CHECK_OK(session_recv_head(askers[i].session, &swap.response, &swap.framing));
            CHECK_EQ(200, swap.response.status);
            give_back(i);
        }
        CHECK_EQ(1, rig_closed(0, CLOSE_GOAWAY));
        CHECK_EQ(1, stat_read(&rig.stats[0].goaways));
    }
    give_all_back();
    host_fini();
}

/* The last stream that it names decides which requests it has not seen. */
STAGE_TEST(goaway_refuses_what_came_too_late)
{
    host_open(10);
    ask_many(2);
    if (all_have(2)) {
        CHECK_OK(send_get(askers[0].session));
        STAGE_UNTIL(hosts.at[0].end.user_count == 1);
        h2_session_refuse_more(server_session(0));
        CHECK_OK(send_get(askers[1].session)); /* crosses it */
        CHECK_ERR(WEIR_E_STREAM_REFUSED,
                  session_recv_head(askers[1].session, &swap.response, &swap.framing));
        host_answer(&hosts.at[0], 0);
        CHECK_OK(session_recv_head(askers[0].session, &swap.response, &swap.framing));
    }
    give_all_back();
    host_fini();
}

STAGE_TEST(its_server_closes_it_while_it_rests)
{
    host_open(10);
    if (rest_one()) {
        host_close(&hosts.at[0]);
        STAGE_UNTIL(rig.pool.idle_count == 0);
        CHECK_EQ(1, rig_closed(0, CLOSE_PEER_CLOSED));
    }
    host_fini();
}

/* What is no HTTP/2 at all. `auto` is told by its answer, and remembers. */
STAGE_TEST(a_server_that_is_wrong_is_not_asked_again)
{
    for (unsigned i = 0; i < 2; i++) {
        host_open(10);
        hosts.closed = true;
        ask_many(1);
        STAGE_UNTIL(askers[0].over);
        rig.peers[0].options.protocol = i ? PEER_AUTO : PEER_HTTP2;
        int server = raw_accept(&rig.servers[0]);
        raw_send(server, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        if (CHECK_OK(askers[0].err)) {
            STAGE_UNTIL(conn_of(0)->h2->retired);
            struct pool_key *key = conn_of(0)->key;
            CHECK_EQ(i, census_prefers_http1(key->census, loop_now(&stage.loop)));
            struct weir_time later = weir_time_after(loop_now(&stage.loop), weir_span_s(601));
            CHECK(!census_prefers_http1(key->census, later));
        }
        give_all_back();
        CHECK_EQ(1, rig_closed(0, CLOSE_ERROR));
        raw_close(server);
        host_fini();
    }
}

/* --- Signs of life --------------------------------------------------------------------------- */

STAGE_TEST(after_a_rest_it_is_asked_for_a_sign_of_life)
{
    host_open(10);
    struct conn *conn = rest_one();
    if (conn) {
        pretend_rest(conn, weir_span_s(6));
        ask_many(3); /* the others wait for what becomes of it */
        if (all_have(3)) {
            for (unsigned i = 0; i < 3; i++)
                CHECK(conn_of(i) == conn);
            CHECK(!conn->h2->stale);
            CHECK_EQ(1, stat_read(&rig.stats[0].pings[PING_ANSWERED]));
            CHECK_EQ(0, stat_read(&rig.stats[0].pings[PING_LOST]));
        }
    }
    give_all_back();
    CHECK_EQ(1, opened_count());
    host_fini();
}

STAGE_TEST(after_a_short_rest_it_is_not)
{
    host_open(10);
    struct conn *conn = rest_one();
    if (conn) {
        pretend_rest(conn, weir_span_s(4));
        ask_many(1);
        all_have(1);
        CHECK(conn_of(0) == conn);
        CHECK_EQ(0, stat_read(&rig.stats[0].pings[PING_ANSWERED]));
    }
    give_all_back();
    host_fini();
}

static void impatient(struct peer_options *options)
{
    options->h2.ping_timeout = weir_span_ms(30);
}

STAGE_TEST(one_that_gives_none_is_closed_and_another_dialled)
{
    host_open(10);
    change_peer(impatient);
    struct conn *conn = rest_one();
    if (conn) {
        uint64_t id = conn->id;
        hosts.at[0].mute = true;
        pretend_rest(conn, weir_span_s(6));
        ask_many(3);
        if (all_have(3))
            for (unsigned i = 0; i < 3; i++) {
                CHECK(conn_of(i)->id != id && conn_of(i) == conn_of(0));
                CHECK(askers[i].session->story.missed);
            }
        CHECK_EQ(1, stat_read(&rig.stats[0].pings[PING_LOST]));
        CHECK_EQ(1, rig_closed(0, CLOSE_PING_TIMEOUT));
        hosts.at[0].mute = false;
    }
    give_all_back();
    CHECK_EQ(2, opened_count());
    host_fini();
}

/* Who asked for the sign is canceled: the next one goes on with the same PING. */
STAGE_TEST(who_tests_may_leave)
{
    host_open(10);
    struct conn *conn = rest_one();
    if (conn) {
        hosts.at[0].mute = true;
        pretend_rest(conn, weir_span_s(6));
        ask_many(1);
        STAGE_UNTIL(conn->h2->tester != NULL);
        co_cancel(askers[0].co);
        STAGE_UNTIL(askers[0].over);
        CHECK_ERR(WEIR_E_CANCELED, askers[0].err);
        pool_audit(&rig.pool);
        ask_for(1, CONNECTOR_ANY);
        stage_turns();
        hosts.at[0].mute = false;
        if (STAGE_UNTIL(askers[1].over) && CHECK_OK(askers[1].err))
            CHECK(conn_of(1) == conn);
    }
    give_all_back();
    host_fini();
}

static void often(struct peer_options *options)
{
    options->h2.ping_interval = weir_span_ms(10);
    options->h2.ping_timeout = weir_span_ms(60);
}

STAGE_TEST(an_interval_asks_again_and_again)
{
    host_open(10);
    change_peer(often);
    ask_many(1);
    if (all_have(1)) {
        CHECK_OK(send_get(askers[0].session));
        STAGE_UNTIL(stat_read(&rig.stats[0].pings[PING_ANSWERED]) >= 3);
        hosts.at[0].mute = true;
        CHECK_ERR(WEIR_E_PING_TIMEOUT,
                  session_recv_head(askers[0].session, &swap.response, &swap.framing));
        CHECK_EQ(1, stat_read(&rig.stats[0].pings[PING_LOST]));
        hosts.at[0].mute = false;
    }
    give_all_back();
    CHECK_EQ(1, rig_closed(0, CLOSE_PING_TIMEOUT));
    host_fini();
}

/* At rest too: then it is closed where it lies. */
STAGE_TEST(an_interval_ends_a_rest)
{
    host_open(10);
    change_peer(often);
    if (rest_one()) {
        STAGE_UNTIL(stat_read(&rig.stats[0].pings[PING_ANSWERED]) >= 2);
        CHECK_EQ(1, rig.pool.idle_count);
        hosts.at[0].mute = true;
        STAGE_UNTIL(rig.pool.idle_count == 0);
        CHECK_EQ(1, rig_closed(0, CLOSE_PING_TIMEOUT));
        hosts.at[0].mute = false;
    }
    host_fini();
}

/* --- Floods ---------------------------------------------------------------------------------- */

STAGE_TEST(a_server_that_floods_is_left)
{
    host_open(10);
    ask_many(1);
    if (all_have(1)) {
        STAGE_UNTIL(conn_of(0)->h2->settled);
        for (unsigned i = 0; i < 200; i++)
            h2_session_ping(server_session(0));
        STAGE_UNTIL(conn_of(0)->h2->retired);
        CHECK_EQ(1, stat_read(&rig.stats[0].floods[H2_FLOOD_PING]));
    }
    give_all_back();
    CHECK_EQ(1, rig_closed(0, CLOSE_ERROR));
    host_fini();
}

CHECK_MAIN
