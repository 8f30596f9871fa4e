/* SPDX-License-Identifier: MIT */
/*
 * What nghttp2 calls. Everything here records at the session and its streams and wakes; nothing
 * suspends, feeds or packs.
 */
#include "base/check.h"
#include "co/wait.h"
#include "http/h2_session.h"

#include <pthread.h>

/* A server that sends interim responses without end is not listened to. */
enum { RESPONSES_WAITING_MAX = 16, FRAME_EARNS_UPDATES = 8 };

static struct h2_stream *stream_of(const struct h2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session->ng, id);
}

static struct weir_slice slice_of_bytes(const uint8_t *at, size_t len)
{
    return slice_of((const char *)at, len);
}

static bool ends_stream(const nghttp2_frame_hd *frame)
{
    bool may = frame->type == NGHTTP2_DATA || frame->type == NGHTTP2_HEADERS;
    return may && (frame->flags & NGHTTP2_FLAG_END_STREAM);
}

/* --- What is invalid ------------------------------------------------------------------------- */

/* What is invalid is answered with a reset: no less work than a reset that the client sends. */
static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *owner)
{
    struct h2_session *session = owner;
    (void)ng, (void)error;
    /* What ends a stream is counted there. */
    if (session->side == H2_SERVER && !stream_of(session, frame->hd.stream_id))
        h2_session_count(session, H2_FLOOD_RAPID_RESET);
    return 0;
}

/* --- Heads ----------------------------------------------------------------------------------- */

/* False: memory is out. */
static bool begin_response(struct h2_stream *stream)
{
    struct h2_response *response = arena_alloc(stream->arena, sizeof *response);
    if (!response)
        return false;
    struct h2_response **behind =
        stream->responses ? &stream->responses_last->next : &stream->responses;
    *behind = stream->responses_last = response;
    response->next = NULL;
    response->err = WEIR_OK;
    h2_head_begin(&stream->head, &response->response.fields, stream->arena, H2_HEAD_BYTES);
    return true;
}

static bool begin_trailers(struct h2_stream *stream)
{
    stream->trailers = arena_alloc(stream->arena, sizeof *stream->trailers);
    if (!stream->trailers)
        return false;
    stream->in_trailers = true;
    h2_head_begin(&stream->head, stream->trailers, stream->arena, H2_HEAD_BYTES);
    return true;
}

static bool begin_request(struct h2_session *session, int32_t id)
{
    struct h2_stream *stream = session->events->begin(session->owner);
    if (!stream)
        return false;
    h2_stream_join(stream, session, id);
    stream->request = arena_alloc(stream->arena, sizeof *stream->request);
    stream->head_is_final = true;
    if (stream->request)
        h2_head_begin(&stream->head, &stream->request->fields, stream->arena, H2_HEAD_BYTES);
    return stream->request;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *owner)
{
    struct h2_session *session = owner;
    int32_t id = frame->hd.stream_id;
    struct h2_stream *stream = stream_of(session, id);
    bool begun = true;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        begun = begin_request(session, id);
    else if (stream)
        begun = stream->head_is_final ? begin_trailers(stream) : begin_response(stream);
    bool serves = session->side == H2_SERVER;
    session->head_of = begun ? stream_of(session, id) : NULL;
    if (!begun)
        nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id,
                                  serves ? NGHTTP2_REFUSED_STREAM : NGHTTP2_INTERNAL_ERROR);
    if (!begun && serves)
        h2_session_count(session, H2_FLOOD_RAPID_RESET);
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *owner)
{
    const struct h2_session *session = owner;
    (void)ng, (void)frame;
    if (session->head_of)
        h2_head_add(&session->head_of->head, slice_of_bytes(name, name_len),
                    slice_of_bytes(value, value_len), flags & NGHTTP2_NV_FLAG_NO_INDEX);
    return 0;
}

static void end_response(struct h2_session *session, struct h2_stream *stream)
{
    struct h2_response *response = stream->responses_last;
    response->err = h2_head_response(&stream->head, &response->response);
    stream->head_is_final = response->err || !http_status_is_interim(response->response.status);
    co_wake(stream->receiver);
    if (stream->head_is_final)
        return;
    unsigned waiting = 0;
    for (const struct h2_response *each = stream->responses; each; each = each->next)
        waiting++;
    if (waiting > RESPONSES_WAITING_MAX)
        nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, stream->id,
                                  NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Without them the message is not whole. */
static void end_trailers(struct h2_session *session, struct h2_stream *stream)
{
    if (stream->head.err) {
        stream->received = false;
        nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, stream->id,
                                  NGHTTP2_PROTOCOL_ERROR);
    }
    co_wake(stream->receiver);
}

static void end_head(struct h2_session *session)
{
    struct h2_stream *stream = session->head_of;
    session->head_of = NULL;
    if (!stream)
        return;
    if (stream->in_trailers)
        end_trailers(session, stream);
    else if (session->side == H2_CLIENT)
        end_response(session, stream);
    else
        session->events->request(session->owner, stream,
                                 h2_head_request(&stream->head, stream->request));
    stream->head.fields = NULL;
}

/* --- What else comes ------------------------------------------------------------------------- */

