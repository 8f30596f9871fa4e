/* SPDX-License-Identifier: MIT */
#include "http/h1_out.h"

#include "base/check.h"
#include "http/h1_chunk.h"
#include "http/h1_write.h"

#include <string.h>

/* A piece's own slices, and before and behind them head, chunk size, chunk end and last chunk. */
_Static_assert(PIECE_SLICES + 4 <= SEND_SLICES_MAX, "a framed piece is one send");

/* A body no longer than this is copied behind its head. */
enum { JOINED_BYTES = 1024 };

static struct iobufs *bufs_of(struct h1_out *out)
{
    return &out->loop->bufs;
}

void h1_out_init(struct h1_out *out, struct stream *stream)
{
    *out = (struct h1_out){.loop = stream->loop, .stream = stream};
}

void h1_out_fini(struct h1_out *out)
{
    iobuf_give(bufs_of(out), &out->head);
}

static enum weir_err want_head(struct h1_out *out)
{
    if (!out->head)
        out->head = iobuf_take(bufs_of(out));
    return out->head ? WEIR_OK : WEIR_E_NO_MEMORY;
}

static enum weir_err written(struct h1_out *out, size_t len, const struct http_framing *framing)
{
    if (len == 0)
        return WEIR_E_LIMIT;
    out->head->end += (uint32_t)len;
    out->body = framing->body;
    out->left_bytes = framing->length;
    out->open = framing->body != BODY_NONE && !(framing->body == BODY_LENGTH && !framing->length);
    return WEIR_OK;
}

enum weir_err h1_out_request(struct h1_out *out, const struct http_request *request,
                             const struct http_framing *framing)
{
    TRY(want_head(out));
    struct iobuf *head = out->head;
    return written(out, h1_write_request(request, head->bytes + head->end, IOBUF_BYTES - head->end),
                   framing);
}

enum weir_err h1_out_response(struct h1_out *out, const struct http_response *response,
                              const struct http_framing *framing)
{
    TRY(want_head(out));
    struct iobuf *head = out->head;
    return written(out,
                   h1_write_response(response, head->bytes + head->end, IOBUF_BYTES - head->end),
                   framing);
}

bool h1_out_retract(struct h1_out *out)
{
    if (!out->head)
        return false;
    iobuf_give(bufs_of(out), &out->head);
    out->open = false;
    return true;
}

void h1_out_tunnel(struct h1_out *out)
{
    out->body = BODY_TUNNEL;
    out->open = true;
}

WEIR_SUSPENDS static enum weir_err send_slices(struct h1_out *out, const struct weir_slice *slices,
                                               unsigned count, struct weir_time deadline)
{
    size_t sent = 0;
    out->touched = true;
    enum weir_err err = stream_send(out->stream, slices, count, deadline, &sent);
    out->sent_bytes += sent;
    iobuf_give(bufs_of(out), &out->head);
    if (err)
        out->open = true;
    return err;
}

enum weir_err h1_out_flush(struct h1_out *out, struct weir_time deadline)
{
    if (!out->head)
        return WEIR_OK;
    struct weir_slice head = iobuf_slice(out->head);
    return send_slices(out, &head, 1, deadline);
}

/* The last chunk with its trailer section, as a head of its own. */
WEIR_SUSPENDS static enum weir_err send_trailers(struct h1_out *out, const struct fields *trailers,
                                                 struct weir_time deadline)
{
    TRY(want_head(out));
    struct iobuf *head = out->head;
    head->bytes[0] = '0';
    head->bytes[1] = '\r';
    head->bytes[2] = '\n';
    size_t len = h1_write_trailers(trailers, head->bytes + 3, IOBUF_BYTES - 3);
    if (len == 0)
        return WEIR_E_LIMIT;
    head->end = (uint32_t)len + 3;
    return h1_out_flush(out, deadline);
}

static void count_length(struct h1_out *out, size_t bytes)
{
    if (out->body != BODY_LENGTH)
        return;
    must(bytes <= out->left_bytes);
    out->left_bytes -= bytes;
}

/* Copying little is cheaper than telling the kernel of several slices. */
static bool join_to_head(struct h1_out *out, const struct weir_slice *slices, unsigned count)
{
    struct iobuf *head = out->head;
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++)
        bytes += slices[i].len;
    if (bytes > JOINED_BYTES || bytes > IOBUF_BYTES - head->end)
        return false;
    for (unsigned i = 0; i < count; i++) {
        memcpy(head->bytes + head->end, slices[i].at, slices[i].len);
        head->end += (uint32_t)slices[i].len;
    }
    return true;
}

enum weir_err h1_out_piece(struct h1_out *out, const struct http_piece *piece,
                           struct weir_time deadline)
{
    struct weir_slice slices[SEND_SLICES_MAX];
    char chunk_head[H1_CHUNK_HEAD_SIZE];
    unsigned count = 0;
    bool chunked = out->body == BODY_CHUNKED;
    const struct fields *trailers = piece->last && chunked ? piece->trailers : NULL;

    must(out->open);
    count_length(out, piece->bytes);
    if (out->head)
        slices[count++] = iobuf_slice(out->head);
    if (chunked && piece->bytes > 0)
        slices[count++] = slice_of(chunk_head, h1_chunk_write_head(piece->bytes, chunk_head));
    for (unsigned i = 0; i < piece->count; i++)
        slices[count++] = piece->slices[i];
    if (chunked && piece->bytes > 0)
        slices[count++] = SLICE("\r\n");
    if (chunked && piece->last && !trailers)
        slices[count++] = SLICE("0\r\n\r\n");
    if (out->head && count > 1 && join_to_head(out, slices + 1, count - 1)) {
        slices[0] = iobuf_slice(out->head);
        count = 1;
    }
    if (count > 0)
        TRY(send_slices(out, slices, count, deadline));
    if (trailers)
        TRY(send_trailers(out, trailers, deadline));
    if (piece->last && (out->body != BODY_LENGTH || out->left_bytes == 0))
        out->open = false;
    if (piece->last && out->body == BODY_TUNNEL)
        stream_shut(out->stream, deadline);
    return WEIR_OK;
}
