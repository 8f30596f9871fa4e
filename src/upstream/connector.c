/* SPDX-License-Identifier: MIT */
#include "upstream/connector.h"

#include "base/check.h"
#include "upstream/ask.h"
#include "upstream/conn_h2.h"
#include "upstream/idle.h"
#include "upstream/registry.h"
#include "upstream/session_custom.h"
#include "upstream/session_h1.h"
#include "upstream/session_h2.h"

/* One request for a session. */
struct wish {
    struct pool *pool;
    struct pool_key *key; /* held */
    struct peer *peer;
    enum connector_want want;
    struct weir_time began, deadline;
    bool only_http1;
    unsigned dead; /* idle ones that were met dead */
    struct ask_story told;
    struct conn *conn;
    struct session_story story;
};

/* Of HTTP/2, in use, without room. */
static bool has_full_ones(const struct wish *wish)
{
    enum peer_protocol protocol = wish->peer->options.protocol;
    bool may = protocol == PEER_HTTP2 || (protocol == PEER_AUTO && !wish->key->picks_http1);
    return may && !wish->only_http1 && wish->key->in_use_count > 0;
}

/* Why there is no idle connection here: the first reason that holds. */
static enum miss_reason miss_of(const struct wish *wish)
{
    unsigned connections, dials;
    if (wish->want == CONNECTOR_FRESH)
        return MISS_FRESH;
    if (wish->pool->commons->places.size == 0 || wish->peer->options.limits.idle_timeout.ns == 0)
        return MISS_POOLING_OFF;
    if (census_most(wish->key->census, wish->pool->worker) >= 0)
        return MISS_ELSEWHERE;
    if (wish->dead > 0)
        return MISS_DEAD;
    if (has_full_ones(wish))
        return MISS_STREAMS;
    gate_count(gate_of(wish->key), &connections, &dials);
    return connections > 0 ? MISS_BUSY : MISS_EMPTY;
}

static enum look look_of(const struct wish *wish)
{
    return wish->want == CONNECTOR_SURE ? LOOK_SURELY : LOOK_WELL;
}

static void put_back(struct wish *wish)
{
    wish->conn->h2->promised--;
    pool_put_stream(&wish->conn);
}

/* Of one that speaks HTTP/2 a stream goes back, and others may go on with it. */
static void give_up(struct wish *wish, enum close_reason reason)
{
    wish->dead++;
    if (!wish->conn->h2) {
        pool_close(&wish->conn, reason, false);
        return;
    }
    conn_h2_retire(wish->conn, reason);
    put_back(wish);
}

/* What the ask gave may have died, or rested too long, on its way; what was just made has not. */
static bool is_alive(const struct wish *wish, enum close_reason *ret_reason)
{
    struct conn *conn = wish->conn;
    if (!conn->rested && conn->requests == 0)
        return true;
    if ((!conn->h2 || conn->h2->roused) && !idle_may_rest(conn, ret_reason))
        return false;
    return idle_is_alive(conn, look_of(wish), PLACE_CHECKOUT, ret_reason);
}

/* Suspends for a sign of life, if one is wanted. WEIR_E_EOF: it is dead, and was given up. */
WEIR_SUSPENDS static enum weir_err make_sure(struct wish *wish, bool was_looked_at)
{
    enum close_reason reason;
    if (!was_looked_at && !is_alive(wish, &reason)) {
        give_up(wish, reason);
        return WEIR_E_EOF;
    }
    if (!wish->conn->h2 || !wish->conn->h2->stale || conn_h2_test(wish->conn))
        return WEIR_OK;
    if (wish->conn->h2->retired) {
        give_up(wish, wish->conn->h2->reason);
        return WEIR_E_EOF;
    }
    put_back(wish);
    return WEIR_E_CANCELED;
}

/* From what this worker has. */
static bool take_here(struct wish *wish)
{
    if (wish->want == CONNECTOR_FRESH)
        return false;
    if (!wish->only_http1)
        wish->conn = registry_take(wish->key, look_of(wish));
    if (!wish->conn)
        wish->conn = pool_take(wish->pool, wish->key, look_of(wish), wish->only_http1, &wish->dead);
    if (!wish->conn)
        return false;
    pool_change_peer(wish->conn, wish->peer);
    registry_add_stream(wish->conn);
    return true;
}

