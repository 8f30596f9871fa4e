/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_SESSION_H1_H
#define UPSTREAM_SESSION_H1_H

/* A session over HTTP/1: the whole connection, for one exchange. */

#include "http/h1_out.h"
#include "http/h1_wire.h"
#include "upstream/session.h"

struct session_h1 {
    struct session session;
    struct pool *pool;
    struct h1_wire wire;
    struct h1_out out;
    struct fields *trailers; /* for a chunked response; the session's own */
    enum http_method method;
    bool sent_close; /* our request said Connection: close */
    bool asked_upgrade;
    bool is_private;    /* authentication of the connection itself has passed over it */
    bool head_received; /* a final one */
    uint8_t response_minor;
    enum keep kept; /* what became of the connection when it was given back */
    struct http_framing response_framing;
    struct http_persistence persistence;
};

/* Makes a session of a connection in use, which is the session's then. WEIR_E_NO_MEMORY closes it.
 */
enum weir_err session_h1_open(struct conn **conn, const struct session_story *story,
                              struct session **ret_session);

#endif
