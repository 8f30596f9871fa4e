/* SPDX-License-Identifier: MIT */
#include "http/h2_stream.h"

#include "base/check.h"
#include "co/wait.h"
#include "http/h2_session.h"
#include "http/hop.h"

#include <string.h>

void h2_stream_init(struct h2_stream *stream, struct arena *arena)
{
    *stream = (struct h2_stream){.arena = arena};
    list_init(&stream->link);
}

void h2_stream_join(struct h2_stream *stream, struct h2_session *session, int32_t id)
{
    stream->session = session;
    stream->id = id;
    stream->window = stream->window_first = session->window_first;
    list_push_back(&session->streams, &stream->link);
    must(nghttp2_session_set_stream_user_data(session->ng, id, stream) == 0);
}

/* A request of which the server has not seen the head. */
static bool is_unseen(const struct h2_stream *stream)
{
    return stream->session->side == H2_CLIENT && !stream->head_sent;
}

void h2_stream_closed(struct h2_stream *stream, uint32_t code, enum weir_err err)
{
    if (stream->closed)
        return;
    if (err && is_unseen(stream))
        err = WEIR_E_STREAM_REFUSED;
    stream->closed = true;
    stream->code = code;
    stream->err = err;
    co_wake(stream->receiver);
    co_wake(stream->sender);
    if (stream->victim && !stream->sent)
        co_cancel(stream->victim);
}

static void leave_session(struct h2_stream *stream)
{
    struct h2_session *session = stream->session;
    stream->session = NULL;
    if (session->head_of == stream)
        session->head_of = NULL;
    list_remove(&stream->link);
    h2_session_let_go(session, stream->held_bytes);
    session->grown_bytes -= stream->window - stream->window_first;
}

void h2_stream_cut_off(struct h2_stream *stream, enum weir_err err)
{
    h2_stream_closed(stream, NGHTTP2_INTERNAL_ERROR, err);
    leave_session(stream);
}

static void tell_output(struct h2_session *session)
{
    if (nghttp2_session_want_write(session->ng))
        h2_session_has_output(session);
}

static void drop_body(struct h2_stream *stream)
{
    iobuf_give_all(&loop_here()->bufs, &stream->body);
    stream->body_last = NULL;
    stream->held_bytes = stream->lent_bytes = 0;
}

void h2_stream_part(struct h2_stream *stream)
{
    must(stream->closed);
    if (stream->session && stream->forgotten)
        leave_session(stream);
}

void h2_stream_end(struct h2_stream *stream, uint32_t code)
{
    struct h2_session *session = stream->session;
    if (session) {
        leave_session(stream);
        /* Also one that was closed with its session: what it has submitted must not be looked at.
         */
        if (!stream->forgotten) {
            nghttp2_session_set_stream_user_data(session->ng, stream->id, NULL);
            nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, stream->id, code);
        }
        tell_output(session);
    }
    stream->closed = true;
    drop_body(stream);
}

/* --- Sending --------------------------------------------------------------------------------- */

enum weir_err h2_stream_request(struct h2_stream *stream, struct h2_session *session,
                                const struct h2_lines *lines, bool ends)
{
    if (session->end || session->goaway)
        return WEIR_E_STREAM_REFUSED;
    int32_t id = nghttp2_submit_request(session->ng, NULL, lines->at, lines->count,
                                        ends ? NULL : &h2_body, stream);
    if (id == NGHTTP2_ERR_NOMEM)
        return WEIR_E_NO_MEMORY;
    if (id < 0)
        return WEIR_E_STREAM_REFUSED;
    stream->submitted = true;
    stream->submitted_end = ends;
    h2_stream_join(stream, session, id);
    return WEIR_OK;
}

/* The other side has all it wants, and perhaps it has answered. */
static enum weir_err closed_error(const struct h2_stream *stream)
{
    return stream->err ? stream->err : WEIR_E_EOF;
}

