/* SPDX-License-Identifier: MIT */
/*
 * The way back of a connection: from its session to who waits for it, to rest, or to its end.
 */
#include "base/check.h"
#include "upstream/ask.h"
#include "upstream/conn_h2.h"
#include "upstream/errand.h"
#include "upstream/idle.h"
#include "upstream/pool.h"
#include "upstream/registry.h"

static enum close_reason close_reason_of(enum keep keep)
{
    switch (keep) {
    case KEEP_NOT_REQUEST_INCOMPLETE:
    case KEEP_NOT_RESPONSE_INCOMPLETE:
        return CLOSE_ERROR;
    case KEEP_NOT_MAX_AGE:
        return CLOSE_MAX_AGE;
    case KEEP_NOT_MAX_REQUESTS:
    case KEEP_NOT_LEARNED_MAX_REQUESTS:
        return CLOSE_MAX_REQUESTS;
    case KEEP_NOT_SERVICE_DRAINING:
        return CLOSE_SHUTDOWN;
    case KEEP_NOT_PEER_DRAINED:
        return CLOSE_DRAINED;
    case KEEP_NOT_CLOSED:
        return CLOSE_PEER_CLOSED;
    case KEEP_NOT_EXCESS_BODY:
    case KEEP_NOT_UNEXPECTED_DATA:
        return CLOSE_UNEXPECTED_DATA;
    default:
        return CLOSE_NOT_REUSABLE;
    }
}

static void add_pool_facts(const struct conn *conn, struct keep_facts *facts)
{
    const struct peer_limits *limits = &conn->peer->options.limits;
    const struct pool *pool = conn->pool;
    facts->requests = conn->requests;
    facts->max_requests = conn->max_requests;
    facts->learned_max_requests = limits->learn ? census_max_requests(conn->key->census) : 0;
    facts->age = weir_time_between(conn->born, loop_now(pool->loop));
    facts->max_age = conn->max_age;
    facts->service_draining = pool->draining;
    facts->peer_drained |= peer_is_drained(conn->peer);
    facts->idle_timeout = limits->idle_timeout;
    facts->pool_size = pool->commons->places.size;
}

/* What the exchange has shown of when the server closes. */
static void learn_from(struct conn *conn, const struct keep_facts *facts, enum keep keep)
{
    struct census *census = conn->key->census;
    struct weir_time now = loop_now(conn->pool->loop);
    if (facts->has_keepalive_timeout && facts->keepalive_timeout_s <= KEEP_TIMEOUT_S_MAX)
        census_tell(census, weir_span_s((int64_t)facts->keepalive_timeout_s));
    if (!conn->peer->options.limits.learn || facts->response_incomplete)
        return;
    if (keep == KEEP_NOT_CLOSED)
        census_closed_after(census, now, conn->requests);
    else if (census_is_news(census, conn->rest_taken, conn->requests))
        census_survived(census, now, conn->rest_taken, conn->requests);
    if (keep == KEEP_NOT_LEARNED_MAX_REQUESTS)
        census_refresh(census, now);
}

/* It was released now, and may rest. */
static void note_release(struct conn *conn, const struct keep_facts *facts)
{
    conn->rest_for = keep_rest(facts);
    conn->released = loop_now(conn->pool->loop);
    conn->released_turn = conn->pool->loop->turn;
}

bool pool_may_go_on(struct conn *conn, struct keep_facts *facts)
{
    enum close_reason reason;
    add_pool_facts(conn, facts);
    if (keep_decide(facts) != KEEP || !idle_is_alive(conn, LOOK_SURELY, PLACE_RELEASE, &reason))
        return false;
    learn_from(conn, facts, KEEP);
    note_release(conn, facts);
    return true;
}

static enum keep put(struct conn *released, struct keep_facts *facts)
{
    add_pool_facts(released, facts);
    enum keep keep = keep_decide(facts);
    enum close_reason reason = close_reason_of(keep);
    if (keep == KEEP && !idle_is_alive(released, LOOK_TOLD, PLACE_RELEASE, &reason))
        keep = reason == CLOSE_UNEXPECTED_DATA ? KEEP_NOT_UNEXPECTED_DATA : KEEP_NOT_CLOSED;
    learn_from(released, facts, keep);
    if (keep == KEEP) {
        note_release(released, facts);
        pool_offer(&released);
        return KEEP;
    }
    stat_add(&conn_stats(released)->not_kept[keep], 1);
    /* A cut-off exchange must not look like a finished one to the server. */
    bool reset = facts->request_incomplete || facts->response_incomplete;
    pool_close(&released, reason, reset);
    return keep;
}

/* What has ended, by itself or by a word of the server, needs no look. */
static enum keep put_retired(struct conn *conn)
{
    stat_add(&conn_stats(conn)->not_kept[KEEP_NOT_CLOSED], 1);
    conn_h2_learn_end(conn);
    pool_close(&conn, conn->h2->reason, false);
    return KEEP_NOT_CLOSED;
}

