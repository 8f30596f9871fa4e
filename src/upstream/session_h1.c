/* SPDX-License-Identifier: MIT */
#include "upstream/session_h1.h"

#include "base/check.h"
#include "upstream/idle.h"
#include "upstream/pool.h"

static struct session_h1 *of(struct session *session)
{
    return container_of(session, struct session_h1, session);
}

static const struct peer_limits *limits_of(const struct session_h1 *self)
{
    return &self->session.conn->peer->options.limits;
}

static struct weir_time write_deadline(const struct session_h1 *self)
{
    struct weir_time limit = loop_deadline(self->wire.stream->loop, limits_of(self)->write_timeout);
    return weir_time_min(limit, self->session.until);
}

static struct weir_time read_deadline(const struct session_h1 *self)
{
    struct weir_time limit = loop_deadline(self->wire.stream->loop, limits_of(self)->read_timeout);
    return weir_time_min(limit, self->session.until);
}

/*
 * NTLM and Negotiate authenticate a connection rather than a request (RFC 4559 section 6): whoever
 * got it next would speak as that user.
 */
static bool binds_connection(const struct fields *fields, enum field_id id)
{
    if (!fields_have(fields, id))
        return false;
    fields_each (field, fields) {
        struct weir_slice scheme = slice_of(field->value.at, slice_find(field->value, ' '));
        if (field->id == id && (slice_equal_nocase(scheme, SLICE("NTLM")) ||
                                slice_equal_nocase(scheme, SLICE("Negotiate"))))
            return true;
    }
    return false;
}

static enum weir_err h1_send_head(struct session *session, const struct http_request *request,
                                  const struct http_framing *framing)
{
    struct session_h1 *self = of(session);
    self->method = request->method;
    self->sent_close = fields_list_has(&request->fields, FIELD_CONNECTION, SLICE("close"));
    self->asked_upgrade = fields_have(&request->fields, FIELD_UPGRADE);
    self->is_private = binds_connection(&request->fields, FIELD_AUTHORIZATION);
    enum weir_err err = h1_out_request(&self->out, request, framing);
    return err == WEIR_E_LIMIT ? WEIR_E_REQUEST_HEAD_LENGTH : err;
}

static enum weir_err after_send(struct session_h1 *self, enum weir_err err)
{
    self->session.any_sent = self->out.sent_bytes > 0;
    self->session.request_sent = !err && h1_out_done(&self->out);
    return err == WEIR_E_TIMEOUT ? WEIR_E_UPSTREAM_WRITE_TIMEOUT : err;
}

WEIR_SUSPENDS static enum weir_err h1_flush(struct session *session)
{
    struct session_h1 *self = of(session);
    return after_send(self, h1_out_flush(&self->out, write_deadline(self)));
}

WEIR_SUSPENDS static enum weir_err h1_send_piece(struct session *session,
                                                 const struct http_piece *piece)
{
    struct session_h1 *self = of(session);
    return after_send(self, h1_out_piece(&self->out, piece, write_deadline(self)));
}

static enum weir_err want_trailers(struct session_h1 *self)
{
    if (self->response_framing.body != BODY_CHUNKED || self->trailers)
        return WEIR_OK;
    self->trailers = slab_alloc(&self->pool->trailer_slab);
    if (!self->trailers)
        return WEIR_E_NO_MEMORY;
    fields_init(self->trailers);
    return WEIR_OK;
}

/* A switch of protocols that was not asked for is no valid answer (RFC 9110 section 15.2.2). */
static bool is_uncalled_switch(const struct session_h1 *self, const struct http_response *response)
{
    return response->status == 101 && !self->asked_upgrade;
}

static enum weir_err take_final_head(struct session_h1 *self, const struct http_response *response)
{
    self->head_received = true;
    self->response_minor = response->minor;
    self->is_private |= binds_connection(&response->fields, FIELD_WWW_AUTHENTICATE);
    framing_persistence(&response->fields, &self->persistence);
    TRY(want_trailers(self));
    h1_wire_start_body(&self->wire, &self->response_framing, self->trailers);
    if (self->response_framing.body == BODY_TUNNEL)
        h1_out_tunnel(&self->out);
    return WEIR_OK;
}

static enum weir_err head_error(struct session_h1 *self, enum weir_err err)
{
    self->session.any_received |= h1_wire_has_bytes(&self->wire);
    return err == WEIR_E_TIMEOUT ? WEIR_E_RESPONSE_TIMEOUT : err;
}

WEIR_SUSPENDS static enum weir_err h1_recv_head(struct session *session,
                                                struct http_response *ret_response,
                                                struct http_framing *ret_framing)
{
    struct session_h1 *self = of(session);
    h1_wire_drop_head(&self->wire);
    enum weir_err err = h1_wire_response(&self->wire, read_deadline(self), ret_response);
    if (err)
        return head_error(self, err);
    session->any_received = true;
    enum h1_fault fault = framing_of_response(ret_response, self->method, &self->response_framing);
    if (fault != H1_FAULT_NONE)
        return h1_fault_response_err(fault);
    if (is_uncalled_switch(self, ret_response))
        return WEIR_E_RESPONSE_MALFORMED;
    if (!http_status_is_interim(ret_response->status))
        TRY(take_final_head(self, ret_response));
    *ret_framing = self->response_framing;
    return WEIR_OK;
}