WEIR_SUSPENDS static enum weir_err ask(struct wish *wish)
{
    struct pool *pool = wish->pool;
    const struct ask_options options = {
        .key = wish->key,
        .peer = wish->peer,
        .wants_fresh = wish->want == CONNECTOR_FRESH,
        .only_http1 = wish->only_http1,
        .deadline = wish->deadline,
    };
    if (!wish->story.missed) {
        wish->story.miss = miss_of(wish);
        wish->story.missed = true;
        stat_add(&peer_stats(pool, wish->peer)->misses[wish->story.miss], 1);
    }
    TRY(ask_for_conn(pool, &options, &wish->told, &wish->conn));
    wish->story.waited = wish->told.result;
    struct weir_time now = loop_now(pool->loop);
    struct weir_time dial_began = wish->told.result == WAIT_DIALLED ? wish->told.began : WEIR_NEVER;
    wish->story.wait = weir_time_between(wish->began, weir_time_min(now, dial_began));
    if (!weir_time_is_never(dial_began))
        wish->story.connect = weir_time_between(dial_began, now);
    return WEIR_OK;
}

/* Tells the session's story, and counts it. */
static void tell(struct wish *wish)
{
    struct conn *conn = wish->conn;
    struct weir_time now = loop_now(wish->pool->loop);
    struct session_story *story = &wish->story;
    story->source = conn->moved                          ? SOURCE_TAKEN_OVER
                    : conn->rested || conn->requests > 0 ? SOURCE_REUSED
                                                         : SOURCE_NEW;
    conn->rest_taken = weir_span_ns(0);
    conn->key->reused_count += story->source != SOURCE_NEW;
    if (story->source != SOURCE_NEW && (!conn->h2 || conn->h2->roused)) {
        conn->rest_taken = weir_time_between(conn->released, now);
        story->connection_idle = conn->rest_taken;
        histogram_add(&conn_stats(conn)->idle_age, conn->rest_taken);
        conn->key->taken_over_count += conn->moved;
    }
    /* What was dialled for another is not this request's time. */
    if (story->source == SOURCE_NEW && story->connect.ns > 0)
        story->tls = weir_span_ns(conn->tls_took.ns < story->connect.ns ? conn->tls_took.ns
                                                                        : story->connect.ns);
    story->connect = weir_span_ns(story->connect.ns - story->tls.ns);
    story->facts = tls_facts_of(conn->stream);
    story->protocol = conn->protocol;
    conn->moved = false;
    story->connection_id = conn->id;
    story->connection_requests = ++conn->requests;
    if (conn->h2) {
        conn->h2->promised--;
        conn->h2->roused = false;
    }
    story->connection_age = weir_time_between(conn->born, now);
    stat_add(&conn_stats(conn)->requests[story->source], 1);
}

/* Until there is one that lives. */
WEIR_SUSPENDS static enum weir_err find(struct wish *wish)
{
    for (;;) {
        if (peer_is_drained(wish->peer)) /* since it asked: nobody would tell it again */
            return WEIR_E_PEER_DRAINED;
        bool here = take_here(wish);
        if (!here)
            TRY(ask(wish));
        enum weir_err err = make_sure(wish, here);
        if (err != WEIR_E_EOF)
            return err;
    }
}

static enum weir_err open_session(struct wish *wish, struct session **ret_session)
{
    tell(wish);
    if (wish->conn->h2)
        return session_h2_open(&wish->conn, &wish->story, ret_session);
    if (wish->conn->protocol == HTTP_CUSTOM)
        return session_custom_open(&wish->conn, &wish->story, ret_session);
    return session_h1_open(&wish->conn, &wish->story, ret_session);
}

WEIR_SUSPENDS static enum weir_err get(struct wish *wish, struct session **ret_session)
{
    TRY(find(wish));
    return open_session(wish, ret_session);
}

bool connector_go_on(struct pool *pool, struct peer *peer, struct session *held,
                     struct session **ret_session)
{
    struct wish wish = {.pool = pool, .peer = peer, .conn = held->conn};
    if (!wish.conn || peer_is_drained(peer) || !key_equal(&peer->key, &wish.conn->key->key))
        return false;
    wish.conn = session_hand_over(held);
    if (!wish.conn)
        return false;
    pool_change_peer(wish.conn, peer);
    return open_session(&wish, ret_session) == WEIR_OK;
}

enum weir_err connector_get(struct pool *pool, struct peer *peer, enum connector_want want,
                            struct weir_time deadline, struct session **ret_session)
{
    struct wish wish = {
        .pool = pool,
        .key = pool_key_of(pool, peer),
        .peer = peer,
        .want = want & ~(unsigned)CONNECTOR_HTTP1,
        .began = loop_now(pool->loop),
        .deadline = deadline,
    };
    if (!wish.key)
        return WEIR_E_NO_MEMORY;
    wish.only_http1 =
        (want & CONNECTOR_HTTP1) || census_prefers_http1(wish.key->census, wish.began);
    pool_key_hold(wish.key);
    enum weir_err err = get(&wish, ret_session);
    pool_key_let_go(pool, wish.key);
    return err;
}
