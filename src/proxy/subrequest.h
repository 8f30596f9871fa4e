/* SPDX-License-Identifier: MIT */
#ifndef PROXY_SUBREQUEST_H
#define PROXY_SUBREQUEST_H

/*
 * A subrequest: an exchange whose client is weir itself. It has a coroutine of its own and goes
 * through serve_subrequest() like any other; what it sends comes from memory or from its parent's
 * client, and what it is answered goes to memory, to its parent's client, or to nobody.
 */

#include "client/reply.h"
#include "co/scope.h"
#include "proxy/kept.h"
#include "proxy/serving.h"
#include <weir/subrequest.h>

/* At once, on one worker, in one service. */
enum { SUBREQUEST_BACKGROUND_MAX = 1024 };

struct subrequest {
    struct exchange exchange;
    struct service *service;
    struct subrequest_way way;
    struct scope scope; /* its coroutine, unless it runs in the background */
    struct co *co;      /* of its coroutine, when it runs in the background */
    struct timer deadline;
    bool timed_out;
    struct addr local; /* of one in the background: what exchange.local points at */

    enum weir_subrequest_body body;
    struct weir_slice bytes; /* to be sent */
    bool bytes_given;
    struct kept *keeps; /* of what the parent's client sends */

    bool ends;                /* with its head */
    struct weir_reply *reply; /* NULL: the answer is not kept */
    uint64_t reply_bytes_max;
    struct exchange *client; /* whom the answer is passed on to; NULL: nobody */
    struct http_response *head;
    struct http_framing framing;
    bool head_given, head_dropped; /* to the filter; and by it */
    bool head_passed;              /* to the client */
    weir_pipe_fn *filter;
    void *filter_owner;
    struct body_filter body_filter;
    uint64_t sent_bytes;
};

/*
 * Runs one for a parent and waits; see weir_subrequest_run(). The answer is kept in `reply`.
 */
WEIR_SUSPENDS enum weir_err subrequest_run(struct weir_exchange *parent,
                                           const struct http_request *request,
                                           const struct weir_subrequest_options *options,
                                           int upstream, struct weir_reply *reply,
                                           struct weir_subrequest *ret_what);

/*
 * Starts one that nobody waits for, as a client's exchange that is over wanted it: `body` is
 * copied. WEIR_E_SUBREQUEST_LIMIT, _DRAINING, _NO_MEMORY, _LIMIT.
 */
enum weir_err subrequest_start(struct service *service, const struct exchange *origin,
                               const struct http_request *request, const struct subrequest_way *way,
                               struct weir_slice body, struct weir_time deadline);

/*
 * An exchange's request as it came, without what speaks of its body or its connection, in the
 * arena. `serving` may be NULL. WEIR_E_NO_MEMORY, _REQUEST_HEAD_LENGTH.
 */
enum weir_err subrequest_copy(const struct serving *serving, const struct exchange *exchange,
                              struct arena *arena, struct http_request **ret_copy);

#endif