static enum weir_err piece_error(enum weir_err err)
{
    if (err == WEIR_E_TIMEOUT)
        return WEIR_E_RESPONSE_TIMEOUT;
    bool ended = err == WEIR_E_EOF || err == WEIR_E_RESET || err == WEIR_E_TLS_ALERT;
    return ended ? WEIR_E_RESPONSE_INCOMPLETE : err;
}

static enum weir_err h1_piece_now(struct session *session, struct http_piece *ret_piece)
{
    struct session_h1 *self = of(session);
    h1_wire_drop_head(&self->wire);
    return piece_error(h1_wire_piece_now(&self->wire, ret_piece));
}

WEIR_SUSPENDS static enum weir_err h1_recv_piece(struct session *session, struct weir_time deadline,
                                                 struct http_piece *ret_piece)
{
    struct session_h1 *self = of(session);
    h1_wire_drop_head(&self->wire);
    struct weir_time limit = weir_time_min(deadline, read_deadline(self));
    return piece_error(h1_wire_piece(&self->wire, limit, ret_piece));
}

static struct keep_facts facts_of(const struct session_h1 *self)
{
    const struct http_persistence *said = &self->persistence;
    const struct http_framing *framing = &self->response_framing;
    bool chunked = framing->body == BODY_CHUNKED;
    bool used = self->out.touched; /* else there is nothing to be incomplete */
    return (struct keep_facts){
        .upgraded = self->head_received && framing->body == BODY_TUNNEL,
        .request_incomplete = used && !self->session.request_sent,
        .response_incomplete = used && (!self->head_received || !h1_wire_body_done(&self->wire)),
        .close_delimited = framing->body == BODY_UNTIL_CLOSE,
        .excess_body = h1_wire_has_bytes(&self->wire),
        .doubtful_framing = framing->doubtful,
        .http10_transfer_encoding = self->response_minor == 0 && chunked,
        .sent_close = self->sent_close,
        .response_close = said->close,
        .http10_no_keepalive = used && self->response_minor == 0 && !said->keep_alive,
        .is_private = self->is_private,
        .has_keepalive_timeout = said->has_timeout,
        .has_keepalive_max = said->has_max,
        .keepalive_timeout_s = said->timeout_s,
        .keepalive_max = said->max,
    };
}

static void give_back(struct session_h1 *self, bool keep)
{
    struct conn *conn = self->session.conn;
    struct keep_facts facts = facts_of(self);
    facts.at_limit = !keep;
    if (facts.excess_body && self->head_received && !facts.response_incomplete)
        idle_note_unexpected(conn, PLACE_RELEASE, h1_wire_bytes(&self->wire));
    self->session.conn = NULL;
    self->kept = pool_put(&conn, &facts);
}

/* A tunnel's connection, and one on which the request still goes up, stay until the release. */
static bool is_over(const struct session_h1 *self)
{
    return self->session.conn && self->session.request_sent && self->head_received &&
           h1_wire_body_done(&self->wire) && self->response_framing.body != BODY_TUNNEL;
}

static void h1_finish(struct session *session, bool keep)
{
    struct session_h1 *self = of(session);
    if (is_over(self))
        give_back(self, keep);
}

static struct conn *h1_hand_over(struct session *session)
{
    struct session_h1 *self = of(session);
    struct conn *conn = session->conn;
    struct keep_facts facts = facts_of(self);
    if (!is_over(self) || !pool_may_go_on(conn, &facts))
        return NULL;
    session->conn = NULL;
    return conn;
}

static enum keep h1_release(struct session *session, bool keep)
{
    struct session_h1 *self = of(session);
    struct pool *pool = self->pool;
    if (session->conn)
        give_back(self, keep);
    enum keep kept = self->kept;
    h1_wire_fini(&self->wire);
    h1_out_fini(&self->out);
    slab_free(&pool->trailer_slab, self->trailers);
    slab_free(&pool->session_slab, self);
    return kept;
}

static const struct session_ops h1_ops = {
    .send_head = h1_send_head,
    .flush = h1_flush,
    .send_piece = h1_send_piece,
    .recv_head = h1_recv_head,
    .piece_now = h1_piece_now,
    .recv_piece = h1_recv_piece,
    .finish = h1_finish,
    .hand_over = h1_hand_over,
    .release = h1_release,
};

enum weir_err session_h1_open(struct conn **conn, const struct session_story *story,
                              struct session **ret_session)
{
    struct pool *pool = (*conn)->pool;
    struct session_h1 *self = slab_alloc(&pool->session_slab);
    if (!self) {
        pool_close(conn, CLOSE_ERROR, false);
        return WEIR_E_NO_MEMORY;
    }
    self->session.ops = &h1_ops;
    self->pool = pool;
    self->session.conn = *conn;
    self->session.story = *story;
    self->session.released_before = (*conn)->released;
    self->session.until = WEIR_NEVER;
    h1_wire_init(&self->wire, (*conn)->stream, WIRE_RESPONSES);
    h1_out_init(&self->out, (*conn)->stream);
    *conn = NULL;
    *ret_session = &self->session;
    return WEIR_OK;
}
