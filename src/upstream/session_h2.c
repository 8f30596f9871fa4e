/* SPDX-License-Identifier: MIT */
#include "upstream/session_h2.h"

#include "base/check.h"
#include "upstream/conn_h2.h"
#include "upstream/pool.h"
#include "upstream/registry.h"

#include <string.h>

enum { ARENA_BYTES = 256 * 1024 };

static struct session_h2 *of(struct session *session)
{
    return container_of(session, struct session_h2, session);
}

static const struct peer *peer_of(const struct session_h2 *self)
{
    return self->session.conn->peer;
}

static struct weir_time read_deadline(const struct session_h2 *self)
{
    struct weir_time limit =
        loop_deadline(self->pool->loop, peer_of(self)->options.limits.read_timeout);
    return weir_time_min(limit, self->session.until);
}

static struct weir_time write_deadline(const struct session_h2 *self)
{
    struct weir_time limit =
        loop_deadline(self->pool->loop, peer_of(self)->options.limits.write_timeout);
    return weir_time_min(limit, self->session.until);
}

/* --- The request ----------------------------------------------------------------------------- */

static bool ends_with_head(const struct http_framing *framing)
{
    return framing->body == BODY_NONE || (framing->body == BODY_LENGTH && framing->length == 0);
}

static enum weir_err h2_send_head(struct session *session, const struct http_request *request,
                                  const struct http_framing *framing)
{
    struct session_h2 *self = of(session);
    struct h2_lines lines;
    struct weir_slice scheme = peer_of(self)->options.tls ? SLICE("https") : SLICE("http");
    self->method = request->method;
    TRY(h2_lines_of_request(request, scheme, &self->arena, &lines));
    enum weir_err err = h2_stream_request(&self->stream, &session->conn->h2->wire->session, &lines,
                                          ends_with_head(framing));
    if (err == WEIR_E_STREAM_REFUSED) /* its numbers are used up, say */
        conn_h2_retire(session->conn, CLOSE_NOT_REUSABLE);
    return err;
}

static enum weir_err after_send(struct session_h2 *self, enum weir_err err)
{
    self->session.any_sent = self->stream.head_sent;
    self->session.request_sent = !err && self->stream.sent;
    return err == WEIR_E_TIMEOUT ? WEIR_E_UPSTREAM_WRITE_TIMEOUT : err;
}

WEIR_SUSPENDS static enum weir_err h2_flush(struct session *session)
{
    struct session_h2 *self = of(session);
    return after_send(self, h2_stream_flush(&self->stream, write_deadline(self)));
}

WEIR_SUSPENDS static enum weir_err h2_send_piece(struct session *session,
                                                 const struct http_piece *piece)
{
    struct session_h2 *self = of(session);
    return after_send(self, h2_stream_send_piece(&self->stream, piece, write_deadline(self)));
}

/* --- The response ---------------------------------------------------------------------------- */

/* It may be the server's connection that is silent, and not only this stream. */
static enum weir_err note_silence(struct session_h2 *self, enum weir_err err)
{
    if (err != WEIR_E_TIMEOUT)
        return err;
    if (conn_h2_is_silent(self->session.conn))
        conn_h2_suspect(self->session.conn);
    return WEIR_E_RESPONSE_TIMEOUT;
}

static enum weir_err head_error(struct session_h2 *self, enum weir_err err)
{
    self->session.any_sent = self->stream.head_sent;
    if (err == WEIR_E_HTTP_1_1_REQUIRED && peer_of(self)->options.protocol == PEER_AUTO)
        census_prefer_http1(self->session.conn->key->census, loop_now(self->pool->loop));
    return note_silence(self, err);
}

/* The caller's own, which may lie anywhere: of the fields only those that there are. */
static void copy_head(struct http_response *to, const struct http_response *from)
{
    memcpy(to, from, offsetof(struct http_response, fields.at));
    memcpy(to->fields.at, from->fields.at, from->fields.count * sizeof from->fields.at[0]);
}