static int on_bytes(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes,
                    size_t len, void *owner)
{
    struct h2_session *session = owner;
    struct h2_stream *stream = stream_of(session, id);
    (void)flags;
    if (!stream) {
        nghttp2_session_consume(ng, id, len);
        return 0;
    }
    h2_session_hold(session, len);
    if (h2_stream_keep(stream, slice_of_bytes(bytes, len)) != WEIR_OK)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static void note_end(struct h2_stream *stream)
{
    stream->received = true;
    co_wake(stream->receiver);
}

static enum weir_err meaning_of(uint32_t code, bool by_peer)
{
    switch (code) {
    case NGHTTP2_NO_ERROR:
        return WEIR_OK;
    case NGHTTP2_REFUSED_STREAM:
        return WEIR_E_STREAM_REFUSED;
    case NGHTTP2_HTTP_1_1_REQUIRED:
        return WEIR_E_HTTP_1_1_REQUIRED;
    default: /* what we find wrong is the message */
        return by_peer ? WEIR_E_STREAM_RESET : WEIR_E_RESPONSE_MALFORMED;
    }
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *owner)
{
    struct h2_session *session = owner;
    struct h2_stream *stream = frame->hd.stream_id ? stream_of(session, frame->hd.stream_id) : NULL;
    (void)ng;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (stream && ends_stream(&frame->hd))
            note_end(stream);
        end_head(session);
        break;
    case NGHTTP2_DATA:
        if (stream && ends_stream(&frame->hd))
            note_end(stream);
        break;
    case NGHTTP2_RST_STREAM:
        if (stream) {
            stream->code = frame->rst_stream.error_code;
            stream->err = meaning_of(stream->code, true);
        }
        break;
    case NGHTTP2_SETTINGS:
        session->peer_is_set |= !(frame->hd.flags & NGHTTP2_FLAG_ACK);
        break;
    case NGHTTP2_PING:
        session->pings_answered += (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
        break;
    case NGHTTP2_GOAWAY:
        session->goaway = true;
        session->goaway_code = frame->goaway.error_code;
        session->goaway_last = frame->goaway.last_stream_id;
        break;
    default:
        break;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *owner)
{
    struct h2_session *session = owner;
    struct h2_stream *stream = stream_of(session, id);
    (void)ng;
    if (stream && session->side == H2_SERVER && !stream->head_sent)
        h2_session_count(session, H2_FLOOD_RAPID_RESET);
    if (!stream)
        return 0;
    stream->forgotten = true;
    h2_stream_closed(stream, code, stream->err ? stream->err : meaning_of(code, false));
    return 0;
}

/* --- What goes ------------------------------------------------------------------------------- */

/* Ends a body after its last piece: here, or with trailers. */
static void end_body(struct h2_session *session, struct h2_stream *stream, uint32_t *flags)
{
    struct h2_lines lines = {.count = 0};
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!stream->piece->trailers ||
        h2_lines_of_trailers(stream->piece->trailers, stream->arena, &lines) != WEIR_OK ||
        lines.count == 0)
        return;
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session->ng, stream->id, lines.at, lines.count);
}

static ssize_t on_want_bytes(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t len,
                             uint32_t *flags, nghttp2_data_source *source, void *owner)
{
    struct h2_session *session = owner;
    struct h2_stream *stream = stream_of(session, id);
    (void)ng, (void)buf, (void)source;
    if (!stream)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (!stream->piece)
        return NGHTTP2_ERR_DEFERRED;
    size_t room = h2_session_room(session);
    size_t bytes = len < stream->piece_left ? len : stream->piece_left;
    if (bytes > room)
        bytes = room;
    /* The head of a frame without bytes finds no room either. */
    if (room == 0)
        return NGHTTP2_ERR_PAUSE;
    if (bytes == stream->piece_left && stream->piece->last)
        end_body(session, stream, flags);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)bytes;
}

static void write_piece(struct h2_session *session, struct h2_stream *stream, size_t bytes)
{
    stream->piece_left -= bytes;
    while (bytes > 0) {
        struct weir_slice slice =
            slice_skip(stream->piece->slices[stream->piece_slice], stream->piece_offset);
        if (slice.len > bytes)
            slice.len = bytes;
        h2_session_write(session, slice);
        bytes -= slice.len;
        stream->piece_offset += slice.len;
        if (stream->piece_offset == stream->piece->slices[stream->piece_slice].len) {
            stream->piece_slice++;
            stream->piece_offset = 0;
        }
    }
}

const nghttp2_data_provider h2_body = {.read_callback = on_want_bytes};

/* DATA that on_want_bytes() has promised, with room for it. */
static int on_send_bytes(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *frame_head,
                         size_t len, nghttp2_data_source *source, void *owner)
{
    struct h2_session *session = owner;
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id);
    (void)ng, (void)source;
    must(frame->data.padlen == 0);
    if (!stream || !stream->piece)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    h2_session_write(session, slice_of_bytes(frame_head, 9));
    write_piece(session, stream, len);
    stream->sent_bytes += len;
    if (stream->piece_left == 0) {
        stream->piece = NULL;
        co_wake(stream->sender);
    }
    return 0;
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *owner)
{
    struct h2_session *session = owner;
    (void)ng;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        h2_session_gave_up(session);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    h2_guard_earn(&session->guard, H2_FLOOD_WINDOW_UPDATE, FRAME_EARNS_UPDATES);
    h2_guard_earn(&session->guard, H2_FLOOD_PING, 1); /* gRPC measures the line with them */
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (!stream)
        return 0;
    stream->head_sent = true;
    stream->sent |= ends_stream(&frame->hd) != 0;
    co_wake(stream->sender);
    return 0;
}

/* --- All of them ----------------------------------------------------------------------------- */

static nghttp2_session_callbacks *callbacks;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_callbacks(void)
{
    must(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_bytes);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_bytes);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
}

const nghttp2_session_callbacks *h2_callbacks(void)
{
    pthread_once(&once, make_callbacks);
    return callbacks;
}
