/* SPDX-License-Identifier: MIT */
/* How connections of a pool end: while they rest, at release, at checkout, and when it drains. */
#include "upstream/pool.h"

#include "tests/unit/upstream/rig.h"

enum { SHORT_MS = 20 };

static struct peer_limits limits_with_idle(struct weir_span idle_timeout)
{
    struct peer_options options;
    peer_options_init(&options);
    options.limits.idle_timeout = idle_timeout;
    return options.limits;
}

static uint64_t unexpected(unsigned number, enum data_place place)
{
    return stat_read(&rig.stats[number].unexpected_data[place]);
}

STAGE_TEST(after_idle_timeout_it_is_closed)
{
    rig_open(8);
    struct peer_limits limits = limits_with_idle(weir_span_ms(SHORT_MS));
    rig_peer(0, &limits);
    struct rig_pair a = rig_idle(0);
    struct weir_time released = loop_now(&stage.loop);
    CHECK(timer_is_armed(&container_of(list_first(&rig.pool.idle), struct conn, idle_link)->rest));
    struct rig_pair other = rig_idle(1);
    STAGE_UNTIL(rig.pool.idle_count == 1);
    pool_audit(&rig.pool);
    CHECK(weir_time_between(released, loop_now(&stage.loop)).ns >= weir_span_ms(SHORT_MS).ns);
    CHECK_EQ(1, rig_closed(0, CLOSE_IDLE_TIMEOUT));
    rig_check_end(&a, 0);
    CHECK_EQ(0, rig_pop(0));
    CHECK_EQ(other.id, rig_pop(1));
    raw_close(other.server);
    rig_close();
}

/* Each rest is counted from its own release, and a connection in use does not rest. */
STAGE_TEST(idle_timeout_ends_with_the_idleness)
{
    rig_open(8);
    struct peer_limits limits = limits_with_idle(weir_span_ms(SHORT_MS));
    rig_peer(0, &limits);
    struct rig_pair a = rig_idle(0);
    CHECK_EQ(a.id, rig_take(0, &a.conn));
    CHECK(!timer_is_armed(&a.conn->rest));
    (void)!co_sleep(weir_span_ms(2 * SHORT_MS));
    CHECK_EQ(0, rig_closed(0, CLOSE_IDLE_TIMEOUT));
    rig_put(&a);
    CHECK_EQ(a.id, rig_pop(0));
    raw_close(a.server);
    rig_close();
}

STAGE_TEST(without_idle_timeout_it_rests_for_ever)
{
    rig_open(8);
    struct peer_limits limits = limits_with_idle(WEIR_FOREVER);
    limits.max_connection_age = WEIR_FOREVER;
    rig_peer(0, &limits);
    struct rig_pair a = rig_idle(0);
    CHECK(!timer_is_armed(&container_of(list_first(&rig.pool.idle), struct conn, idle_link)->rest));
    CHECK_EQ(a.id, rig_pop(0));
    raw_close(a.server);
    rig_close();
}

/* The server's hint shortens the rest: 2 s less their margin of 1 s. */
STAGE_TEST(the_servers_keep_alive_bounds_the_rest)
{
    rig_open(8);
    struct rig_pair a = rig_dial(0), b = rig_dial(0);
    struct keep_facts facts = {.has_keepalive_timeout = true, .keepalive_timeout_s = 2};
    struct conn *conn = a.conn;
    struct weir_time before = timers_next(&stage.loop.sched.timers);
    pool_put(&a.conn, &facts);
    CHECK(weir_time_before(timers_next(&stage.loop.sched.timers), before) ||
          weir_time_is_never(before));
    CHECK(!weir_time_before(in_ms(1100), timers_next(&stage.loop.sched.timers)));
    CHECK_EQ(CLOSE_IDLE_TIMEOUT, conn->rest_ends_by);
    facts = (struct keep_facts){.has_keepalive_timeout = true, .keepalive_timeout_s = 1};
    pool_put(&b.conn, &facts);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_KEEPALIVE_TIMEOUT_ZERO));
    rig_check_end(&b, 0);
    raw_close(a.server);
    rig_close();
}

