/* SPDX-License-Identifier: MIT */
#include "upstream/conn_h2.h"

#include "base/check.h"
#include "base/log.h"
#include "co/wait.h"
#include "upstream/idle.h"
#include "upstream/pool.h"
#include "upstream/registry.h"
#include "upstream/share.h"

static const struct peer_h2 *options_of(const struct conn *conn)
{
    return &conn->peer->options.h2;
}

static struct h2_session *session_of(const struct conn *conn)
{
    return &conn->h2->wire->session;
}

static struct loop *loop_of(const struct conn *conn)
{
    return conn->pool->loop;
}

/* --- Room ------------------------------------------------------------------------------------ */

unsigned conn_h2_limit(const struct conn *conn)
{
    unsigned ours = options_of(conn)->max_streams;
    unsigned theirs = h2_session_streams_allowed(session_of(conn));
    if (!conn->h2->settled)
        return 1;
    return ours < theirs ? ours : theirs;
}

/* It comes to its end by itself, when the last of its streams has ended. */
static bool is_worn_out(const struct conn *conn)
{
    uint64_t learned =
        conn->peer->options.limits.learn ? census_max_requests(conn->key->census) : 0;
    uint64_t requests = conn->requests + conn->h2->promised;
    return conn->pool->draining || peer_is_drained(conn->peer) ||
           (conn->max_requests > 0 && requests >= conn->max_requests) ||
           (learned > 0 && requests >= learned) ||
           !weir_time_before(loop_now(loop_of(conn)), weir_time_after(conn->born, conn->max_age));
}

bool conn_h2_has_room(const struct conn *conn)
{
    const struct conn_h2 *h2 = conn->h2;
    return !h2->retired && !h2->stale && conn->streams < conn_h2_limit(conn) && !is_worn_out(conn);
}

/* --- Its end --------------------------------------------------------------------------------- */

void conn_h2_retire(struct conn *conn, enum close_reason reason)
{
    if (conn->h2->retired)
        return;
    conn->h2->retired = true;
    conn->h2->reason = reason;
    registry_note(conn);
}

/* What HTTP/2 is to be expected of a server that has broken its rules. */
static void distrust(const struct conn *conn)
{
    if (conn->peer->options.protocol == PEER_AUTO)
        census_prefer_http1(conn->key->census, loop_now(loop_of(conn)));
}

static enum close_reason reason_of(const struct conn *conn)
{
    switch (session_of(conn)->end) {
    case WEIR_E_EOF:
        return CLOSE_PEER_CLOSED;
    case WEIR_E_RESET:
        return CLOSE_PEER_RESET;
    default:
        return CLOSE_ERROR;
    }
}

static void note_flood(struct conn *conn)
{
    enum h2_flood flood = session_of(conn)->flood;
    if (flood == H2_FLOOD_COUNT || conn->h2->flood_noted)
        return;
    conn->h2->flood_noted = true;
    stat_add(&conn_stats(conn)->floods[flood], 1);
    LOG_LIMITED(LOG_WARN, "upstream %s: %s: HTTP/2: ended connection %llu for a flood: %s",
                conn->peer->options.upstream, conn->peer->address_text,
                (unsigned long long)conn->id, h2_flood_name(flood));
}

static void note_end(struct conn *conn)
{
    struct h2_session *session = session_of(conn);
    note_flood(conn);
    if (session->goaway && !conn->h2->goaway_noted) {
        conn->h2->goaway_noted = true;
        stat_add(&conn_stats(conn)->goaways, 1);
    }
    if (session->end == WEIR_E_RESPONSE_MALFORMED)
        distrust(conn);
    if (session->goaway)
        conn_h2_retire(conn, CLOSE_GOAWAY);
    else if (session->end || session->failed)
        conn_h2_retire(conn, reason_of(conn));
}

/* Of streams that it has looked at, each of which was a request. */
void conn_h2_learn_end(const struct conn *conn)
{
    const struct h2_session *session = &conn->h2->wire->session;
    bool is_telling = conn->h2->reason == CLOSE_GOAWAY &&
                      session->goaway_code == NGHTTP2_NO_ERROR && session->goaway_last < INT32_MAX;
    if (is_telling && conn->peer->options.limits.learn)
        census_closed_after(conn->key->census, loop_now(loop_of(conn)),
                            (uint64_t)session->goaway_last / 2 + 1);
}

