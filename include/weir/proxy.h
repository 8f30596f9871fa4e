/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROXY_H
#define WEIR_PROXY_H

/*
 * The proxy: a request goes through these phases, in this order. Each is optional, runs in the
 * request's coroutine and may suspend.
 *
 *   request_filter             the request is here; it may be answered, and is done then
 *   upstream_peer              where it goes; again for each try on another server
 *   upstream_request_filter    what is sent there, after what a proxy takes out and puts in
 *   connected_to_upstream      there is a session | fail_to_connect: there is none
 *   request_body_filter        each piece on its way up (beside the phases below)
 *   response_filter            the final head has come
 *   response_body_filter       each piece on its way down
 *   error_while_proxy          it broke after a session was had
 *   fail_to_proxy              it has failed for good
 *   logging                    always, at the end
 *
 * request_filter, response_filter and fail_to_proxy may answer; elsewhere that is WEIR_E_FILTER.
 *
 * A phase that returns an error ends the exchange with it, as if it had come from the network: the
 * client gets the error's status if no head was sent yet, else the response is cut. WEIR_E_FILTER
 * is for an error of one's own (500). When the client goes away, or the grace period is over, the
 * request's coroutine is canceled: what the last phases call that suspends then returns at once.
 */

#include <weir/server.h>

WEIR_BEGIN

struct weir_proxy_ops {
    const char *name; /* for the log */

    WEIR_SUSPENDS enum weir_err (*request_filter)(struct weir_exchange *exchange);
    /*
     * *ret_peer is borrowed: it must live as long as the exchange. Left NULL: the upstream that
     * weir_exchange_use_upstream() named, or the service's first.
     */
    WEIR_SUSPENDS enum weir_err (*upstream_peer)(struct weir_exchange *exchange,
                                                 struct weir_peer **ret_peer);
    WEIR_SUSPENDS enum weir_err (*upstream_request_filter)(struct weir_exchange *exchange,
                                                           struct weir_request *request);
    WEIR_SUSPENDS enum weir_err (*connected_to_upstream)(struct weir_exchange *exchange,
                                                         const struct weir_connection *connection);
    /*
     * Both may set *retry, which says at first what weir would do: again, or not. A request that
     * cannot be sent again, since a part of its body or of a response is gone, is not.
     */
    WEIR_SUSPENDS void (*fail_to_connect)(struct weir_exchange *exchange, enum weir_err err,
                                          bool *retry);
    WEIR_SUSPENDS void (*error_while_proxy)(struct weir_exchange *exchange, enum weir_err err,
                                            bool reused, bool *retry);
    /*
     * What goes on may be changed: `bytes` may point elsewhere, to memory that stays until the next
     * call, or be empty (dropped), but `last` stays. Where the length changes no Content-Length may
     * be left: weir takes it out where a body filter is, unless weir_exchange_keep_length() says
     * that it stays true.
     */
    WEIR_SUSPENDS enum weir_err (*request_body_filter)(struct weir_exchange *exchange,
                                                       struct weir_piece *piece);
    WEIR_SUSPENDS enum weir_err (*response_filter)(struct weir_exchange *exchange,
                                                   struct weir_response *response);
    WEIR_SUSPENDS enum weir_err (*response_body_filter)(struct weir_exchange *exchange,
                                                        struct weir_piece *piece);
    /* May answer by itself; else the error's own answer is given. */
    WEIR_SUSPENDS enum weir_err (*fail_to_proxy)(struct weir_exchange *exchange, enum weir_err err);
    /* `err`: how it ended; WEIR_OK. */
    WEIR_SUSPENDS void (*logging)(struct weir_exchange *exchange, enum weir_err err);
};

/* In upstream_peer or before: an upstream of the service by its name. WEIR_E_NO_ROUTE: none has it.
 */
WEIR_API enum weir_err weir_exchange_use_upstream(struct weir_exchange *exchange, const char *name);
/* In response_filter or upstream_request_filter: the body filter does not change the length. */
WEIR_API void weir_exchange_keep_length(struct weir_exchange *exchange);
/*
 * In response_filter: receives the response's body into memory now, up to `limit_bytes`; what is
 * passed on to the client afterwards is this, without trailers. Its connection is free then: for a
 * subrequest that wants this very one, else when response_filter returns. Valid as long as the
 * exchange. What was read of the response's head before has to be read again. WEIR_E_TOO_LARGE:
 * what was received goes on to the client all the same. WEIR_E_FILTER: there is none to be taken.
 */
WEIR_SUSPENDS WEIR_API enum weir_err weir_exchange_take_body(struct weir_exchange *exchange,
                                                             uint64_t limit_bytes,
                                                             struct weir_slice *ret_body);
/* How the upstream's connection came, from connected_to_upstream on; false before. */
WEIR_API bool weir_exchange_connection(const struct weir_exchange *exchange,
                                       struct weir_connection *ret_connection);
/* How often a server was asked for so far. */
WEIR_API unsigned weir_exchange_attempts(const struct weir_exchange *exchange);

WEIR_END

#endif
