/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_PEER_H
#define CLIENT_PEER_H

/* What stands behind a program's peer (weir/peer.h). Immutable but for its counts. */

#include "client/trust.h"
#include "upstream/peer.h"
#include <weir/peer.h>

struct weir_peer {
    uint64_t number;                /* never used again in this process */
    _Atomic unsigned users;         /* references of the program's */
    _Atomic unsigned holds;         /* all of them as one, and each of ours */
    struct weir_peer_options given; /* its strings are the peer's own */
    struct peer_options options;    /* what each of its addresses is made of */
    struct weir_slice authority;    /* of requests that have none */
    char *host;                     /* to be resolved; NULL: options.addr is the address */
    uint16_t port;                  /* of `host` */
    struct trust *trust;            /* NULL: nobody, or no TLS */
    struct tls_client *tls;         /* NULL: no TLS */
};

/* Keeps it in memory; from any thread. */
void client_peer_hold(struct weir_peer *peer);
void client_peer_let_go(struct weir_peer *peer);

/* Whether the program still has it. */
bool client_peer_is_wanted(const struct weir_peer *peer);

#endif
