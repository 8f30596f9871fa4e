/* SPDX-License-Identifier: MIT */
#include "upstream/session_custom.h"

#include "base/check.h"
#include "base/slice.h"
#include "stream/custom.h"
#include "upstream/pool.h"

#include <stdio.h>

/* Room for the copy of a request, and for what the transport sets in its response. */
enum { ARENA_BYTES = 512 * 1024, NUMBER_BYTES = 24 };

static struct session_custom *of(struct session *session)
{
    return container_of(session, struct session_custom, session);
}

static struct weir_time deadline_in(const struct session_custom *self, struct weir_span span)
{
    return weir_time_min(loop_deadline(self->pool->loop, span), self->session.until);
}

static const struct peer_limits *limits_of(const struct session_custom *self)
{
    return &self->session.conn->peer->options.limits;
}

/* --- The request ----------------------------------------------------------------------------- */

static enum weir_err custom_send_head(struct session *session, const struct http_request *request,
                                      const struct http_framing *framing)
{
    struct session_custom *self = of(session);
    self->request = message_copy_request(request, &self->arena);
    self->request_bytes = message_body_bytes(framing);
    if (!self->request)
        return WEIR_E_NO_MEMORY;
    /* HTTP/1's way to say what the transport says in its own. */
    fields_remove(&self->request->fields, FIELD_TRANSFER_ENCODING);
    fields_remove(&self->request->fields, FIELD_CONNECTION);
    return WEIR_OK;
}

static enum weir_err send_error(enum weir_err err)
{
    return err == WEIR_E_TIMEOUT ? WEIR_E_UPSTREAM_WRITE_TIMEOUT : err;
}