WEIR_SUSPENDS static enum weir_err h2_recv_head(struct session *session,
                                                struct http_response *ret_response,
                                                struct http_framing *ret_framing)
{
    struct session_h2 *self = of(session);
    struct h2_stream *stream = &self->stream;
    const struct http_response *response;
    enum weir_err err = h2_stream_recv_head(stream, read_deadline(self), &response);
    if (err)
        return head_error(self, err);
    session->any_received = session->any_sent = true;
    copy_head(ret_response, response);
    if (response->status == 101) /* there is no such thing here (RFC 9113 section 8.6) */
        return WEIR_E_RESPONSE_MALFORMED;
    bool ended = stream->received && stream->held_bytes == 0 && !stream->in_trailers;
    return h2_framing_of_response(ret_response, self->method, ended, ret_framing);
}

static enum weir_err piece_error(enum weir_err err)
{
    if (err == WEIR_E_TIMEOUT)
        return WEIR_E_RESPONSE_TIMEOUT;
    return !err || err == WEIR_E_CANCELED || err == WEIR_E_NO_MEMORY ? err
                                                                     : WEIR_E_RESPONSE_INCOMPLETE;
}

static enum weir_err h2_piece_now(struct session *session, struct http_piece *ret_piece)
{
    return piece_error(h2_stream_piece_now(&of(session)->stream, ret_piece));
}

WEIR_SUSPENDS static enum weir_err h2_recv_piece(struct session *session, struct weir_time deadline,
                                                 struct http_piece *ret_piece)
{
    struct session_h2 *self = of(session);
    struct weir_time limit = weir_time_min(deadline, read_deadline(self));
    return piece_error(h2_stream_recv_piece(&self->stream, limit, ret_piece));
}

/* --- The end --------------------------------------------------------------------------------- */

static bool is_over(const struct session_h2 *self)
{
    return self->session.conn && self->stream.closed && self->stream.received && self->stream.sent;
}

/* What was not to be kept is one stream: the connection goes on for the others. */
static void h2_finish(struct session *session, bool keep)
{
    struct session_h2 *self = of(session);
    (void)keep;
    if (!is_over(self))
        return;
    h2_stream_part(&self->stream);
    self->kept = pool_put_stream(&session->conn);
}

/* The next stream is counted before this one is given back: so the connection stays in use. */
static struct conn *h2_hand_over(struct session *session)
{
    struct conn *conn = session->conn;
    if (!is_over(of(session)) || !conn_h2_has_room(conn))
        return NULL;
    registry_add_stream(conn);
    h2_finish(session, true);
    return conn;
}

static enum keep h2_release(struct session *session, bool keep)
{
    struct session_h2 *self = of(session);
    struct pool *pool = self->pool;
    (void)keep;
    h2_stream_end(&self->stream, NGHTTP2_CANCEL);
    if (session->conn)
        self->kept = pool_put_stream(&session->conn);
    enum keep kept = self->kept;
    arena_fini(&self->arena);
    slab_free(&pool->h2_session_slab, self);
    return kept;
}

static const struct session_ops h2_ops = {
    .send_head = h2_send_head,
    .flush = h2_flush,
    .send_piece = h2_send_piece,
    .recv_head = h2_recv_head,
    .piece_now = h2_piece_now,
    .recv_piece = h2_recv_piece,
    .finish = h2_finish,
    .hand_over = h2_hand_over,
    .release = h2_release,
};

enum weir_err session_h2_open(struct conn **conn, const struct session_story *story,
                              struct session **ret_session)
{
    struct pool *pool = (*conn)->pool;
    struct session_h2 *self = slab_alloc(&pool->h2_session_slab);
    if (!self) {
        pool_put_stream(conn);
        return WEIR_E_NO_MEMORY;
    }
    self->session.ops = &h2_ops;
    self->session.conn = *conn;
    self->session.story = *story;
    self->session.released_before = (*conn)->released;
    self->session.until = WEIR_NEVER;
    self->pool = pool;
    arena_init(&self->arena, &pool->loop->arenas, ARENA_BYTES);
    h2_stream_init(&self->stream, &self->arena);
    *conn = NULL;
    *ret_session = &self->session;
    return WEIR_OK;
}
