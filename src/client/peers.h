/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_PEERS_H
#define CLIENT_PEERS_H

/*
 * What a program's peers (weir/peer.h), which are every thread's, are in one worker's part of one
 * pool: a struct peer for each address that the peer's name has.
 */

#include "base/map.h"
#include "io/resolve.h"
#include "upstream/pool.h"
#include <weir/peer.h>

struct peers_options {
    struct pool *pool;
    const char *upstream;             /* how logs and metrics call them all */
    unsigned upstream_number;         /* which of the pool's stats counts them */
    struct resolver_options resolver; /* who is asked for names */
};

struct peers {
    struct peers_options options;
    struct map map;            /* by number of the weir_peer */
    struct list all;           /* the same; looked at longest ago first */
    struct resolver *resolver; /* NULL: there was no name yet */
};

void peers_init(struct peers *peers, const struct peers_options *options);
/* The pool is drained, and no session is left. Nobody waits for a name (checked). */
void peers_fini(struct peers *peers);

/*
 * The peer to connect to, the first of a ring of siblings where a name has several addresses. It
 * stays as long as somebody refers to it (peer_ref()). Suspends while a name is asked for.
 * WEIR_E_DNS_ERROR, _DNS_TIMEOUT, _NO_MEMORY, _CANCELED.
 */
WEIR_SUSPENDS enum weir_err peers_get(struct peers *peers, struct weir_peer *peer,
                                      struct weir_time deadline, struct peer **ret_peer);

#endif
