/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_SESSION_H
#define UPSTREAM_SESSION_H

/*
 * One HTTP exchange on an upstream connection: what a caller gets from a connector, uses and
 * releases. Over HTTP/1 it has the connection for itself. The order is: send_head, then the body's
 * pieces if there is one, and from another coroutine or afterwards recv_head (again after each
 * interim head), the response's pieces, release. One coroutine sends, one receives.
 *
 * Errors are those of err.def: WEIR_E_RESET and _EOF for a connection that broke before a response,
 * _RESPONSE_TIMEOUT, _RESPONSE_MALFORMED and its kin, _RESPONSE_INCOMPLETE,
 * _UPSTREAM_WRITE_TIMEOUT, _CANCELED.
 */

#include "http/framing.h"
#include "http/piece.h"
#include "upstream/conn.h"

struct session;

struct session_ops {
    enum weir_err (*send_head)(struct session *session, const struct http_request *request,
                               const struct http_framing *framing);
    WEIR_SUSPENDS enum weir_err (*flush)(struct session *session);
    WEIR_SUSPENDS enum weir_err (*send_piece)(struct session *session,
                                              const struct http_piece *piece);
    WEIR_SUSPENDS enum weir_err (*recv_head)(struct session *session,
                                             struct http_response *ret_response,
                                             struct http_framing *ret_framing);
    enum weir_err (*piece_now)(struct session *session, struct http_piece *ret_piece);
    WEIR_SUSPENDS enum weir_err (*recv_piece)(struct session *session, struct weir_time deadline,
                                              struct http_piece *ret_piece);
    void (*finish)(struct session *session, bool keep);
    struct conn *(*hand_over)(struct session *session);
    enum keep (*release)(struct session *session, bool keep);
};

/* How a connection served one session: for the access log. */
struct session_story {
    enum conn_source source;
    uint64_t connection_id;
    enum http_protocol protocol; /* that it speaks */
    uint64_t connection_requests; /* this one included */
    struct weir_span connection_age, connection_idle;
    struct weir_span wait;         /* for another's connection, or for room to dial */
    struct weir_span connect, tls; /* what its own dial took, and the handshake in it */
    struct tls_facts facts;        /* of the connection */
    bool missed;                   /* no connection rested at its worker: `miss` tells why, */
    enum miss_reason miss;         /* and `waited` how it came to one */
    enum wait_result waited;
};

struct session {
    const struct session_ops *ops;
    struct conn *conn; /* NULL: it has gone back already, see session_finish() */
    struct session_story story;
    struct weir_time
        released_before; /* when its connection was last released, if it is a reused one */
    struct weir_time until; /* nothing of it waits longer than that; WEIR_NEVER at first */
    enum weir_err send_err; /* why sending has failed: nothing is sent after that */
    bool any_sent;       /* something of the request was given to the connection */
    bool any_received;   /* a byte of a response has come */
    bool request_sent;   /* the request was taken to its end */
};

/*
 * Writes the head down; it is sent with the first piece, or by flush. What is expected of the
 * response depends on it. `framing` says what body follows.
 */
static inline enum weir_err session_send_head(struct session *session,
                                              const struct http_request *request,
                                              const struct http_framing *framing)
{
    return session->ops->send_head(session, request, framing);
}

/* Sends a head that was only written down. What failed once fails from then on: how much of it was
 * sent nobody knows. */
WEIR_SUSPENDS static inline enum weir_err session_flush(struct session *session)
{
    if (!session->send_err)
        session->send_err = session->ops->flush(session);
    return session->send_err;
}

/* Sends a piece of the request's body; its bytes must stay until it returns. Fails as above. */
WEIR_SUSPENDS static inline enum weir_err session_send_piece(struct session *session,
                                                             const struct http_piece *piece)
{
    if (!session->send_err)
        session->send_err = session->ops->send_piece(session, piece);
    return session->send_err;
}

/*
 * Waits for a response head, an interim one (1xx) included: then call it again. The head's slices
 * are valid until the next call that receives.
 */
WEIR_SUSPENDS static inline enum weir_err session_recv_head(struct session *session,
                                                            struct http_response *ret_response,
                                                            struct http_framing *ret_framing)
{
    return session->ops->recv_head(session, ret_response, ret_framing);
}

/*
 * What of the response's body is here already, without waiting: a piece with nothing in it that is
 * not the last when nothing is. As with recv_piece() it is valid until the next call that receives.
 */
static inline enum weir_err session_piece_now(struct session *session, struct http_piece *ret_piece)
{
    return session->ops->piece_now(session, ret_piece);
}

/*
 * Waits for a piece of the response's body, until the read timeout or `deadline` (WEIR_NEVER: the
 * timeout alone). It is valid until the next call that receives. After the last one there is
 * nothing.
 */
WEIR_SUSPENDS static inline enum weir_err
session_recv_piece(struct session *session, struct weir_time deadline, struct http_piece *ret_piece)
{
    return session->ops->recv_piece(session, deadline, ret_piece);
}

/*
 * Gives the connection back as soon as the exchange is over on it, while what was received last
 * stays with the session until its release: so that the next request, which may come before the
 * client has taken this response, finds the connection idle. Does nothing before that. `keep` as in
 * session_release().
 */
static inline void session_finish(struct session *session, bool keep)
{
    session->ops->finish(session, keep);
}

/*
 * Takes the connection from a session whose exchange is over on it, for another one at once: it is
 * in use, and the caller's. NULL when it is not between two exchanges or would not be kept; then
 * nothing was done.
 */
static inline struct conn *session_hand_over(struct session *session)
{
    return session->conn && session->ops->hand_over ? session->ops->hand_over(session) : NULL;
}

/*
 * Ends the session, whatever state it is in, and nulls the pointer; NULL is fine. The connection
 * goes back to the pool if `keep` and nothing speaks against it; else it is closed. The reason is
 * counted, and returned: KEEP when there is none. Never suspends; nobody may be in a call on the
 * session.
 */
static inline enum keep session_release(struct session **session, bool keep)
{
    struct session *released = *session;
    *session = NULL;
    return released ? released->ops->release(released, keep) : KEEP;
}

#endif