static enum weir_err result_of(int result)
{
    return result == NGHTTP2_ERR_NOMEM ? WEIR_E_NO_MEMORY : WEIR_OK;
}

enum weir_err h2_stream_interim(struct h2_stream *stream, const struct h2_lines *lines)
{
    if (stream->closed)
        return closed_error(stream);
    int result = nghttp2_submit_headers(stream->session->ng, NGHTTP2_FLAG_NONE, stream->id, NULL,
                                        lines->at, lines->count, NULL);
    return result_of(result < 0 ? result : 0);
}

enum weir_err h2_stream_response(struct h2_stream *stream, const struct h2_lines *lines, bool ends)
{
    if (stream->closed)
        return closed_error(stream);
    stream->submitted = true;
    stream->submitted_end = ends;
    stream->head_sent = false; /* an interim one was */
    return result_of(nghttp2_submit_response(stream->session->ng, stream->id, lines->at,
                                             lines->count, ends ? NULL : &h2_body));
}

static bool is_written(const struct h2_stream *stream)
{
    if (stream->piece)
        return false;
    return !stream->submitted || (stream->submitted_end ? stream->sent : stream->head_sent);
}

/* Until what was submitted, and the piece, are written down. */
WEIR_SUSPENDS static enum weir_err wait_written(struct h2_stream *stream, struct weir_time deadline)
{
    while (!is_written(stream)) {
        if (stream->closed)
            return closed_error(stream);
        stream->sender = co_self();
        enum weir_err err = co_wait(deadline);
        stream->sender = NULL;
        TRY(err);
    }
    return WEIR_OK;
}

enum weir_err h2_stream_flush(struct h2_stream *stream, struct weir_time deadline)
{
    if (!stream->closed)
        h2_session_has_output(stream->session);
    return wait_written(stream, deadline);
}

enum weir_err h2_stream_send_piece(struct h2_stream *stream, const struct http_piece *piece,
                                   struct weir_time deadline)
{
    if (stream->closed)
        return closed_error(stream);
    if (piece->bytes == 0 && !piece->last)
        return h2_stream_flush(stream, deadline);
    stream->piece = piece;
    stream->piece_slice = 0;
    stream->piece_offset = 0;
    stream->piece_left = piece->bytes;
    stream->submitted_end |= piece->last;
    nghttp2_session_resume_data(stream->session->ng, stream->id);
    h2_session_has_output(stream->session);
    enum weir_err err = wait_written(stream, deadline);
    stream->piece = NULL;
    return err;
}

/* --- Receiving ------------------------------------------------------------------------------- */

/* However kindly it was closed, what is wanted has not come. */
static enum weir_err cut_error(const struct h2_stream *stream)
{
    return stream->err ? stream->err : WEIR_E_STREAM_RESET;
}

enum weir_err h2_stream_keep(struct h2_stream *stream, struct weir_slice bytes)
{
    stream->held_bytes += bytes.len;
    while (bytes.len > 0) {
        struct iobuf *last = stream->body_last;
        if (!last || last->end == IOBUF_BYTES) {
            struct iobuf *buf = iobuf_take(&loop_here()->bufs);
            if (!buf)
                return WEIR_E_NO_MEMORY;
            buf->next = NULL;
            if (last)
                last->next = buf;
            else
                stream->body = buf;
            stream->body_last = last = buf;
        }
        size_t room = IOBUF_BYTES - last->end;
        size_t len = bytes.len < room ? bytes.len : room;
        memcpy(last->bytes + last->end, bytes.at, len);
        last->end += (uint32_t)len;
        bytes = slice_skip(bytes, len);
    }
    co_wake(stream->receiver);
    return WEIR_OK;
}

