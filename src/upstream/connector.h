/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_CONNECTOR_H
#define UPSTREAM_CONNECTOR_H

/* Gets a session for a peer: on an idle connection that is alive, else on a new one. */

#include "upstream/pool.h"
#include "upstream/session.h"

enum connector_want {
    CONNECTOR_ANY,       /* an idle connection will do */
    CONNECTOR_SURE,      /* one that surely lives: the request cannot be sent twice */
    CONNECTOR_FRESH,     /* a new one: for the second try after a reused one broke */
    CONNECTOR_HTTP1 = 4, /* with one of these: one that speaks HTTP/1, where there is a choice */
};

/*
 * *ret_session goes back with session_release(). Suspends only when this worker has no idle
 * connection for the peer: then another worker's is asked for, and when there is none it is dialled
 * or waited for, whichever gives one first. Errors as ask_for_conn(). The peer must stay until it
 * returns.
 */
WEIR_SUSPENDS enum weir_err connector_get(struct pool *pool, struct peer *peer,
                                          enum connector_want want, struct weir_time deadline,
                                          struct session **ret_session);

/*
 * A session on the very connection that `held` has, if the exchange on that one is over, its
 * connection would be kept, and the peer's key is the same; `held` has none then. False: nothing
 * was done.
 */
bool connector_go_on(struct pool *pool, struct peer *peer, struct session *held,
                     struct session **ret_session);

#endif
