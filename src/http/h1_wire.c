/* SPDX-License-Identifier: MIT */
#include "http/h1_wire.h"

#include "base/check.h"
#include "http/hop.h"

#include <string.h>

enum { FIELDS_RESERVE = 16 };

static struct iobufs *bufs_of(struct h1_wire *wire)
{
    return &wire->loop->bufs;
}

void h1_wire_init(struct h1_wire *wire, struct stream *stream, enum wire_side side)
{
    *wire = (struct h1_wire){
        .loop = stream->loop, .stream = stream, .side = side, .state = WIRE_BODY_DONE};
    h1_limits_init(&wire->limits);
    /* A head must fit into one buffer, and a full buffer without its end must be too much. */
    if (wire->limits.head_bytes >= IOBUF_BYTES)
        wire->limits.head_bytes = IOBUF_BYTES - 1;
    /* Some room is left for the fields that a proxy adds. */
    wire->limits.fields = FIELDS_MAX - FIELDS_RESERVE;
}

void h1_wire_fini(struct h1_wire *wire)
{
    if (wire->head == wire->buf)
        wire->head = NULL;
    iobuf_give(bufs_of(wire), &wire->buf);
    iobuf_give(bufs_of(wire), &wire->next);
    iobuf_give(bufs_of(wire), &wire->head);
}

void h1_wire_put(struct h1_wire *wire, struct iobuf **buf)
{
    must(!wire->buf && !wire->next);
    wire->buf = *buf;
    wire->next = wire->buf->next;
    wire->buf->next = NULL;
    *buf = NULL;
}

bool h1_wire_has_bytes(const struct h1_wire *wire)
{
    return (wire->buf && wire->buf->start < wire->buf->end) || wire->next;
}

struct weir_slice h1_wire_bytes(const struct h1_wire *wire)
{
    if (wire->buf && wire->buf->start < wire->buf->end)
        return iobuf_slice(wire->buf);
    return wire->next ? iobuf_slice(wire->next) : slice_of(NULL, 0);
}

/* Lets go of a buffer that is read to its end, but for one that still holds a head. */
static void retire(struct h1_wire *wire)
{
    struct iobuf *buf = wire->buf;
    wire->buf = wire->next;
    wire->next = NULL;
    if (buf != wire->head)
        iobuf_give(bufs_of(wire), &buf);
}

/* Puts as many of `from`'s bytes behind those of `to` as fit. */
static void gather(struct iobuf *to, struct iobuf *from)
{
    size_t room = IOBUF_BYTES - to->end, bytes = from->end - from->start;
    if (bytes > room)
        bytes = room;
    memcpy(to->bytes + to->end, from->bytes + from->start, bytes);
    to->end += (uint32_t)bytes;
    from->start += (uint32_t)bytes;
}

/* What must stay in one piece starts at the front of a buffer of its own. */
static enum weir_err make_room(struct h1_wire *wire)
{
    struct iobuf *buf = wire->buf;
    if (buf->start == 0)
        return WEIR_OK;
    if (buf != wire->head) {
        memmove(buf->bytes, buf->bytes + buf->start, buf->end - buf->start);
        buf->end -= buf->start;
        buf->start = 0;
        return WEIR_OK;
    }
    struct iobuf *fresh = iobuf_take(bufs_of(wire));
    if (!fresh)
        return WEIR_E_NO_MEMORY;
    gather(fresh, buf);
    wire->buf = fresh;
    return WEIR_OK;
}