/* A reader that takes a whole window, and leaves nothing, could take more at once. */
static void grow_window(struct h2_stream *stream)
{
    struct h2_session *session = stream->session;
    if (stream->taken_bytes < stream->window)
        return;
    stream->taken_bytes = 0;
    uint32_t more = session->window_max - stream->window;
    if (more > stream->window)
        more = stream->window;
    if (more == 0 || stream->held_bytes > 0 || session->grown_bytes + more > session->grown_max)
        return;
    stream->window += more;
    session->grown_bytes += more;
    nghttp2_session_set_local_window_size(session->ng, NGHTTP2_FLAG_NONE, stream->id,
                                          (int32_t)stream->window);
}

static void give_credit(struct h2_stream *stream, size_t bytes)
{
    struct h2_session *session = stream->session;
    h2_session_let_go(session, bytes);
    if (!stream->received && !stream->closed) {
        nghttp2_session_consume_stream(session->ng, stream->id, bytes);
        stream->taken_bytes += bytes;
        grow_window(stream);
    }
    tell_output(session);
}

/* What was handed out is done with. */
static void drop_lent(struct h2_stream *stream)
{
    size_t left = stream->lent_bytes;
    if (left == 0)
        return;
    stream->lent_bytes = 0;
    stream->held_bytes -= left;
    if (stream->session)
        give_credit(stream, left);
    while (left > 0) {
        struct iobuf *buf = stream->body;
        size_t len = buf->end - buf->start;
        if (len > left) {
            buf->start += (uint32_t)left;
            return;
        }
        left -= len;
        stream->body = buf->next;
        if (!stream->body)
            stream->body_last = NULL;
        iobuf_give(&loop_here()->bufs, &buf);
    }
}

static void lend(struct h2_stream *stream, struct http_piece *piece)
{
    for (const struct iobuf *buf = stream->body; buf && piece->count < PIECE_SLICES;
         buf = buf->next) {
        piece->slices[piece->count++] = iobuf_slice(buf);
        piece->bytes += buf->end - buf->start;
    }
    stream->lent_bytes = piece->bytes;
}

enum weir_err h2_stream_piece_now(struct h2_stream *stream, struct http_piece *ret_piece)
{
    ret_piece->count = 0;
    ret_piece->bytes = 0;
    ret_piece->trailers = NULL;
    drop_lent(stream);
    lend(stream, ret_piece);
    ret_piece->last = stream->received && stream->lent_bytes == stream->held_bytes;
    if (ret_piece->last && stream->in_trailers) {
        hop_trailers(stream->trailers);
        ret_piece->trailers = stream->trailers;
    }
    if (ret_piece->last || ret_piece->count > 0 || !stream->closed)
        return WEIR_OK;
    return cut_error(stream);
}

WEIR_SUSPENDS static enum weir_err wait_for_more(struct h2_stream *stream,
                                                 struct weir_time deadline)
{
    stream->receiver = co_self();
    enum weir_err err = co_wait(deadline);
    stream->receiver = NULL;
    return err;
}

enum weir_err h2_stream_recv_piece(struct h2_stream *stream, struct weir_time deadline,
                                   struct http_piece *ret_piece)
{
    for (;;) {
        TRY(h2_stream_piece_now(stream, ret_piece));
        if (ret_piece->count > 0 || ret_piece->last)
            return WEIR_OK;
        TRY(wait_for_more(stream, deadline));
    }
}

/* The head is the oldest one that has come to its end. */
static struct h2_response *next_response(struct h2_stream *stream)
{
    struct h2_response *first = stream->responses;
    bool comes = first && first == stream->responses_last && stream->head.fields;
    return comes ? NULL : first;
}

enum weir_err h2_stream_recv_head(struct h2_stream *stream, struct weir_time deadline,
                                  const struct http_response **ret_response)
{
    struct h2_response *next;
    while (!(next = next_response(stream))) {
        if (stream->closed)
            return cut_error(stream);
        TRY(wait_for_more(stream, deadline));
    }
    stream->responses = next->next;
    *ret_response = &next->response;
    return next->err;
}
