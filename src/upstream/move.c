/* SPDX-License-Identifier: MIT */
#include "upstream/move.h"

#include "base/check.h"
#include "upstream/conn_h2.h"
#include "upstream/idle.h"
#include "upstream/pool.h"

/* Something came while it was leaving, or it cannot leave. */
static void give_up(struct conn *conn, struct stream_parcel *parcel)
{
    const struct detached *came = &parcel->socket;
    enum close_reason reason = CLOSE_ERROR;
    if (came->received) {
        reason = CLOSE_UNEXPECTED_DATA;
        idle_note_unexpected(conn, PLACE_CHECKOUT, iobuf_slice(came->received));
    } else if (came->end == IO_EOF) {
        reason = CLOSE_PEER_CLOSED;
    } else if (came->end == IO_RESET) {
        reason = CLOSE_PEER_RESET;
    } else if (conn->h2 && conn->h2->retired) {
        reason = conn->h2->reason;
    }
    if (!conn->stream)
        streams_drop(conn->pool->loop, parcel);
    pool_close(&conn, reason, false);
}

static void fill(struct parcel *parcel, struct conn *conn)
{
    parcel->full = true;
    parcel->id = conn->id;
    parcel->requests = conn->requests;
    parcel->max_requests = conn->max_requests;
    parcel->born = conn->born;
    parcel->released = conn->released;
    parcel->max_age = conn->max_age;
    parcel->rest_for = conn->rest_for;
    parcel->protocol = conn->protocol;
    if (conn->h2)
        parcel->wire = conn_h2_leave(conn);
}

/* What HTTP/2 has to say at any time is no reason to stay: it is read here, and answered there. */
static void read_late(struct conn *conn, struct detached *came)
{
    struct h2_session *session = &conn->h2->wire->session;
    struct iobufs *bufs = &conn->pool->loop->bufs;
    struct iobuf *next;
    for (struct iobuf *buf = came->received; buf; buf = next) {
        next = buf->next;
        iobuf_join(bufs);
        h2_session_feed(session, iobuf_slice(buf));
        iobuf_give(bufs, &buf);
    }
    came->received = NULL;
    if (came->end == IO_NOTHING && (session->end || session->goaway))
        came->end = IO_EOF;
}

/* Takes its stream away; nobody must be in the middle of sending. */
WEIR_SUSPENDS static bool detach(struct conn *conn, struct stream_parcel *ret_taken)
{
    if (conn->h2) {
        if (h2_wire_drain(conn->h2->wire) != WEIR_OK || conn->h2->retired)
            return false;
        h2_wire_let_go(conn->h2->wire);
    }
    stream_detach(&conn->stream, ret_taken);
    if (conn->h2)
        read_late(conn, &ret_taken->socket);
    return !ret_taken->socket.received && ret_taken->socket.end == IO_NOTHING;
}

/* Who should have had it stands in the queue again before its end makes room there. */
WEIR_SUSPENDS static void run(void *argument)
{
    struct conn *conn = argument;
    struct parcel *parcel = conn->parcel;
    move_sent_fn *sent = conn->sent;
    void *owner = conn->sent_owner;
    struct stream_parcel taken = {.socket = {.descriptor = -1}};
    bool is_good = detach(conn, &taken);
    if (is_good) {
        parcel->stream = taken;
        fill(parcel, conn);
        pool_remove_moved(&conn);
    }
    sent(parcel, owner);
    if (!is_good)
        give_up(conn, &taken);
}

void move_out(struct conn **conn, struct parcel *parcel, move_sent_fn *sent, void *owner)
{
    struct conn *moving = *conn;
    *conn = NULL;
    *parcel = (struct parcel){0};
    moving->parcel = parcel;
    moving->sent = sent;
    moving->sent_owner = owner;
    if (scope_spawn(&moving->pool->work, "move", run, moving) == WEIR_OK)
        return;
    sent(parcel, owner);
    pool_close(&moving, CLOSE_ERROR, false);
}

/* It came, and could not be made a connection again. */
static void count_lost(struct pool *pool, struct pool_key *key, const struct peer *peer)
{
    pool->moved_in_count++;
    key->moved_in_count++;
    pool->closed_count++;
    key->closed_count++;
    stat_add(&peer_stats(pool, peer)->closed[CLOSE_ERROR], 1);
    gate_closed(gate_of(key));
}

struct conn *move_in(struct pool *pool, struct pool_key *key, struct peer *peer,
                     struct parcel *parcel)
{
    struct stream *stream = NULL;
    struct conn *conn = NULL;
    must(parcel->full);
    parcel->full = false;
    if (streams_adopt(pool->streams, &parcel->stream, &stream) == WEIR_OK)
        conn = pool_add(pool, key, peer, &stream, parcel->protocol, parcel);
    h2_wire_drop(&parcel->wire);
    if (!conn)
        count_lost(pool, key, peer);
    return conn;
}