/* Joins what just came with what is unread, so that the front of it stays in one piece. */
static enum weir_err join(struct h1_wire *wire, struct iobuf *came)
{
    if (!wire->buf) {
        wire->buf = came;
        return WEIR_OK;
    }
    if (IOBUF_BYTES - wire->buf->end < came->end - came->start) {
        enum weir_err err = make_room(wire);
        if (err) {
            iobuf_give(bufs_of(wire), &came);
            return err;
        }
    }
    gather(wire->buf, came);
    if (came->start == came->end)
        iobuf_give(bufs_of(wire), &came);
    wire->next = came;
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err receive(struct h1_wire *wire, struct weir_time deadline)
{
    if (wire->buf && wire->buf->start == wire->buf->end)
        retire(wire);
    if (wire->next) {
        /* A head or trailer section runs on into it. */
        struct iobuf *next = wire->next;
        wire->next = NULL;
        return join(wire, next);
    }
    struct iobuf *came = NULL;
    TRY(stream_recv(wire->stream, deadline, &came));
    return join(wire, came);
}

static struct weir_slice unread(const struct h1_wire *wire)
{
    return wire->buf ? iobuf_slice(wire->buf) : slice_of(NULL, 0);
}

static enum weir_err err_of(const struct h1_wire *wire)
{
    return wire->side == WIRE_REQUESTS ? h1_fault_request_err(wire->fault)
                                       : h1_fault_response_err(wire->fault);
}

/* Turns a parser's answer into ours; true when there is nothing more to receive. */
static bool head_is_over(struct h1_wire *wire, enum h1_result result, size_t used,
                         enum weir_err *ret_err)
{
    if (result == H1_MORE)
        return false;
    if (result == H1_BAD) {
        *ret_err = err_of(wire);
        return true;
    }
    wire->head = wire->buf;
    wire->buf->start += (uint32_t)used;
    wire->cursor = (struct h1_cursor){0};
    wire->state = WIRE_BODY_DONE;
    *ret_err = WEIR_OK;
    return true;
}

WEIR_SUSPENDS static enum weir_err receive_for_head(struct h1_wire *wire, struct weir_time deadline)
{
    bool begun = h1_wire_has_bytes(wire);
    enum weir_err err = receive(wire, deadline);
    return err == WEIR_E_EOF && begun ? WEIR_E_RESET : err;
}

enum weir_err h1_wire_request(struct h1_wire *wire, struct weir_time deadline,
                              struct http_request *ret_request)
{
    must(!wire->head && wire->side == WIRE_REQUESTS);
    for (enum weir_err err;;) {
        enum h1_result result = H1_MORE;
        size_t used = 0;
        if (wire->buf)
            result = h1_parse_request(unread(wire), &wire->cursor, &wire->limits, ret_request,
                                      &used, &wire->fault);
        if (head_is_over(wire, result, used, &err))
            return err;
        TRY(receive_for_head(wire, deadline));
    }
}

enum weir_err h1_wire_response(struct h1_wire *wire, struct weir_time deadline,
                               struct http_response *ret_response)
{
    must(!wire->head && wire->side == WIRE_RESPONSES);
    for (enum weir_err err;;) {
        enum h1_result result = H1_MORE;
        size_t used = 0;
        if (wire->buf)
            result = h1_parse_response(unread(wire), &wire->cursor, &wire->limits, ret_response,
                                       &used, &wire->fault);
        if (head_is_over(wire, result, used, &err))
            return err;
        TRY(receive_for_head(wire, deadline));
    }
}

void h1_wire_drop_head(struct h1_wire *wire)
{
    if (wire->head == wire->buf)
        wire->head = NULL;
    iobuf_give(bufs_of(wire), &wire->head);
    if (wire->buf && wire->buf->start == wire->buf->end)
        retire(wire);
}

void h1_wire_start_body(struct h1_wire *wire, const struct http_framing *framing,
                        struct fields *trailers)
{
    wire->body = framing->body;
    wire->left_bytes = framing->length;
    wire->chunk = (struct h1_chunk){0};
    wire->trailers = trailers;
    must(trailers || framing->body != BODY_CHUNKED);
    bool empty = framing->body == BODY_NONE || (framing->body == BODY_LENGTH && !framing->length);
    wire->state = empty ? WIRE_BODY_DONE : WIRE_BODY_OPEN;
}

static void piece_add(struct http_piece *piece, struct weir_slice slice)
{
    piece->slices[piece->count++] = slice;
    piece->bytes += slice.len;
}

static void take_length(struct h1_wire *wire, struct http_piece *piece)
{
    struct weir_slice bytes = unread(wire);
    if (wire->body == BODY_LENGTH && bytes.len > wire->left_bytes)
        bytes.len = (size_t)wire->left_bytes;
    if (bytes.len > 0)
        piece_add(piece, bytes);
    wire->buf->start += (uint32_t)bytes.len;
    if (wire->body == BODY_LENGTH) {
        wire->left_bytes -= bytes.len;
        if (wire->left_bytes == 0)
            wire->state = WIRE_BODY_DONE;
    }
}

static enum weir_err take_trailers(struct h1_wire *wire)
{
    size_t used;
    switch (h1_parse_trailers(unread(wire), &wire->cursor, &wire->limits, wire->trailers, &used,
                              &wire->fault)) {
    case H1_BAD:
        return err_of(wire);
    case H1_MORE:
        return WEIR_OK;
    default:
        wire->buf->start += (uint32_t)used;
        wire->cursor = (struct h1_cursor){0};
        wire->state = WIRE_BODY_DONE;
        hop_trailers(wire->trailers);
        return WEIR_OK;
    }
}

static enum weir_err take_chunks(struct h1_wire *wire, struct http_piece *piece)
{
    while (piece->count < PIECE_SLICES) {
        struct weir_slice content = {NULL, 0};
        size_t used = 0;
        enum h1_chunk_result result =
            h1_chunk_next(&wire->chunk, unread(wire), &used, &content, &wire->fault);
        if (result == H1_CHUNK_BAD)
            return err_of(wire);
        wire->buf->start += (uint32_t)used;
        if (content.len > 0)
            piece_add(piece, content);
        if (result == H1_CHUNK_MORE)
            break;
        if (result == H1_CHUNK_LAST) {
            wire->state = WIRE_BODY_TRAILERS;
            return take_trailers(wire);
        }
    }
    return WEIR_OK;
}

static enum weir_err take(struct h1_wire *wire, struct http_piece *piece)
{
    if (wire->state == WIRE_BODY_TRAILERS)
        return take_trailers(wire);
    if (wire->body == BODY_CHUNKED)
        return take_chunks(wire, piece);
    take_length(wire, piece);
    return WEIR_OK;
}

enum weir_err h1_wire_piece_now(struct h1_wire *wire, struct http_piece *ret_piece)
{
    struct http_piece *piece = ret_piece;
    piece->count = 0;
    piece->bytes = 0;
    if (wire->buf && wire->buf->start == wire->buf->end)
        retire(wire);
    if (wire->state != WIRE_BODY_DONE && wire->buf)
        TRY(take(wire, piece));
    piece->last = wire->state == WIRE_BODY_DONE;
    bool has_trailers = piece->last && wire->body == BODY_CHUNKED && wire->trailers->count > 0;
    piece->trailers = has_trailers ? wire->trailers : NULL;
    return WEIR_OK;
}

enum weir_err h1_wire_piece(struct h1_wire *wire, struct weir_time deadline,
                            struct http_piece *ret_piece)
{
    for (;;) {
        TRY(h1_wire_piece_now(wire, ret_piece));
        if (ret_piece->count > 0 || ret_piece->last)
            return WEIR_OK;
        enum weir_err err = receive(wire, deadline);
        bool ends = wire->body == BODY_UNTIL_CLOSE || wire->body == BODY_TUNNEL;
        if (err == WEIR_E_EOF && ends)
            wire->state = WIRE_BODY_DONE;
        else
            TRY(err);
    }
}
