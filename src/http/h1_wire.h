/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H1_WIRE_H
#define HTTP_H1_WIRE_H

/*
 * The receiving side of HTTP/1 on a stream, alike for requests and responses: heads first, then a
 * body piece by piece. It joins the parsers, which are pure, with the buffers that a stream lends.
 *
 * Bytes stay in the buffer they were received into. A head that came in several receives is
 * gathered in one buffer; whatever does not fit behind it waits in `next`. A head's bytes live
 * until h1_wire_drop_head(), a piece's until the next call that takes a piece.
 */

#include "http/framing.h"
#include "http/h1_chunk.h"
#include "http/piece.h"
#include "stream/stream.h"

enum wire_side { WIRE_REQUESTS, WIRE_RESPONSES };

enum wire_body_state { WIRE_BODY_OPEN, WIRE_BODY_TRAILERS, WIRE_BODY_DONE };

struct h1_wire {
    struct loop *loop;
    struct stream *stream; /* may end before the rest, when all has been read and sent */
    enum wire_side side;
    struct iobuf *buf;  /* what is being read; NULL: nothing has come */
    struct iobuf *next; /* what came behind it */
    struct iobuf *head; /* holds the bytes of a head; often the same as buf */
    struct h1_cursor cursor;
    struct h1_limits limits;
    enum http_body body;
    enum wire_body_state state;
    uint64_t left_bytes; /* of a body of known length */
    struct h1_chunk chunk;
    struct fields *trailers; /* where the trailer section of a chunked body goes */
    enum h1_fault fault;     /* why a call answered with an error of the message's form */
};

void h1_wire_init(struct h1_wire *wire, struct stream *stream, enum wire_side side);
/* Gives all buffers back. */
void h1_wire_fini(struct h1_wire *wire);

/*
 * Starts with bytes that were received already, in a buffer and one that may be linked behind it;
 * they are the wire's now.
 */
void h1_wire_put(struct h1_wire *wire, struct iobuf **buf);

/* Whether bytes lie here that nothing has used. */
bool h1_wire_has_bytes(const struct h1_wire *wire);
/* The first of them, for a log line. */
struct weir_slice h1_wire_bytes(const struct h1_wire *wire);

/*
 * Receives a head of the wire's side. Its slices are valid until h1_wire_drop_head(). WEIR_E_EOF
 * only before the first byte; after it an end is WEIR_E_RESET. A head that is wrong gives the error
 * of its fault, kept in wire->fault; and WEIR_E_RESET, _TIMEOUT, _CANCELED, _NO_MEMORY.
 */
WEIR_SUSPENDS enum weir_err h1_wire_request(struct h1_wire *wire, struct weir_time deadline,
                                            struct http_request *ret_request);
WEIR_SUSPENDS enum weir_err h1_wire_response(struct h1_wire *wire, struct weir_time deadline,
                                             struct http_response *ret_response);
void h1_wire_drop_head(struct h1_wire *wire);

/*
 * The body that follows. A chunked one's trailers are read into `trailers` (else it may be NULL);
 * they view the buffers as a piece does. What must not be in them is left out (hop_trailers()).
 */
void h1_wire_start_body(struct h1_wire *wire, const struct http_framing *framing,
                        struct fields *trailers);

static inline bool h1_wire_body_done(const struct h1_wire *wire)
{
    return wire->state == WIRE_BODY_DONE;
}

/* What of the body is here already, without waiting: an empty piece that is not last when nothing
 * is. */
enum weir_err h1_wire_piece_now(struct h1_wire *wire, struct http_piece *ret_piece);

/*
 * Waits for a piece. An end of the stream is the end of a body until close and of a tunnel, and
 * WEIR_E_EOF for any other body: it was cut short.
 */
WEIR_SUSPENDS enum weir_err h1_wire_piece(struct h1_wire *wire, struct weir_time deadline,
                                          struct http_piece *ret_piece);

#endif