/* A server counts from the time that it accepted: what it said in others holds. */
STAGE_TEST(the_servers_keep_alive_bounds_one_that_was_never_used)
{
    rig_open(10);
    struct rig_pair pair = rig_dial(0);
    census_tell(pair.conn->key->census, weir_span_s(5));
    struct conn *conn = pair.conn;
    pool_offer(&pair.conn);
    CHECK_EQ(CONN_IDLE, conn->state);
    CHECK_EQ(CLOSE_IDLE_TIMEOUT, conn->rest_ends_by);
    int64_t rest_ms = (int64_t)conn->rest.tick - weir_span_to_ms((struct weir_span){conn->born.ns});
    CHECK(rest_ms >= 4000 && rest_ms <= 4002);
    struct rig_pair other = rig_dial(0);
    census_tell(other.conn->key->census, weir_span_s(1));
    pool_offer(&other.conn);
    CHECK_EQ(0, raw_await_end(other.server));
    CHECK_EQ(1, stat_read(&rig.stats[0].closed[CLOSE_IDLE_TIMEOUT]));
    raw_close(pair.server);
    raw_close(other.server);
    STAGE_UNTIL(rig.pool.idle_count == 0);
    rig_close();
}

STAGE_TEST(an_end_while_idle_closes_at_once)
{
    rig_open(8);
    struct rig_pair a = rig_idle(0);
    raw_close(a.server);
    STAGE_UNTIL(rig.pool.idle_count == 0);
    pool_audit(&rig.pool);
    CHECK_EQ(1, rig_closed(0, CLOSE_PEER_CLOSED));
    CHECK_EQ(0, rig_pop(0));
    rig_close();
}

STAGE_TEST(a_reset_while_idle_closes_at_once)
{
    rig_open(8);
    struct rig_pair a = rig_idle(0);
    raw_reset(a.server);
    STAGE_UNTIL(rig.pool.idle_count == 0);
    CHECK_EQ(1, rig_closed(0, CLOSE_PEER_RESET));
    rig_close();
}

STAGE_TEST(bytes_while_idle_close_at_once)
{
    rig_open(8);
    struct rig_pair a = rig_idle(0), b = rig_idle(1);
    raw_send(a.server, "HTTP/1.1 408 Request Timeout\r\n\r\n");
    raw_send(b.server, "x");
    raw_close(b.server);
    STAGE_UNTIL(rig.pool.idle_count == 0);
    pool_audit(&rig.pool);
    CHECK_EQ(1, rig_closed(0, CLOSE_UNEXPECTED_DATA));
    CHECK_EQ(1, unexpected(0, PLACE_IDLE));
    CHECK_EQ(1, rig_closed(1, CLOSE_UNEXPECTED_DATA));
    CHECK_EQ(1, unexpected(1, PLACE_IDLE));
    raw_await_end(a.server);
    raw_close(a.server);
    rig_close();
}

/* Dead ones are met at the look; no dial is needed while a live one is left. */
STAGE_TEST(dead_at_checkout_means_the_next_candidate)
{
    rig_open(8);
    struct rig_pair a = rig_idle(0), b = rig_idle(0), c = rig_idle(0), d = rig_idle(0);
    stage_turns();
    raw_close(d.server);
    raw_reset(c.server);
    raw_send(b.server, "?");
    CHECK_EQ(4, rig.pool.idle_count);
    CHECK_EQ(a.id, rig_take(0, &a.conn));
    CHECK_EQ(1, rig_closed(0, CLOSE_PEER_CLOSED));
    CHECK_EQ(1, rig_closed(0, CLOSE_PEER_RESET));
    CHECK_EQ(1, rig_closed(0, CLOSE_UNEXPECTED_DATA));
    CHECK_EQ(1, unexpected(0, PLACE_CHECKOUT));
    CHECK_EQ(0, unexpected(0, PLACE_IDLE));
    CHECK_EQ(4, stat_read(&rig.stats[0].opened));
    rig_drop(&a.conn);
    raw_close(a.server);
    raw_close(b.server);
    rig_close();
}

STAGE_TEST(all_dead_at_checkout_means_none)
{
    rig_open(8);
    struct rig_pair a = rig_idle(0), b = rig_idle(0);
    stage_turns();
    raw_close(a.server);
    raw_close(b.server);
    CHECK_EQ(0, rig_pop(0));
    CHECK_EQ(2, rig_closed(0, CLOSE_PEER_CLOSED));
    rig_close();
}

/* It was looked at in this very turn; the kernel is not asked again (docs/reuse.md). */
STAGE_TEST(the_look_is_left_out_in_the_turn_of_the_release)
{
    rig_open(8);
    struct rig_pair a = rig_idle(0);
    raw_close(a.server);
    CHECK_EQ(a.id, rig_pop(0));
    CHECK_EQ(0, rig_closed(0, CLOSE_PEER_CLOSED));
    rig_close();
}

struct release_case {
    const char *bytes;
    enum { LEAVES, CLOSES, RESETS } then;
    enum keep keep;
    enum close_reason reason;
    bool counted;
};

