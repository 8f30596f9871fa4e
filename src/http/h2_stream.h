/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H2_STREAM_H
#define HTTP_H2_STREAM_H

/*
 * One stream of an HTTP/2 connection: a request and its response. It is its user's memory, who has
 * it until h2_stream_end(), whatever becomes of the connection meanwhile. One coroutine receives
 * and one sends.
 *
 * A body that comes is copied out of the connection's buffer into buffers of the stream's own; a
 * piece views those until the next call that takes one.
 */

#include "co/co.h"
#include "http/h2_head.h"
#include "http/piece.h"
#include "io/iobuf.h"
#include <weir/suspends.h>

struct h2_session;

/* A response's head, interim or final, that was received. */
struct h2_response {
    struct h2_response *next;
    struct http_response response;
    enum weir_err err; /* what is wrong with it */
};

struct h2_stream {
    struct list link;           /* in session.streams, until h2_stream_end() */
    struct h2_session *session; /* NULL: it has ended, or the stream has not begun */
    struct arena *arena;        /* the user's */
    int32_t id;                 /* 0: nothing was submitted */
    /* What is received. */
    struct h2_head head; /* that comes */
    struct http_request *request;
    struct h2_response *responses, *responses_last; /* not taken yet */
    struct fields *trailers;
    struct iobuf *body, *body_last; /* what was not taken stands first, behind what was lent */
    size_t held_bytes, lent_bytes;
    size_t taken_bytes; /* since the window grew last */
    uint32_t window, window_first;
    struct co *receiver;
    /* What is sent. */
    const struct http_piece *piece; /* what is being sent; NULL: nothing is */
    unsigned piece_slice;           /* how far it was written down */
    size_t piece_offset, piece_left;
    struct co *sender;
    struct co *victim;   /* canceled when it is closed before all was sent; NULL: nobody is */
    uint64_t sent_bytes; /* heads as HPACK counts them, and the body */
    bool submitted, submitted_end;   /* the head, and the end, are nghttp2's */
    bool head_sent;                  /* ... and was written down */
    bool sent;                       /* all was */
    bool head_is_final, in_trailers; /* of what is received */
    bool received;                   /* to its end */
    bool closed;                     /* nothing more comes or goes */
    bool forgotten;                  /* nghttp2 has it no more */
    uint32_t code;                   /* what it was closed with */
    enum weir_err err;               /* the same for us; WEIR_OK: it ended well */
};

/* Makes an empty one. Heads are kept in the arena, which must stay until h2_stream_end(). */
void h2_stream_init(struct h2_stream *stream, struct arena *arena);

/*
 * Ends the user's part in it, which may be in the middle: the peer is told the code then. Bytes
 * that were not taken are dropped. Twice is fine.
 */
void h2_stream_end(struct h2_stream *stream, uint32_t code);

/*
 * Parts one that is over from its session, which has no more to do with it then. What was received
 * stays.
 */
void h2_stream_part(struct h2_stream *stream);

/*
 * Opens a stream with a request; `ends`: it has no body. WEIR_E_NO_MEMORY, _STREAM_REFUSED: the
 * connection takes none any more.
 */
enum weir_err h2_stream_request(struct h2_stream *stream, struct h2_session *session,
                                const struct h2_lines *lines, bool ends);

/* Sends a response's head, interim or final; `ends`: it has no body. WEIR_E_NO_MEMORY. */
enum weir_err h2_stream_interim(struct h2_stream *stream, const struct h2_lines *lines);
enum weir_err h2_stream_response(struct h2_stream *stream, const struct h2_lines *lines, bool ends);

/*
 * Waits until all that was submitted has been written down; with `ends`, in particular the end.
 * Errors: what the stream was closed with, WEIR_E_TIMEOUT, _CANCELED.
 */
WEIR_SUSPENDS enum weir_err h2_stream_flush(struct h2_stream *stream, struct weir_time deadline);

/*
 * Sends a piece of the body, which must stay until this returns; with the last one the trailers.
 * A piece that was not taken in time is partly sent: the stream is of no use then. Errors as flush.
 */
WEIR_SUSPENDS enum weir_err h2_stream_send_piece(struct h2_stream *stream,
                                                 const struct http_piece *piece,
                                                 struct weir_time deadline);

/* Waits for a response's head; *ret_response is good until the arena goes. */
WEIR_SUSPENDS enum weir_err h2_stream_recv_head(struct h2_stream *stream, struct weir_time deadline,
                                                const struct http_response **ret_response);

/*
 * What of the body is here, and what comes: as h1_wire_piece_now() and h1_wire_piece() have it. Of
 * trailers what must not be there is left out (hop_trailers()). Errors: what the stream was closed
 * with.
 */
enum weir_err h2_stream_piece_now(struct h2_stream *stream, struct http_piece *ret_piece);
WEIR_SUSPENDS enum weir_err h2_stream_recv_piece(struct h2_stream *stream,
                                                 struct weir_time deadline,
                                                 struct http_piece *ret_piece);

/* --- For h2_session.c and h2_callbacks.c ----------------------------------------------------- */

/* It stands among the session's from now on, under this number. */
void h2_stream_join(struct h2_stream *stream, struct h2_session *session, int32_t id);
/* Nothing more comes or goes. What it was closed with first counts. */
void h2_stream_closed(struct h2_stream *stream, uint32_t code, enum weir_err err);
/* The session ends, the stream stays. */
void h2_stream_cut_off(struct h2_stream *stream, enum weir_err err);
/* Bytes of its body have come. WEIR_E_NO_MEMORY. */
enum weir_err h2_stream_keep(struct h2_stream *stream, struct weir_slice bytes);

#endif
