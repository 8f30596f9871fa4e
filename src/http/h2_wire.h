/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H2_WIRE_H
#define HTTP_H2_WIRE_H

/*
 * An HTTP/2 session on a stream. What comes is read where it is announced, in the loop: there is
 * always somebody to take it, because what nobody reads stays with its stream, within its window.
 * What goes is sent by a coroutine that lives while there is something to send, and takes along all
 * that the others have written down meanwhile. So a connection at rest has neither coroutine nor
 * buffer, and a watch on its stream, like any other.
 */

#include "co/scope.h"
#include "http/h2_session.h"
#include "stream/stream.h"

struct h2_wire {
    struct h2_session session;
    struct stream *stream;
    struct scope *scope; /* of who sends */
    bool writing;        /* somebody does, or is about to */
    struct co *writer;   /* who, once he runs */
    struct co *drained;  /* who waits for his end */
    struct timer again;  /* reads on, when much has come */
    struct weir_span write_timeout;
    void (*changed)(void *owner);
    bool closing, reset; /* it is nobody's; ends with its writer */
};

struct h2_wire_options {
    struct h2_session_options session;
    struct scope *scope;
    struct weir_span write_timeout;
    /*
     * Something was read, or writing has failed or come to its end: for a look at the session. May
     * close the wire. Never called in the middle of another call on it.
     */
    void (*changed)(void *owner);
};

/*
 * Takes the stream, which is nulled, and says hello. What had come on it already is in *buf and
 * what is linked behind it (NULL: nothing), and is taken too. The first `changed` may come at once.
 * WEIR_E_NO_MEMORY closes the stream.
 */
enum weir_err h2_wire_open(struct stream **stream, struct iobuf **buf,
                           const struct h2_wire_options *options, struct h2_wire **ret_wire);

/*
 * Ends it, and its stream; streams of the session that somebody has end with `err`. It says
 * good-bye if that can be done without waiting. NULL is fine.
 */
void h2_wire_close(struct h2_wire **wire, enum weir_err err, bool reset);

/* Reads what is there, as stream_look() has it, without calling `changed`. */
void h2_wire_look(struct h2_wire *wire, enum look look);

/* Sends what there is to send. */
void h2_wire_push(struct h2_wire *wire);

/* Whether it is over: nothing is received any more, and all was sent. */
static inline bool h2_wire_is_over(const struct h2_wire *wire)
{
    return !wire->writing && h2_session_is_over(&wire->session);
}

/* For a while nothing is expected: gives memory back. */
void h2_wire_rest(struct h2_wire *wire);

/* Waits until what was to be sent is sent. WEIR_E_CANCELED. */
WEIR_SUSPENDS enum weir_err h2_wire_drain(struct h2_wire *wire);

/* Ends it when it is over, and gives the stream back. Nobody may be sending (checked). */
struct stream *h2_wire_release(struct h2_wire **wire);

/*
 * Lets go of the stream, and takes another one: for its way to another worker. Nothing may be
 * waiting to be sent, and no stream of the session may be anyone's (checked). Meanwhile the session
 * may be fed, on the worker that it leaves.
 */
void h2_wire_let_go(struct h2_wire *wire);
void h2_wire_resume(struct h2_wire *wire, struct stream *stream, struct scope *scope, void *owner);
/* One that was let go and finds no new stream. */
void h2_wire_drop(struct h2_wire **wire);

#endif
