/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

/*
 * A session as a program sees it (weir/connector.h): one of upstream/session.h with the copies of
 * heads that it needs, in an arena that it lies in itself.
 */

#include "client/connector.h"
#include "co/wait.h"
#include "http/message.h"
#include "upstream/session.h"

struct weir_session {
    struct list link; /* in connector.sessions */
    struct arena arena;
    struct weir_connector *connector;
    struct weir_peer *peer; /* a reference of a user */
    const char *where;      /* it was got, for the log */
    struct session *inner;
    uint64_t body_bytes, sent_bytes; /* of the request's body: as was said, and so far */
    bool head_written, body_sent;    /* the latter: to its end */
    bool sending;                    /* a sender is in a call */
    bool flushing;                   /* a receiver sends the head */
    struct wait_queue flushed;
    struct http_framing framing;   /* of the response */
    struct weir_response response; /* .http NULL: not received */
    struct http_piece piece;       /* received last */
    unsigned next_slice;           /* of it: the first that was not given yet */
};

/* Takes over `inner` and the reference to the peer, on an error too. WEIR_E_NO_MEMORY. */
enum weir_err client_session_new(struct weir_connector *connector, struct weir_peer *peer,
                                 struct session *inner, struct weir_session **ret_session);

#endif
