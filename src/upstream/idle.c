/* SPDX-License-Identifier: MIT */
#include "upstream/idle.h"

#include "base/check.h"
#include "base/log.h"
#include "upstream/conn_h2.h"
#include "upstream/pool.h"

/* Servers do not give up resting connections sooner. */
#define LONG_REST weir_span_ms(10)

void idle_note_unexpected(const struct conn *conn, enum data_place place, struct weir_slice bytes)
{
    char text[LOG_ESCAPED_SIZE];
    stat_add(&conn_stats(conn)->unexpected_data[place], 1);
    LOG_LIMITED(LOG_WARN, "upstream %s: %s: unexpected data at %s on connection %llu: \"%s\"",
                conn->peer->options.upstream, conn->peer->address_text, data_place_name(place),
                (unsigned long long)conn->id, log_escape(bytes, text));
}

bool idle_is_alive(struct conn *conn, enum look look, enum data_place place,
                   enum close_reason *ret_reason)
{
    struct iobuf *buf = NULL;
    if (conn->h2)
        return conn_h2_is_alive(conn, look, ret_reason);
    switch (stream_look(conn->stream, look, &buf)) {
    case STREAM_QUIET:
        return true;
    case STREAM_BYTES:
        idle_note_unexpected(conn, place, iobuf_slice(buf));
        iobuf_give(&conn->pool->loop->bufs, &buf);
        *ret_reason = CLOSE_UNEXPECTED_DATA;
        return false;
    case STREAM_ENDED:
        *ret_reason = CLOSE_PEER_CLOSED;
        return false;
    default:
        *ret_reason = CLOSE_PEER_RESET;
        return false;
    }
}

/* The server ended it at rest: how long that was is worth knowing. */
static void learn_end(const struct conn *conn, enum close_reason reason)
{
    struct weir_time now = loop_now(conn->pool->loop);
    if (conn->peer->options.limits.learn &&
        (reason == CLOSE_PEER_CLOSED || reason == CLOSE_PEER_RESET || reason == CLOSE_GOAWAY))
        census_closed(conn->key->census, now, weir_time_between(conn->released, now),
                      conn->requests);
}

void idle_end(struct conn *conn, enum close_reason reason)
{
    learn_end(conn, reason);
    pool_close(&conn, reason, false);
}

static void on_idle_event(struct stream *stream, void *owner)
{
    struct conn *conn = owner;
    enum close_reason reason;
    must(conn->magic == CONN_MAGIC && conn->stream == stream);
    if (!idle_is_alive(conn, LOOK_TOLD, PLACE_IDLE, &reason))
        idle_end(conn, reason);
}

/* It rested as long as it may be given out; should it stay to see whether that is still true? */
static bool becomes_probe(struct conn *conn)
{
    struct loop *loop = conn->pool->loop;
    struct weir_time now = loop_now(loop);
    struct weir_span stay;
    if (conn->rest_ends_by != CLOSE_LEARNED_IDLE_TIMEOUT || conn->probes ||
        !census_begin_probe(conn->key->census, now, weir_time_between(conn->released, now), &stay))
        return false;
    conn->probes = true;
    conn->key->probe_count++;
    idle_tell_census(conn->key, conn->pool);
    loop_timer_arm(loop, &conn->rest, stay);
    return true;
}

static void on_rested(struct timer *timer)
{
    struct conn *conn = container_of(timer, struct conn, rest);
    struct weir_time now = loop_now(conn->pool->loop);
    if (becomes_probe(conn))
        return;
    if (conn->probes)
        census_survived(conn->key->census, now, weir_time_between(conn->released, now),
                        conn->requests);
    pool_close(&conn, conn->rest_ends_by, false);
}

void idle_init(struct conn *conn)
{
    list_init(&conn->key_link);
    list_init(&conn->idle_link);
    timer_init(&conn->rest, on_rested);
}

/*
 * What was released in this very turn was looked at in it. Under load most of them come back within
 * a moment and cost what every request can afford; who rested longer may be dead more easily, and
 * is asked for more seldom.
 */
static enum look choose_look(const struct conn *conn, enum look wanted)
{
    struct loop *loop = conn->pool->loop;
    if (wanted == LOOK_SURELY ||
        weir_time_between(conn->released, loop_now(loop)).ns >= LONG_REST.ns)
        return LOOK_SURELY;
    return conn->released_turn == loop->turn ? LOOK_TOLD : wanted;
}

