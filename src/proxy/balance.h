/* SPDX-License-Identifier: MIT */
#ifndef PROXY_BALANCE_H
#define PROXY_BALANCE_H

/*
 * Which server of an upstream gets the next request: smooth weighted round robin, which spreads a
 * heavy server's turns among the others' instead of giving them in a row. A server that refused a
 * connection is left out for a while, unless all are. One worker's state; no clock of its own.
 */

#include "upstream/peer.h"
#include <weir/time.h>

#include <stdbool.h>

struct balance_server {
    struct peer *peer;
    unsigned weight;
    int64_t credit;
    struct weir_time held_until; /* left out before that */
    uint64_t tried_by;           /* the pick that chose it last: see balance_pick() */
};

struct balance {
    struct balance_server *servers;
    unsigned count;
};

/*
 * `request` is a number that is new for each request and the same for its further tries: servers
 * that it was given already come last. Never NULL.
 */
struct balance_server *balance_pick(struct balance *balance, struct weir_time now,
                                    uint64_t request);

/* Leaves a server out until `until`. */
void balance_hold(struct balance_server *server, struct weir_time until);

#endif
