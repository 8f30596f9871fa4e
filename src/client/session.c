/* SPDX-License-Identifier: MIT */
#include "client/session.h"

#include "base/check.h"
#include "client/peer.h"
#include "http/hop.h"

/* SESSION_BYTES: both heads. A server that sends interim responses without end is not waited for.
 */
enum { SESSION_BYTES = 512 * 1024, INTERIM_MAX = 64 };

enum weir_err client_session_new(struct weir_connector *connector, struct weir_peer *peer,
                                 struct session *inner, struct weir_session **ret_session)
{
    struct arena arena;
    arena_init(&arena, &connector->peers->options.pool->loop->arenas, SESSION_BYTES);
    struct weir_session *session = arena_alloc(&arena, sizeof *session);
    if (!session) {
        arena_fini(&arena);
        session_release(&inner, true);
        weir_peer_free(&peer);
        return WEIR_E_NO_MEMORY;
    }
    *session = (struct weir_session){
        .connector = connector,
        .peer = peer,
        .where = connector->where,
        .inner = inner,
    };
    wait_queue_init(&session->flushed);
    arena_move(&session->arena, &arena);
    list_push_back(&connector->sessions, &session->link);
    *ret_session = session;
    return WEIR_OK;
}

bool weir_session_release(struct weir_session **session)
{
    struct weir_session *ending = *session;
    struct arena arena;
    if (!ending)
        return false;
    *session = NULL;
    /* the request's copy must stay until the stream that it was sent on has ended */
    bool kept = session_release(&ending->inner, true) == KEEP;
    weir_peer_free(&ending->peer);
    list_remove(&ending->link);
    arena_move(&arena, &ending->arena);
    arena_fini(&arena);
    return kept;
}

void weir_session_connection(const struct weir_session *session,
                             struct weir_connection *ret_connection)
{
    const struct session_story *story = &session->inner->story;
    *ret_connection = (struct weir_connection){
        .id = story->connection_id,
        .reused = story->source != SOURCE_NEW,
        .http2 = story->protocol == HTTP_2,
        .requests = story->connection_requests,
        .age = story->connection_age,
        .idle = story->connection_idle,
        .wait = story->wait,
        .connect = story->connect,
        .tls = story->tls,
    };
}

/* --- The request ----------------------------------------------------------------------------- */

/* Methods that are expected to have a body say it when there is none (RFC 9110 section 8.6). */
static struct http_framing framing_of(const struct http_request *request, uint64_t body_bytes)
{
    bool expected = request->method == METHOD_POST || request->method == METHOD_PUT ||
                    request->method == METHOD_PATCH;
    return message_framing(body_bytes == WEIR_BODY_NONE && expected ? 0 : body_bytes);
}

enum weir_err weir_session_send_head(struct weir_session *session, struct weir_request *request,
                                     uint64_t body_bytes)
{
    struct http_framing framing = framing_of(request->http, body_bytes);
    must(!session->head_written);
    struct http_request *copy = message_copy_request(request->http, &session->arena);
    if (!copy)
        return WEIR_E_NO_MEMORY;
    if (copy->authority.len == 0)
        copy->authority = session->peer->authority;
    TRY(hop_own_request(copy, &framing, &session->arena));
    TRY(session_send_head(session->inner, copy, &framing));
    session->head_written = true;
    session->body_bytes = body_bytes == WEIR_BODY_NONE ? 0 : body_bytes;
    session->body_sent = session->body_bytes == 0;
    return WEIR_OK;
}

/* Whether one more piece is what the head said. */
static bool fits(const struct weir_session *session, size_t len, bool last)
{
    if (session->body_sent)
        return len == 0;
    if (session->body_bytes == WEIR_BODY_UNKNOWN)
        return true;
    uint64_t left = session->body_bytes - session->sent_bytes;
    return last ? len == left : len <= left;
}

WEIR_SUSPENDS static enum weir_err send_some(struct weir_session *session, struct weir_slice bytes,
                                             bool last)
{
    struct http_piece piece = {
        .slices = {bytes},
        .count = bytes.len > 0,
        .bytes = bytes.len,
        .last = last,
    };
    if (session->body_sent || (bytes.len == 0 && !last))
        return session_flush(session->inner);
    session->sent_bytes += bytes.len;
    session->body_sent = last;
    return session_send_piece(session->inner, &piece);
}

enum weir_err weir_session_send(struct weir_session *session, struct weir_slice bytes, bool last)
{
    must(session->head_written && !session->sending);
    if (!fits(session, bytes.len, last))
        return WEIR_E_BODY_LENGTH;
    while (session->flushing)
        TRY(wait_on(&session->flushed, WEIR_NEVER));
    if (!session->inner->conn)
        return WEIR_OK; /* all was sent, and the response has come to its end */
    session->sending = true;
    enum weir_err err = send_some(session, bytes, last);
    session->sending = false;
    return err;
}

/* --- The response ---------------------------------------------------------------------------- */

/* Unless a sender has begun, which sends the head as well. */
WEIR_SUSPENDS static enum weir_err send_waiting_head(struct weir_session *session)
{
    if (session->inner->any_sent || session->sending)
        return WEIR_OK;
    session->flushing = true;
    enum weir_err err = session_flush(session->inner);
    session->flushing = false;
    wait_wake_all(&session->flushed);
    return err;
}

WEIR_SUSPENDS static enum weir_err recv_final(struct weir_session *session,
                                              struct http_response *response)
{
    for (unsigned i = 0; i < INTERIM_MAX; i++) {
        TRY(session_recv_head(session->inner, response, &session->framing));
        if (!http_status_is_interim(response->status))
            return WEIR_OK;
    }
    return WEIR_E_RESPONSE_MALFORMED;
}

static bool is_empty(const struct http_framing *framing)
{
    return framing->body == BODY_NONE || (framing->body == BODY_LENGTH && framing->length == 0);
}

enum weir_err weir_session_recv_head(struct weir_session *session,
                                     struct weir_response **ret_response)
{
    must(session->head_written && !session->response.http);
    enum weir_err err = send_waiting_head(session);
    /* who stops reading may have answered before */
    if (err && weir_err_retry(err) != WEIR_RETRY_IF_REUSED)
        return err;
    struct http_response *received = arena_alloc(&session->arena, sizeof *received);
    if (!received)
        return WEIR_E_NO_MEMORY;
    TRY(recv_final(session, received));
    received = message_copy_response(received, &session->arena);
    if (!received)
        return WEIR_E_NO_MEMORY;
    message_of_response(&session->response, received, &session->arena);
    if (is_empty(&session->framing)) {
        session_finish(session->inner, true);
        session->piece.last = !session->inner->conn; /* else its end is received */
    }
    *ret_response = &session->response;
    return WEIR_OK;
}

enum weir_err weir_session_recv(struct weir_session *session, struct weir_time deadline,
                                struct weir_piece *ret_piece)
{
    struct http_piece *piece = &session->piece;
    must(session->response.http);
    while (session->next_slice == piece->count && !piece->last) {
        TRY(session_recv_piece(session->inner, deadline, piece));
        session->next_slice = 0;
        if (piece->last)
            session_finish(session->inner, true);
    }
    bool some = session->next_slice < piece->count;
    ret_piece->bytes = some ? piece->slices[session->next_slice++] : (struct weir_slice){NULL, 0};
    ret_piece->last = piece->last && session->next_slice == piece->count;
    return WEIR_OK;
}
