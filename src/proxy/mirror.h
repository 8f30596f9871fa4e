/* SPDX-License-Identifier: MIT */
#ifndef PROXY_MIRROR_H
#define PROXY_MIRROR_H

/*
 * `mirror` of a route: a copy of each request goes to a second upstream, in the background, after
 * the client has its answer; what comes back is dropped. A body that was not kept whole is not
 * sent.
 */

#include "proxy/serving.h"

static inline const struct mirror_options *mirror_options_of(const struct serving *serving)
{
    return serving->route ? serving->route->mirror : NULL;
}

/* Where the request's body is to be kept on its way; NULL: there is no mirror. */
struct kept *mirror_begin(struct serving *serving);

/* When the exchange is over. */
void mirror_send(struct serving *serving);

#endif
