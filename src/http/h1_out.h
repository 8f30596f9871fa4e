/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H1_OUT_H
#define HTTP_H1_OUT_H

/*
 * The sending side of HTTP/1 on a stream, alike for requests and responses. A head waits until it
 * is flushed or the first piece of the body goes, so that a small message is one send.
 */

#include "http/framing.h"
#include "http/piece.h"
#include "stream/stream.h"

struct h1_out {
    struct loop *loop;
    struct stream *stream; /* may end before the rest, when all has been read and sent */
    struct iobuf *head; /* a head that waits to be sent */
    enum http_body body;
    uint64_t left_bytes; /* of a body of known length */
    bool open;           /* the message is not sent to its end */
    bool touched;        /* something of it was given to the stream */
    uint64_t sent_bytes; /* heads, framing and body together */
};

void h1_out_init(struct h1_out *out, struct stream *stream);
void h1_out_fini(struct h1_out *out);

/*
 * Starts a message: its head is written down, behind one that waits, and nothing is sent. The
 * framing says what body follows. WEIR_E_LIMIT when the head does not fit, WEIR_E_NO_MEMORY.
 */
enum weir_err h1_out_request(struct h1_out *out, const struct http_request *request,
                             const struct http_framing *framing);
enum weir_err h1_out_response(struct h1_out *out, const struct http_response *response,
                              const struct http_framing *framing);

/* After a switch of protocols: from now on bytes go as they are, until a last piece ends the
 * direction. */
void h1_out_tunnel(struct h1_out *out);

/* Takes back a head of which nothing was sent. False when there is none. */
bool h1_out_retract(struct h1_out *out);

/* Sends a head that waits; nothing if none does. */
WEIR_SUSPENDS enum weir_err h1_out_flush(struct h1_out *out, struct weir_time deadline);

/*
 * Sends a piece, framed, behind the head if that still waits. After the last one the message is
 * done. More bytes than the framing's length are a mistake of the caller (checked); fewer leave it
 * open. WEIR_E_RESET, _TIMEOUT, _CANCELED, _NO_MEMORY, _LIMIT (trailers).
 */
WEIR_SUSPENDS enum weir_err h1_out_piece(struct h1_out *out, const struct http_piece *piece,
                                         struct weir_time deadline);

/* Whether the whole message has been taken by the stream. */
static inline bool h1_out_done(const struct h1_out *out)
{
    return !out->open && !out->head;
}

#endif
