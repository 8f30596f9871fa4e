/* SPDX-License-Identifier: MIT */
#ifndef PROXY_SERVING_H
#define PROXY_SERVING_H

/*
 * One request on its way through the proxy: what serve.c, attempt.c and respond.c hand to each
 * other. It lies in the frame of serve().
 */

#include "proxy/door.h"
#include "proxy/relay.h"
#include "upstream/retry.h"
#include "proxy/service.h"
#include "upstream/connector.h"

/* Where a subrequest goes, by the word of who makes it. */
struct subrequest_way {
    struct weir_exchange *parent; /* NULL: it is gone */
    struct weir_peer *peer;       /* NULL: as the phases or the routes choose */
    int upstream;                 /* number; -1: likewise */
    bool without_phases;
    bool on_parents_connection; /* wanted; and afterwards, whether it was so */
    unsigned depth;
};

struct serving {
    struct service *service;
    struct exchange *exchange;
    const struct weir_proxy_ops *ops; /* NULL: no phases */
    struct subrequest_way *way;       /* NULL: it is a client's */
    const struct route_options *route;
    struct upstream_part *upstream;
    struct peer *peer; /* referred to; the one that was picked, or a sibling that answered */
    struct session *session;
    struct http_request *original; /* where there are phases: as it was before it was edited */
    struct http_response *response;
    struct http_framing framing; /* of the response */
    struct http_framing sends;   /* of the request as it goes up */
    struct arena kept; /* the replay buffer's own: the exchange needs what it has for its answer */
    struct replay replay;
    struct upload upload;
    struct kept mirrored; /* the request's body, where the route wants a mirror */
    struct session_story story;
    struct balance_tried tried;
    unsigned attempts, connect_retries, unprocessed;
    enum weir_err retried; /* why it was tried again the last time */
    enum keep not_kept;
    bool connected;
    bool upgrades;       /* the request asks for another protocol */
    bool keeps_length;   /* the program's body filter does not change it */
    int chosen_upstream; /* by the program; -1: it did not choose */
    bool may_take;       /* the program may take the response's body now */
    struct kept *taken;  /* of that; NULL: nothing was */
    struct weir_exchange door;
    struct body_filter up, down; /* the program's body filters */
};

static inline bool exchange_has_body(const struct exchange *exchange)
{
    const struct http_framing *framing = &exchange->framing;
    return framing->body == BODY_CHUNKED || (framing->body == BODY_LENGTH && framing->length > 0);
}

/* --- attempt.c -------------------------------------------------------------------------------- */

/* Where the request goes: for the first time. WEIR_E_NO_ROUTE, _UNAVAILABLE, ... */
WEIR_SUSPENDS enum weir_err attempt_choose(struct serving *serving);

/* Tries until a response head is there; the upload may still run then. */
WEIR_SUSPENDS enum weir_err attempt_until_answered(struct serving *serving);

void serving_set_peer(struct serving *serving, struct peer *peer);

/* --- respond.c -------------------------------------------------------------------------------- */

/* Gives the response to the client. The upload may still run; it ends here at the latest. */
WEIR_SUSPENDS enum weir_err respond(struct serving *serving);

/* After a client's last request its upstream connection is given up with it, unless told otherwise.
 */
bool serving_may_keep(const struct serving *serving);

/* --- serve.c ---------------------------------------------------------------------------------- */

/* A subrequest through the service, in its own coroutine. */
WEIR_SUSPENDS void serve_subrequest(struct service *service, struct exchange *exchange,
                                    struct subrequest_way *way);

#endif