/* As its last exchange allows; before the first one, as the server has told in others. */
static struct weir_span allowed_rest(const struct conn *conn)
{
    struct weir_span told = census_told(conn->key->census);
    if (conn->requests > 0 || told.ns < 0)
        return conn->rest_for;
    struct keep_facts facts = {
        .idle_timeout = conn->rest_for,
        .has_keepalive_timeout = true,
        .keepalive_timeout_s = (uint64_t)weir_span_to_ms(told) / 1000,
    };
    return keep_rest(&facts);
}

/* When its rest ends, and by which of the limits. */
static struct weir_time rest_end(const struct conn *conn, enum close_reason *ret_reason)
{
    struct weir_span rest = allowed_rest(conn);
    struct weir_span learned =
        conn->peer->options.limits.learn ? census_safe_rest(conn->key->census) : WEIR_FOREVER;
    *ret_reason = CLOSE_IDLE_TIMEOUT;
    if (learned.ns < rest.ns) {
        *ret_reason = CLOSE_LEARNED_IDLE_TIMEOUT;
        rest = learned;
    }
    struct weir_time end = weir_time_after(conn->released, rest);
    struct weir_time age_end = weir_time_after(conn->born, conn->max_age);
    if (weir_time_before(age_end, end)) {
        *ret_reason = CLOSE_MAX_AGE;
        end = age_end;
    }
    return end;
}

bool idle_may_rest(const struct conn *conn, enum close_reason *ret_reason)
{
    if (conn->pool->commons->places.size == 0 || conn->rest_for.ns <= 0) {
        *ret_reason = CLOSE_NOT_REUSABLE;
        return false;
    }
    return weir_time_before(loop_now(conn->pool->loop), rest_end(conn, ret_reason));
}

bool idle_passes_checkout(struct conn *conn, enum look look, enum close_reason *ret_reason)
{
    struct weir_time now = loop_now(conn->pool->loop);
    /* What was learned since it was laid to rest holds for it too; its timer comes a tick late. */
    if (!weir_time_before(now, rest_end(conn, ret_reason)))
        return false;
    if (idle_is_alive(conn, choose_look(conn, look), PLACE_CHECKOUT, ret_reason))
        return true;
    learn_end(conn, *ret_reason);
    return false;
}

void idle_tell_census(struct pool_key *key, const struct pool *pool)
{
    census_set(key->census, pool->worker, key->idle_count - key->probe_count);
}

static void tell_oldest(struct pool *pool)
{
    struct list *first = list_first(&pool->idle);
    places_tell_oldest(&pool->commons->places, pool->worker,
                       first ? container_of(first, struct conn, idle_link)->released : WEIR_NEVER);
}

/* The lists are in the order of release, which is nearly always the order of coming. */
static void enter_lists(struct conn *conn)
{
    struct list *after = &conn->key->idle;
    while (after->next != &conn->key->idle &&
           weir_time_before(conn->released,
                            container_of(after->next, struct conn, key_link)->released))
        after = after->next;
    list_insert(after, &conn->key_link);
    struct list *before = &conn->pool->idle;
    while (before->prev != &conn->pool->idle &&
           weir_time_before(conn->released,
                            container_of(before->prev, struct conn, idle_link)->released))
        before = before->prev;
    list_push_back(before, &conn->idle_link);
}

void idle_enter(struct conn *conn)
{
    struct pool *pool = conn->pool;
    conn->state = CONN_IDLE;
    conn->rested = true;
    struct weir_time end = rest_end(conn, &conn->rest_ends_by);
    timer_arm(&pool->loop->sched.timers, &conn->rest, end);
    if (!conn->h2)
        stream_watch(conn->stream, on_idle_event, conn);
    enter_lists(conn);
    pool->idle_count++;
    conn->key->idle_count++;
    stat_add(&conn_stats(conn)->idle[conn->protocol], 1);
    tell_oldest(pool);
    idle_tell_census(conn->key, pool);
    if (conn->h2)
        conn_h2_rest(conn);
}

void idle_leave(struct conn *conn)
{
    struct pool *pool = conn->pool;
    must(conn->state == CONN_IDLE);
    if (conn->probes) {
        conn->probes = false;
        conn->key->probe_count--;
        census_end_probe(conn->key->census);
    }
    loop_timer_disarm(pool->loop, &conn->rest);
    if (!conn->h2)
        stream_watch(conn->stream, NULL, NULL);
    bool was_oldest = pool->idle.next == &conn->idle_link;
    list_remove(&conn->key_link);
    list_remove(&conn->idle_link);
    pool->idle_count--;
    conn->key->idle_count--;
    stat_sub(&conn_stats(conn)->idle[conn->protocol], 1);
    places_give(&pool->commons->places, pool->worker);
    if (was_oldest)
        tell_oldest(pool);
    idle_tell_census(conn->key, pool);
}
