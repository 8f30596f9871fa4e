/* SPDX-License-Identifier: MIT */
#ifndef PROXY_PHASE_H
#define PROXY_PHASE_H

/*
 * The phases of a program's proxy (weir/proxy.h): each is called here, if there is one, and what it
 * leaves behind is looked at. Without a program they do nothing.
 */

#include "proxy/serving.h"

/* *ret_answered: it has answered, and the exchange is over. */
WEIR_SUSPENDS enum weir_err phase_request_filter(struct serving *serving, bool *ret_answered);
/* *ret_peer may be NULL: as the upstream says. */
WEIR_SUSPENDS enum weir_err phase_upstream_peer(struct serving *serving,
                                                struct weir_peer **ret_peer);
/* Also settles how the body goes up, where a filter may change its length. */
WEIR_SUSPENDS enum weir_err phase_upstream_request_filter(struct serving *serving);
WEIR_SUSPENDS enum weir_err phase_connected(struct serving *serving);
/* After a try that failed: what is to be done, which the program may change. */
WEIR_SUSPENDS void phase_failed(struct serving *serving, enum weir_err err,
                                const struct retry_facts *facts, enum retry_verdict *verdict);
/* As phase_request_filter(); also settles how the body goes down. */
WEIR_SUSPENDS enum weir_err phase_response_filter(struct serving *serving, bool *ret_answered);
/* It broke when the client had a part of the response: nothing can be tried again. */
WEIR_SUSPENDS void phase_broke(struct serving *serving, enum weir_err err);
/* After it failed for good. True: the program has answered. */
WEIR_SUSPENDS bool phase_fail_to_proxy(struct serving *serving, enum weir_err err);
WEIR_SUSPENDS void phase_logging(struct serving *serving, enum weir_err err);

/* The body filters; NULL: there is none. */
struct body_filter *phase_body_up(struct serving *serving);
struct body_filter *phase_body_down(struct serving *serving);

#endif
