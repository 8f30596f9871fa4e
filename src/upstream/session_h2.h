/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_SESSION_H2_H
#define UPSTREAM_SESSION_H2_H

/* A session over HTTP/2: one stream of a connection, which others may use at the same time. */

#include "http/h2_stream.h"
#include "upstream/session.h"

struct session_h2 {
    struct session session;
    struct pool *pool;
    struct arena arena; /* of heads that are received */
    struct h2_stream stream;
    enum http_method method;
    enum keep kept; /* what became of the connection when its stream was given back */
};

/* Takes over the stream of a connection that is the caller's. WEIR_E_NO_MEMORY gives it back. */
enum weir_err session_h2_open(struct conn **conn, const struct session_story *story,
                              struct session **ret_session);

#endif
