/* SPDX-License-Identifier: MIT */
#ifndef PROXY_AUTH_H
#define PROXY_AUTH_H

/* `auth_request` of a route: another server decides on a request before its own is asked. */

#include "proxy/serving.h"

/*
 * Asks, where the route wants that. A 2xx lets the request pass, with the fields of the answer that
 * the route names; a 3xx or 4xx is the client's answer, and then *ret_answered is true. WEIR_E_AUTH
 * when there was no decision: the request does not pass.
 */
WEIR_SUSPENDS enum weir_err auth_request(struct serving *serving, bool *ret_answered);

#endif
