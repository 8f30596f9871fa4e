/* SPDX-License-Identifier: MIT */
#ifndef PROXY_SERVERS_H
#define PROXY_SERVERS_H

/*
 * The servers of one upstream as one worker has them: a peer for each address. A change of
 * addresses is a new roster: what is new becomes a peer, what is gone is drained, what stays keeps
 * all that is known of it.
 */

#include "proxy/roster.h"
#include <weir/suspends.h>
#include <weir/time.h>

struct peer;
struct peer_options;
struct pool;
struct service;
struct service_options;
struct upstream_part;

/*
 * What the peer of an address of an upstream is made of. `turn` is its place among the others,
 * which take turns with the source addresses. False: none of those is of the address's family.
 */
bool servers_peer_options(const struct service_options *service, unsigned upstream,
                          const struct roster_entry *entry, unsigned turn,
                          struct peer_options *ret_options);

/*
 * A peer that the pool has adopted, and that lasts until it is drained and nobody refers to it any
 * more. WEIR_E_NO_MEMORY.
 */
enum weir_err servers_new_peer(struct pool *pool, const struct peer_options *options,
                               struct peer **ret_peer);

/* From now on the upstream has these. On WEIR_E_NO_MEMORY it has those it had before. */
enum weir_err servers_follow(struct service *service, unsigned upstream,
                             const struct roster *roster);

/* At the end of the service: they are gone, and so are their peers when nobody uses them. */
void servers_clear(struct service *service, unsigned upstream);

/*
 * Waits until there is a server, while a name is asked for that never had an answer. The name's
 * error, WEIR_E_DNS_TIMEOUT at the deadline, WEIR_E_CANCELED.
 */
WEIR_SUSPENDS enum weir_err servers_await(struct upstream_part *part, struct weir_time deadline);

#endif