/* --- Signs of life --------------------------------------------------------------------------- */

static bool awaits_answer(const struct conn *conn)
{
    return session_of(conn)->pings_answered < session_of(conn)->pings_sent;
}

static void send_ping(struct conn *conn)
{
    loop_timer_arm(loop_of(conn), &conn->h2->ping, options_of(conn)->ping_timeout);
    h2_session_ping(session_of(conn));
}

static void arm_interval(struct conn *conn)
{
    struct weir_span interval = options_of(conn)->ping_interval;
    if (weir_span_is_forever(interval))
        loop_timer_disarm(loop_of(conn), &conn->h2->ping);
    else
        loop_timer_arm(loop_of(conn), &conn->h2->ping, interval);
}

static void close_if_idle(struct conn *conn)
{
    if (conn->h2->retired && conn->state == CONN_IDLE)
        idle_end(conn, conn->h2->reason);
}

static void on_ping_time(struct timer *timer)
{
    struct conn *conn = container_of(timer, struct conn_h2, ping)->conn;
    if (conn->h2->settled && !awaits_answer(conn)) {
        send_ping(conn);
        return;
    }
    stat_add(&conn_stats(conn)->pings[PING_LOST], 1);
    conn_h2_retire(conn, CLOSE_PING_TIMEOUT);
    h2_session_ended(session_of(conn), WEIR_E_PING_TIMEOUT);
    co_wake(conn->h2->tester);
    close_if_idle(conn);
}

static void note_answer(struct conn *conn)
{
    struct conn_h2 *h2 = conn->h2;
    uint64_t answered = session_of(conn)->pings_answered;
    if (answered == h2->pings_noted || awaits_answer(conn))
        return;
    stat_add(&conn_stats(conn)->pings[PING_ANSWERED], answered - h2->pings_noted);
    h2->pings_noted = answered;
    h2->stale = false;
    arm_interval(conn);
    co_wake(h2->tester);
    registry_note(conn);
    registry_serve(conn);
}

bool conn_h2_is_silent(const struct conn *conn)
{
    struct weir_time now = loop_now(loop_of(conn));
    return conn->streams > 0 &&
           weir_time_between(session_of(conn)->fed, now).ns >= H2_STALE_AFTER.ns;
}

void conn_h2_suspect(struct conn *conn)
{
    if (conn->h2->retired || !conn->h2->settled)
        return;
    conn->h2->stale = true;
    registry_note(conn);
    if (!awaits_answer(conn))
        send_ping(conn);
}

/* It may be hoped for already, by who waits for its SETTINGS. */
bool conn_h2_test(struct conn *conn)
{
    struct conn_h2 *h2 = conn->h2;
    enum weir_err err = WEIR_OK;
    if (!h2->hoped_by)
        share_hope(conn, conn->key);
    h2->tester = co_self();
    if (!awaits_answer(conn))
        send_ping(conn);
    while (h2->stale && !h2->retired && !err)
        err = co_wait(WEIR_NEVER);
    h2->tester = NULL;
    share_hope_ends(conn);
    return !h2->stale;
}

/* --- What happens to it ---------------------------------------------------------------------- */

static void settle(struct conn *conn)
{
    if (conn->h2->settled || !session_of(conn)->peer_is_set)
        return;
    conn->h2->settled = true;
    conn->key->stream_limit = conn->h2->limit = conn_h2_limit(conn);
    if (!awaits_answer(conn))
        arm_interval(conn);
    registry_note(conn);
    share_hope_ends(conn);
}

/* It could not be given to who waits, and can be now. */
static void offer_if_idle(struct conn *conn)
{
    if (conn->state != CONN_IDLE || conn->probes || list_is_empty(&conn->key->asks))
        return;
    pool_rouse(conn);
    pool_offer(&conn);
}

