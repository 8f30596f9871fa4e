/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_SESSION_CUSTOM_H
#define UPSTREAM_SESSION_CUSTOM_H

/* A session over a session transport (weir/transport.h): the whole connection, for one exchange. */

#include "http/message.h"
#include "upstream/session.h"

struct session_custom {
    struct session session;
    struct pool *pool;
    const struct weir_session_transport *transport;
    void *conn; /* the transport's */
    struct arena arena;
    struct http_request *request; /* a copy, written down; NULL: not yet */
    uint64_t request_bytes;       /* as weir/message.h has them */
    bool head_sent, body_received;
    bool left_over; /* a body follows that nobody receives */
    struct http_framing framing; /* of the response */
    uint64_t received_bytes;
};

/* Makes a session of a connection in use, which is the session's then. WEIR_E_NO_MEMORY closes it.
 */
enum weir_err session_custom_open(struct conn **conn, const struct session_story *story,
                                  struct session **ret_session);

#endif
