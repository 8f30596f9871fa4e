/* SPDX-License-Identifier: MIT */
#include "upstream/idle.h"

#include "base/check.h"
#include "base/log.h"
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

static void on_idle_event(struct stream *stream, void *owner)
{
    struct conn *conn = owner;
    enum close_reason reason;
    must(conn->magic == CONN_MAGIC && conn->stream == stream);
    if (!idle_is_alive(conn, LOOK_TOLD, PLACE_IDLE, &reason))
        pool_close(&conn, reason, false);
}

static void on_rested(struct timer *timer)
{
    struct conn *conn = container_of(timer, struct conn, rest);
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

bool idle_passes_checkout(struct conn *conn, enum look look, enum close_reason *ret_reason)
{
    struct loop *loop = conn->pool->loop;
    if (weir_time_between(conn->born, loop_now(loop)).ns >= conn->max_age.ns) {
        *ret_reason = CLOSE_MAX_AGE;
        return false;
    }
    return idle_is_alive(conn, choose_look(conn, look), PLACE_CHECKOUT, ret_reason);
}

void idle_enter(struct conn *conn, struct weir_span rest)
{
    struct pool *pool = conn->pool;
    struct weir_time now = loop_now(pool->loop);
    struct weir_span left = weir_span_ns(conn->max_age.ns - weir_time_between(conn->born, now).ns);
    bool age_first = !weir_span_is_forever(conn->max_age) && left.ns < rest.ns;
    conn->state = CONN_IDLE;
    conn->released = now;
    conn->released_turn = pool->loop->turn;
    conn->rest_ends_by = age_first ? CLOSE_MAX_AGE : CLOSE_IDLE_TIMEOUT;
    loop_timer_arm(pool->loop, &conn->rest, age_first ? left : rest);
    stream_watch(conn->stream, on_idle_event, conn);
    list_push_front(&conn->key->idle, &conn->key_link);
    list_push_back(&pool->idle, &conn->idle_link);
    pool->idle_count++;
    conn->key->idle_count++;
    stat_add(&conn_stats(conn)->idle, 1);
}

void idle_leave(struct conn *conn)
{
    must(conn->state == CONN_IDLE);
    loop_timer_disarm(conn->pool->loop, &conn->rest);
    stream_watch(conn->stream, NULL, NULL);
    list_remove(&conn->key_link);
    list_remove(&conn->idle_link);
    conn->pool->idle_count--;
    conn->key->idle_count--;
    stat_sub(&conn_stats(conn)->idle, 1);
}
