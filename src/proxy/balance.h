/* SPDX-License-Identifier: MIT */
#ifndef PROXY_BALANCE_H
#define PROXY_BALANCE_H

/*
 * Which server of an upstream gets the next request. One worker's state; no clock of its own.
 *
 *   round robin        smooth and weighted: a heavy server's turns are spread among the others'
 *                      instead of coming in a row
 *   least connections  the one with the fewest sessions for its weight, over all workers; among
 *                      equals, round robin
 *   random             the less busy of two that chance picks
 *   consistent hash    the one that the request's hash finds on a ring, and the next one on it when
 *                      that is left out
 *
 * A server where a request would have to wait, since max_connections is reached, comes behind one
 * that has room. One that could not be connected to is left out for a while, unless all are; one
 * that fails its health checks is left out until it passes them.
 */

#include "base/rand.h"
#include "proxy/hash_ring.h"
#include "proxy/options.h"
#include "proxy/warm.h"
#include "upstream/peer.h"
#include <weir/time.h>

#include <stdatomic.h>
#include <stdbool.h>

/* One address of a server. */
struct balance_server {
    struct peer *peer;
    unsigned number; /* of its server: index in upstream_options.servers */
    unsigned weight;
    bool unwell; /* it fails its health checks */
    int64_t credit;
    unsigned rank;                  /* of the present pick */
    const _Atomic unsigned *active; /* sessions with it, of all workers; NULL: not counted */
    struct warm_notes warm;
};

struct balance {
    enum balance_policy policy;
    struct balance_server *servers;
    unsigned count;
    unsigned server_count; /* whose addresses they are */
    struct hash_ring ring; /* of a consistent hash */
    struct rand rand;
};

/* Whom one request was given: at first nobody, {0}. So many are remembered, the last ones. */
enum { BALANCE_TRIED_MAX = 16 };

struct balance_tried {
    const struct peer *peers[BALANCE_TRIED_MAX]; /* to compare, no more: they may be gone */
    unsigned count;
};

/*
 * Picks, and notes it in `tried`: whom the request was given already come last. `hash` is what a
 * consistent hash goes by. NULL: there is no server, or all fail their health checks.
 */
struct balance_server *balance_pick(struct balance *balance, struct weir_time now,
                                    struct balance_tried *tried, uint64_t hash);

#endif