static void on_changed(void *owner)
{
    struct conn *conn = owner;
    note_end(conn);
    note_answer(conn);
    settle(conn);
    unsigned limit = conn_h2_limit(conn);
    if (conn->h2->retired) {
        share_hope_ends(conn);
        co_wake(conn->h2->tester);
    } else if (conn->h2->settled && conn->h2->limit != limit) {
        conn->h2->limit = limit; /* the server has changed its mind */
        conn->key->stream_limit = limit;
        registry_note(conn);
        registry_serve(conn);
        offer_if_idle(conn);
        return;
    }
    close_if_idle(conn);
}

static const struct h2_events no_events;

enum weir_err conn_h2_begin(struct conn *conn)
{
    const struct peer_h2 *h2 = options_of(conn);
    const struct h2_wire_options options = {
        .session =
            {
                .side = H2_CLIENT,
                .loop = loop_of(conn),
                .events = &no_events,
                .owner = conn,
                .max_streams = h2->max_streams,
                .stream_window = h2->stream_window,
                .connection_window = h2->connection_window,
            },
        .scope = &conn->pool->work,
        .write_timeout = conn->peer->options.limits.write_timeout,
        .changed = on_changed,
    };
    struct stream *stream = conn->stream;
    struct iobuf *nothing = NULL;
    struct h2_wire *wire = NULL;
    enum weir_err err = h2_wire_open(&conn->stream, &nothing, &options, &wire);
    conn->stream = err ? NULL : stream;
    return err ? err : conn_h2_join(conn, &wire);
}

enum weir_err conn_h2_join(struct conn *conn, struct h2_wire **wire)
{
    struct conn_h2 *h2 = slab_alloc(&conn->pool->h2_slab);
    if (!h2) {
        h2_wire_close(wire, WEIR_E_NO_MEMORY, true);
        conn->stream = NULL;
        return WEIR_E_NO_MEMORY;
    }
    h2->conn = conn;
    h2->wire = *wire;
    *wire = NULL;
    list_init(&h2->room_link);
    timer_init(&h2->ping, on_ping_time);
    h2->settled = h2->wire->session.peer_is_set;
    h2->pings_noted = h2->wire->session.pings_answered;
    conn->h2 = h2;
    /* Who does not say SETTINGS in the time of a PING does not speak HTTP/2. */
    if (!h2->settled || awaits_answer(conn))
        loop_timer_arm(loop_of(conn), &h2->ping, options_of(conn)->ping_timeout);
    else
        arm_interval(conn);
    return WEIR_OK;
}

static void forget(struct conn *conn)
{
    struct conn_h2 *h2 = conn->h2;
    must(!h2->tester && conn->streams == 0);
    loop_timer_disarm(loop_of(conn), &h2->ping);
    share_hope_ends(conn);
    list_remove(&h2->room_link);
    conn->h2 = NULL;
    slab_free(&conn->pool->h2_slab, h2);
}

void conn_h2_end(struct conn *conn, bool reset)
{
    struct h2_wire *wire = conn->h2->wire;
    if (wire->stream)
        h2_wire_close(&wire, WEIR_E_EOF, reset);
    else
        h2_wire_drop(&wire);
    conn->stream = NULL;
    forget(conn);
}

struct h2_wire *conn_h2_leave(struct conn *conn)
{
    struct h2_wire *wire = conn->h2->wire;
    forget(conn);
    return wire;
}

/* --- Rest ------------------------------------------------------------------------------------ */

void conn_h2_rouse(struct conn *conn)
{
    struct weir_span rest = weir_time_between(conn->released, loop_now(loop_of(conn)));
    conn->h2->stale = rest.ns >= H2_STALE_AFTER.ns || awaits_answer(conn);
    conn->h2->roused = true;
    session_of(conn)->fed = loop_now(loop_of(conn)); /* its silence begins with what is asked now */
}

void conn_h2_rest(struct conn *conn)
{
    registry_note(conn);
    if (!conn->h2->retired)
        h2_wire_rest(conn->h2->wire);
    close_if_idle(conn);
}

bool conn_h2_is_alive(struct conn *conn, enum look look, enum close_reason *ret_reason)
{
    if (!conn->h2->retired)
        h2_wire_look(conn->h2->wire, look);
    note_end(conn);
    note_answer(conn);
    settle(conn);
    *ret_reason = conn->h2->reason;
    return !conn->h2->retired;
}
