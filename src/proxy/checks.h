/* SPDX-License-Identifier: MIT */
#ifndef PROXY_CHECKS_H
#define PROXY_CHECKS_H

/*
 * Health checks of a service's servers: now and then each is asked for a page over a connection of
 * its own, from a pool that keeps none, so that nothing here meets the connections of requests.
 *
 * Between two checks there is a timer and no coroutine.
 */

#include "proxy/roster.h"

#include <stdbool.h>

struct checks;
struct service;

/*
 * `changed` is called, in a coroutine, when a server of an upstream has become well or unwell. It
 * must not suspend.
 * NULL when memory is out.
 */
struct checks *checks_new(struct service *service,
                          void (*changed)(struct service *service, unsigned upstream));
/* Checks these addresses of an upstream from now on, and no others. WEIR_E_NO_MEMORY: not all. */
enum weir_err checks_follow(struct checks *checks, unsigned upstream, const struct roster *roster);
/* Whether it fails its checks; one that is not checked does not. */
bool checks_find_unwell(const struct checks *checks, unsigned upstream,
                        const struct roster_entry *entry);
/* Ends them all; `changed` is not called any more. */
void checks_stop(struct checks *checks);
bool checks_have_ended(const struct checks *checks);
/* They must have ended (checked). Nulls the pointer; NULL is fine. */
void checks_free(struct checks **checks);

#endif