STAGE_TEST(at_release_what_has_come_is_seen)
{
    static const struct release_case cases[] = {
        {"", CLOSES, KEEP_NOT_CLOSED, CLOSE_PEER_CLOSED, false},
        {"", RESETS, KEEP_NOT_CLOSED, CLOSE_PEER_RESET, false},
        {"x", LEAVES, KEEP_NOT_UNEXPECTED_DATA, CLOSE_UNEXPECTED_DATA, true},
        {"x", CLOSES, KEEP_NOT_UNEXPECTED_DATA, CLOSE_UNEXPECTED_DATA, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        rig_open(8);
        struct rig_pair a = rig_dial(0);
        raw_send(a.server, cases[i].bytes);
        if (cases[i].then == CLOSES)
            raw_close(a.server);
        if (cases[i].then == RESETS)
            raw_reset(a.server);
        stage_turns();
        rig_put(&a);
        CHECK_EQ(0, rig.pool.idle_count);
        CHECK_EQ(1, rig_not_kept(0, cases[i].keep));
        CHECK_EQ(1, rig_closed(0, cases[i].reason));
        CHECK_EQ(cases[i].counted, unexpected(0, PLACE_RELEASE));
        if (cases[i].then == LEAVES)
            raw_close(a.server);
        rig_close();
    }
}

struct put_case {
    struct keep_facts facts;
    enum keep keep;
    enum close_reason reason;
    bool reset; /* so that the server cannot take the cut for an end */
};

STAGE_TEST(what_is_not_kept_is_closed_for_its_reason)
{
    static const struct put_case cases[] = {
        {{.upgraded = true}, KEEP_NOT_UPGRADED, CLOSE_NOT_REUSABLE, false},
        {{.request_incomplete = true}, KEEP_NOT_REQUEST_INCOMPLETE, CLOSE_ERROR, true},
        {{.response_incomplete = true}, KEEP_NOT_RESPONSE_INCOMPLETE, CLOSE_ERROR, true},
        {{.close_delimited = true}, KEEP_NOT_CLOSE_DELIMITED, CLOSE_NOT_REUSABLE, false},
        {{.response_close = true}, KEEP_NOT_RESPONSE_CLOSE, CLOSE_NOT_REUSABLE, false},
        {{.peer_drained = true}, KEEP_NOT_PEER_DRAINED, CLOSE_DRAINED, false},
        {{.is_private = true}, KEEP_NOT_PRIVATE, CLOSE_NOT_REUSABLE, false},
        {{.at_limit = true}, KEEP_NOT_AT_LIMIT, CLOSE_NOT_REUSABLE, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        rig_open(8);
        struct rig_pair a = rig_dial(0);
        struct keep_facts facts = cases[i].facts;
        pool_put(&a.conn, &facts);
        pool_audit(&rig.pool);
        CHECK_EQ(1, rig_not_kept(0, cases[i].keep));
        CHECK_EQ(1, rig_closed(0, cases[i].reason));
        rig_check_end(&a, cases[i].reset ? RAW_RESET : 0);
        rig_close();
    }
}

STAGE_TEST(max_requests_is_reached_at_release)
{
    struct peer_limits limits = limits_with_idle(weir_span_s(60));
    limits.max_requests_per_connection = 2;
    rig_open(8);
    rig_peer(0, &limits);
    struct rig_pair a = rig_idle(0);
    CHECK_EQ(a.id, rig_take(0, &a.conn));
    rig_put(&a);
    CHECK_EQ(0, rig_pop(0));
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_MAX_REQUESTS));
    CHECK_EQ(1, rig_closed(0, CLOSE_MAX_REQUESTS));
    rig_check_end(&a, 0);
    rig_close();
}

STAGE_TEST(max_age_ends_it_at_release_or_while_idle)
{
    struct peer_limits limits = limits_with_idle(weir_span_s(60));
    limits.max_connection_age = weir_span_ms(SHORT_MS);
    rig_open(8);
    rig_peer(0, &limits);
    struct rig_pair a = rig_dial(0);
    (void)!co_sleep(weir_span_ms(SHORT_MS * 12 / 10));
    rig_put(&a);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_MAX_AGE));
    CHECK_EQ(1, rig_closed(0, CLOSE_MAX_AGE));
    rig_check_end(&a, 0);

    /* Whether it reaches its age while it rests or, on a slow machine, before: it ends by it. */
    struct rig_pair b = rig_dial(0);
    struct weir_time end = weir_time_after(b.conn->born, b.conn->max_age);
    rig_put(&b);
    STAGE_UNTIL(rig.pool.idle_count == 0);
    CHECK(!weir_time_before(loop_now(&stage.loop), end));
    CHECK_EQ(2, rig_closed(0, CLOSE_MAX_AGE));
    rig_check_end(&b, 0);
    rig_close();
}

