/* SPDX-License-Identifier: MIT */
#include "upstream/connector.h"

#include "base/check.h"
#include "upstream/ask.h"
#include "upstream/idle.h"
#include "upstream/session_h1.h"

/* One request for a session. */
struct wish {
    struct pool *pool;
    struct pool_key *key; /* held */
    struct peer *peer;
    enum connector_want want;
    struct weir_time began, deadline;
    unsigned dead; /* idle ones that were met dead */
    struct conn *conn;
    struct session_story story;
};

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
    gate_count(gate_of(wish->key), &connections, &dials);
    return connections > 0 ? MISS_BUSY : MISS_EMPTY;
}

/* What the ask gave may have died, or rested too long, on its way; what was just made has not. */
static bool is_sound(struct wish *wish)
{
    enum close_reason reason;
    if (!wish->conn->rested && wish->conn->requests == 0)
        return true;
    if (idle_may_rest(wish->conn, &reason) &&
        idle_is_alive(wish->conn, wish->want == CONNECTOR_SURE ? LOOK_SURELY : LOOK_WELL,
                      PLACE_CHECKOUT, &reason))
        return true;
    wish->dead++;
    pool_close(&wish->conn, reason, false);
    return false;
}

WEIR_SUSPENDS static enum weir_err ask(struct wish *wish)
{
    struct pool *pool = wish->pool;
    struct ask_story told = {0};
    wish->story.miss = miss_of(wish);
    wish->story.missed = true;
    stat_add(&peer_stats(pool, wish->peer)->misses[wish->story.miss], 1);
    for (;;) {
        TRY(ask_for_conn(pool, wish->key, wish->peer, wish->want == CONNECTOR_FRESH, wish->deadline,
                         &told, &wish->conn));
        if (is_sound(wish))
            break;
        if (peer_is_drained(wish->peer)) /* since it asked: nobody would tell it again */
            return WEIR_E_PEER_DRAINED;
    }
    wish->story.waited = told.result;
    struct weir_time now = loop_now(pool->loop);
    struct weir_time dial_began = told.result == WAIT_DIALLED ? told.began : WEIR_NEVER;
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
    if (story->source != SOURCE_NEW) {
        conn->rest_taken = weir_time_between(conn->released, now);
        story->connection_idle = conn->rest_taken;
        histogram_add(&conn_stats(conn)->idle_age, conn->rest_taken);
        conn->key->reused_count++;
        conn->key->taken_over_count += conn->moved;
    }
    /* What was dialled for another is not this request's time. */
    if (story->source == SOURCE_NEW && story->connect.ns > 0)
        story->tls = weir_span_ns(conn->tls_took.ns < story->connect.ns ? conn->tls_took.ns
                                                                        : story->connect.ns);
    story->connect = weir_span_ns(story->connect.ns - story->tls.ns);
    story->facts = tls_facts_of(conn->stream);
    conn->moved = false;
    story->connection_id = conn->id;
    story->connection_requests = ++conn->requests;
    story->connection_age = weir_time_between(conn->born, now);
    stat_add(&conn_stats(conn)->requests[story->source], 1);
}

WEIR_SUSPENDS static enum weir_err get(struct wish *wish, struct session **ret_session)
{
    if (peer_is_drained(wish->peer))
        return WEIR_E_PEER_DRAINED;
    if (wish->want != CONNECTOR_FRESH)
        wish->conn = pool_take(wish->pool, wish->key,
                               wish->want == CONNECTOR_SURE ? LOOK_SURELY : LOOK_WELL, &wish->dead);
    if (wish->conn)
        pool_change_peer(wish->conn, wish->peer);
    else
        TRY(ask(wish));
    tell(wish);
    return session_h1_open(&wish->conn, &wish->story, ret_session);
}

enum weir_err connector_get(struct pool *pool, struct peer *peer, enum connector_want want,
                            struct weir_time deadline, struct session **ret_session)
{
    struct wish wish = {
        .pool = pool,
        .key = pool_key_of(pool, peer),
        .peer = peer,
        .want = want,
        .began = loop_now(pool->loop),
        .deadline = deadline,
    };
    if (!wish.key)
        return WEIR_E_NO_MEMORY;
    pool_key_hold(wish.key);
    enum weir_err err = get(&wish, ret_session);
    pool_key_let_go(pool, wish.key);
    return err;
}