/* A test that was given up has shown nothing: it rests as long as it did. */
static enum keep put_untested(struct conn *conn)
{
    pool_offer(&conn);
    return KEEP;
}

enum keep pool_put_stream(struct conn **conn)
{
    struct conn *released = *conn;
    struct pool *pool = released->pool;
    struct keep_facts facts = {.upgraded = false};
    *conn = NULL;
    registry_drop_stream(released);
    enum keep keep = KEEP;
    if (released->streams > 0)
        registry_serve(released);
    else if (released->h2->retired)
        keep = put_retired(released);
    else if (released->h2->stale && released->h2->roused)
        keep = put_untested(released);
    else
        keep = put(released, &facts);
    audit((pool_audit(pool), true));
    return keep;
}

enum keep pool_put(struct conn **conn, struct keep_facts *facts)
{
    struct conn *released = *conn;
    struct pool *pool = released->pool;
    *conn = NULL;
    enum keep keep = put(released, facts);
    audit((pool_audit(pool), true));
    return keep;
}

/* What became of a connection on its way to an ask of another worker. */
static void on_handed(struct parcel *parcel, void *owner)
{
    struct ask *ask = owner;
    if (parcel->full)
        ask_answer(ask, ANSWER_CONN);
    else
        gate_put_back(ask);
}

/* Who has waited longest at the connection's gate, taken off its queue; NULL: nobody waits. */
static struct ask *take_waiting(const struct conn *conn)
{
    struct gate *gate = gate_of(conn->key);
    while (gate_has_waiting(gate)) {
        struct ask *ask = gate_take_oldest(gate);
        if (!ask || ask->pool != conn->pool || !ask_is_settled(ask))
            return ask;
        ask_left_gate(ask); /* it has something already */
    }
    return NULL;
}

/* Somebody of another worker who dials. */
static struct ask *take_standing_by(const struct conn *conn)
{
    struct census *census = conn->key->census;
    while (census_has_standing_by(census)) {
        struct ask *ask = gate_take_standing_by(census);
        if (!ask || ask->pool != conn->pool)
            return ask;
        ask_left_gate(ask); /* it has something already: give_here() comes first */
    }
    return NULL;
}

/* Its dial goes on, so that nothing is lost when this comes to nothing. */
static void on_offered(struct parcel *parcel, void *owner)
{
    ask_answer(owner, parcel->full ? ANSWER_CONN : ANSWER_NONE);
}

static bool give_elsewhere(struct conn *conn)
{
    struct ask *ask = stream_can_move(conn->stream) ? take_standing_by(conn) : NULL;
    if (ask)
        move_out(&conn, &ask->parcel, on_offered, ask);
    return ask;
}

/*
 * Gives it a connection. Who cannot use it dials in its place, so that nobody is overtaken.
 */
static void give_to(struct ask *ask, struct conn *conn)
{
    bool is_far = ask->pool != conn->pool && !stream_can_move(conn->stream);
    if (is_far || !ask_may_have(ask, conn) || ask->key->census != conn->key->census) {
        gate_put_back(ask);
        pool_close(&conn, CLOSE_EVICTED, false);
    } else if (ask->pool == conn->pool) {
        ask_left_gate(ask);
        ask_give(ask, conn);
        registry_serve(conn);
    } else {
        move_out(&conn, &ask->parcel, on_handed, ask);
    }
}

/* Somebody of this worker who waits, for another worker's connection or for a dial. */
static bool give_here(struct conn *conn)
{
    list_each (link, &conn->key->asks) {
        struct ask *ask = container_of(link, struct ask, key_link);
        if (!ask_may_have(ask, conn))
            continue;
        ask_give(ask, conn);
        registry_serve(conn);
        return true;
    }
    return false;
}

void pool_lay_to_rest(struct conn *conn)
{
    pool_rest(conn);
    /* Who began to wait meanwhile may have looked for idle ones before this one was counted. */
    struct ask *ask = take_waiting(conn);
    if (!ask)
        return;
    pool_rouse(conn);
    give_to(ask, conn);
}

void pool_offer(struct conn **conn)
{
    struct conn *offered = *conn;
    struct pool *pool = offered->pool;
    enum close_reason reason;
    *conn = NULL;
    if (!offered->h2)
        offered->streams = 0;
    if (pool->draining || peer_is_drained(offered->peer)) {
        pool_close(&offered, pool->draining ? CLOSE_SHUTDOWN : CLOSE_DRAINED, false);
        return;
    }
    struct ask *ask = take_waiting(offered);
    if (ask)
        give_to(ask, offered);
    else if (give_here(offered))
        return;
    else if (!idle_may_rest(offered, &reason))
        pool_close(&offered, reason, false);
    else if (give_elsewhere(offered))
        return;
    else if (places_take(&pool->commons->places, pool->worker))
        pool_lay_to_rest(offered);
    else
        errand_find_place(offered);
}
