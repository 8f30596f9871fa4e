/* SPDX-License-Identifier: MIT */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

/* Which upstream a request goes to: the first route that fits, by host and path prefix. Pure. */

#include "http/head.h"
#include "proxy/options.h"

/*
 * NULL when no route fits. A host fits in any case and without its port; "*.example.com" fits every
 * name below example.com. A path fits segment by segment: "/v1" fits /v1, /v1/x and /v1?q, not
 * /v10.
 */
const struct route_options *route_match(const struct service_options *service,
                                        const struct http_request *request);

#endif