STAGE_TEST(max_age_is_drawn_within_a_tenth)
{
    struct peer_limits limits = limits_with_idle(weir_span_s(60));
    limits.max_connection_age = weir_span_s(100);
    struct weir_span first = {0};
    bool differ = false;
    rig_open(8);
    rig_peer(0, &limits);
    for (int i = 0; i < 16; i++) {
        struct rig_pair a = rig_dial(0);
        struct weir_span age = a.conn->max_age;
        CHECK(age.ns >= weir_span_s(90).ns && age.ns <= weir_span_s(110).ns);
        if (i == 0)
            first = age;
        differ |= age.ns != first.ns;
        rig_drop(&a.conn);
        raw_close(a.server);
    }
    CHECK(differ);
    rig_close();
}

STAGE_TEST(draining_closes_what_is_idle_and_keeps_nothing)
{
    rig_open(8);
    struct rig_pair a = rig_idle(0), b = rig_idle(1), c = rig_dial(0);
    pool_drain(&rig.pool);
    pool_audit(&rig.pool);
    CHECK_EQ(0, rig.pool.idle_count);
    CHECK_EQ(1, rig_closed(0, CLOSE_SHUTDOWN));
    CHECK_EQ(1, rig_closed(1, CLOSE_SHUTDOWN));
    rig_check_end(&a, 0);
    rig_check_end(&b, 0);
    CHECK(raw_is_open(c.server));
    rig_put(&c);
    CHECK_EQ(1, rig_not_kept(0, KEEP_NOT_SERVICE_DRAINING));
    CHECK_EQ(2, rig_closed(0, CLOSE_SHUTDOWN));
    rig_check_end(&c, 0);
    pool_drain(&rig.pool);
    rig_close();
}

/* After a break, those released with it or before it go; a younger one has shown to be alive. */
STAGE_TEST(close_idle_since_takes_those_that_are_no_younger)
{
    rig_open(8);
    struct rig_pair other = rig_idle(1), a = rig_idle(0);
    stage_turns();
    struct rig_pair b = rig_dial(0), b2 = rig_dial(0);
    struct weir_time then = loop_now(&stage.loop);
    rig_put(&b);
    rig_put(&b2);
    struct rig_pair c = rig_dial(0);
    STAGE_UNTIL(weir_time_before(then, loop_now(&stage.loop)));
    rig_put(&c);
    pool_close_idle_since(&rig.pool, &rig.peers[0], then);
    pool_audit(&rig.pool);
    CHECK_EQ(2, rig.pool.idle_count);
    rig_check_end(&a, 0);
    rig_check_end(&b, 0);
    rig_check_end(&b2, 0);
    CHECK_EQ(c.id, rig_pop(0));
    CHECK_EQ(other.id, rig_pop(1));
    pool_close_idle_since(&rig.pool, &rig.peers[2], then);
    raw_close(c.server);
    raw_close(other.server);
    rig_close();
}

STAGE_TEST(closing_nothing_is_fine)
{
    struct conn *conn = NULL;
    rig_open(8);
    pool_close(&conn, CLOSE_ERROR, true);
    CHECK_EQ(0, rig.pool.closed_count);
    rig_close();
}

/* Many end in one poll, in any order; what is left is right. */
STAGE_TEST(many_end_at_once)
{
    enum { MANY = 40 };
    static struct rig_pair pairs[MANY];
    rig_open(MANY);
    for (unsigned i = 0; i < MANY; i++)
        pairs[i] = rig_idle(i % 2);
    for (unsigned i = 0; i < MANY; i += 4) {
        raw_close(pairs[i].server);
        raw_reset(pairs[i + 1].server);
        raw_send(pairs[i + 2].server, "late");
    }
    STAGE_UNTIL(rig.pool.idle_count == MANY / 4);
    pool_audit(&rig.pool);
    for (unsigned i = MANY; i > 0; i -= 4) {
        CHECK_EQ(pairs[i - 1].id, rig_pop(1));
        raw_close(pairs[i - 1].server);
        raw_close(pairs[i - 2].server);
    }
    CHECK_EQ(0, rig_pop(0));
    CHECK_EQ(0, rig_pop(1));
    rig_close();
}

CHECK_MAIN
