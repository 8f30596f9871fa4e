/* SPDX-License-Identifier: MIT */
#ifndef PROXY_SUBEXCHANGE_H
#define PROXY_SUBEXCHANGE_H

/* The client's side of a subrequest: an exchange without a connection. */

#include "proxy/subrequest.h"

extern const struct exchange_ops subexchange_ops;

/* The answer is passed on to `client`, through a filter that may be NULL. */
void subexchange_pipe(struct subrequest *self, struct exchange *client, weir_pipe_fn *filter,
                      void *filter_owner);

#endif