WEIR_SUSPENDS static enum weir_err custom_flush(struct session *session)
{
    struct session_custom *self = of(session);
    struct weir_request view;
    if (self->head_sent || !self->request)
        return WEIR_OK;
    self->head_sent = session->any_sent = true;
    message_of_request(&view, self->request, &self->arena);
    TRY(send_error(self->transport->send_head(self->conn, &view, self->request_bytes,
                                              deadline_in(self, limits_of(self)->write_timeout))));
    session->request_sent = self->request_bytes == WEIR_BODY_NONE;
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err send_body(struct session_custom *self, struct weir_slice bytes,
                                             bool last)
{
    struct weir_time deadline = deadline_in(self, limits_of(self)->write_timeout);
    TRY(send_error(self->transport->send_body(self->conn, bytes, last, deadline)));
    self->session.request_sent = last;
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err custom_send_piece(struct session *session,
                                                     const struct http_piece *piece)
{
    struct session_custom *self = of(session);
    TRY(custom_flush(session));
    if (session->request_sent)
        return WEIR_OK;
    for (unsigned i = 0; i < piece->count; i++)
        TRY(send_body(self, piece->slices[i], piece->last && i + 1 == piece->count));
    return piece->last && piece->count == 0 ? send_body(self, SLICE(""), true) : WEIR_OK;
}

/* --- The response ---------------------------------------------------------------------------- */

/* RFC 9110 sections 6.4.1 and 15.3.5, 15.4.5. */
static bool has_no_body(const struct session_custom *self, unsigned status)
{
    return self->request->method == METHOD_HEAD || status == 204 || status == 304;
}

/* How long it is goes on as a field, where HTTP/1 wants one. */
static enum weir_err say_length(struct session_custom *self, struct http_response *response,
                                uint64_t body_bytes)
{
    if (body_bytes >= WEIR_BODY_UNKNOWN || response->status == 204)
        return WEIR_OK;
    char *text = arena_alloc(&self->arena, NUMBER_BYTES);
    if (!text)
        return WEIR_E_NO_MEMORY;
    int len = snprintf(text, NUMBER_BYTES, "%llu", (unsigned long long)body_bytes);
    bool added =
        fields_add_known(&response->fields, FIELD_CONTENT_LENGTH, slice_of(text, (size_t)len));
    return added ? WEIR_OK : WEIR_E_RESPONSE_HEAD_LENGTH;
}

WEIR_SUSPENDS static enum weir_err custom_recv_head(struct session *session,
                                                    struct http_response *ret_response,
                                                    struct http_framing *ret_framing)
{
    struct session_custom *self = of(session);
    struct weir_time deadline = deadline_in(self, limits_of(self)->read_timeout);
    struct weir_response view;
    uint64_t body_bytes = WEIR_BODY_NONE;
    TRY(session->send_err); /* an exchange that has failed is only ended */
    ret_response->protocol = HTTP_CUSTOM;
    ret_response->status = 0;
    ret_response->minor = 1;
    fields_init(&ret_response->fields);
    message_of_response(&view, ret_response, &self->arena);
    enum weir_err err = self->transport->recv_head(self->conn, &view, &body_bytes, deadline);
    if (err)
        return err == WEIR_E_TIMEOUT ? WEIR_E_RESPONSE_TIMEOUT : err;
    session->any_received = true;
    if (ret_response->status == 0)
        return WEIR_E_RESPONSE_MALFORMED;
    bool may_have_body = !has_no_body(self, ret_response->status);
    self->body_received = !may_have_body || body_bytes == WEIR_BODY_NONE;
    self->left_over = !may_have_body && body_bytes == WEIR_BODY_UNKNOWN; /* not even a length */
    if (may_have_body && body_bytes == WEIR_BODY_NONE)
        body_bytes = 0; /* an empty one, to who gets it */
    TRY(say_length(self, ret_response, body_bytes));
    self->framing = message_framing(may_have_body ? body_bytes : WEIR_BODY_NONE);
    *ret_framing = self->framing;
    return WEIR_OK;
}

/* What it has of the body without being asked is not known. */
static enum weir_err custom_piece_now(struct session *session, struct http_piece *ret_piece)
{
    *ret_piece = (struct http_piece){.last = of(session)->body_received};
    return WEIR_OK;
}

static enum weir_err piece_error(enum weir_err err)
{
    if (err == WEIR_E_TIMEOUT)
        return WEIR_E_RESPONSE_TIMEOUT;
    return err == WEIR_E_EOF || err == WEIR_E_RESET ? WEIR_E_RESPONSE_INCOMPLETE : err;
}

/* The client was told a length, and gets no other. */
static enum weir_err count_body(struct session_custom *self, const struct weir_piece *piece)
{
    self->received_bytes += piece->bytes.len;
    if (self->framing.body != BODY_LENGTH)
        return WEIR_OK;
    if (self->received_bytes > self->framing.length)
        return WEIR_E_RESPONSE_MALFORMED;
    bool is_short = piece->last && self->received_bytes < self->framing.length;
    return is_short ? WEIR_E_RESPONSE_INCOMPLETE : WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err
custom_recv_piece(struct session *session, struct weir_time deadline, struct http_piece *ret_piece)
{
    struct session_custom *self = of(session);
    struct weir_piece piece = {.last = self->body_received};
    struct weir_time limit =
        weir_time_min(deadline, deadline_in(self, limits_of(self)->read_timeout));
    if (!piece.last) {
        TRY(piece_error(self->transport->recv_body(self->conn, &piece, limit)));
        TRY(count_body(self, &piece));
    }
    self->body_received = piece.last;
    *ret_piece = (struct http_piece){.last = piece.last};
    if (piece.bytes.len > 0) {
        ret_piece->slices[0] = piece.bytes;
        ret_piece->bytes = piece.bytes.len;
        ret_piece->count = 1;
    }
    return WEIR_OK;
}

/* --- The end --------------------------------------------------------------------------------- */

/* The last piece is the transport's until the release: the connection cannot go before. */
static void custom_finish(struct session *session, bool keep)
{
    (void)session;
    (void)keep;
}

static enum keep give_back(struct session_custom *self, bool keep)
{
    struct conn *conn = self->session.conn;
    bool request_whole = !self->head_sent || self->session.request_sent;
    bool response_whole = !self->head_sent || (self->body_received && !self->left_over);
    bool is_good = true;
    if (self->head_sent)
        is_good = self->transport->done(self->conn, request_whole && response_whole);
    /* After a cut the transport knows whether its protocol can go on: mostly not. */
    struct keep_facts facts = {
        .request_incomplete = !is_good && !request_whole,
        .response_incomplete = !is_good && !response_whole,
        .response_close = !is_good,
        .at_limit = !keep,
    };
    self->session.conn = NULL;
    return pool_put(&conn, &facts);
}

static enum keep custom_release(struct session *session, bool keep)
{
    struct session_custom *self = of(session);
    struct pool *pool = self->pool;
    enum keep kept = give_back(self, keep);
    arena_fini(&self->arena);
    slab_free(&pool->custom_session_slab, self);
    return kept;
}

static const struct session_ops custom_ops = {
    .send_head = custom_send_head,
    .flush = custom_flush,
    .send_piece = custom_send_piece,
    .recv_head = custom_recv_head,
    .piece_now = custom_piece_now,
    .recv_piece = custom_recv_piece,
    .finish = custom_finish,
    .release = custom_release,
};

enum weir_err session_custom_open(struct conn **conn, const struct session_story *story,
                                  struct session **ret_session)
{
    struct pool *pool = (*conn)->pool;
    struct session_custom *self = slab_alloc(&pool->custom_session_slab);
    if (!self) {
        pool_close(conn, CLOSE_ERROR, false);
        return WEIR_E_NO_MEMORY;
    }
    self->session.ops = &custom_ops;
    self->session.conn = *conn;
    self->session.story = *story;
    self->session.released_before = (*conn)->released;
    self->session.until = WEIR_NEVER;
    self->pool = pool;
    self->transport = (*conn)->peer->options.transport.sessions;
    self->conn = custom_stream_conn((*conn)->stream);
    arena_init(&self->arena, &pool->loop->arenas, ARENA_BYTES);
    *conn = NULL;
    *ret_session = &self->session;
    return WEIR_OK;
}
