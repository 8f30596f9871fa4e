/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_DIAL_H
#define UPSTREAM_DIAL_H

/* Makes the stream to a peer: one straight line through connecting and, later, what comes on top.
 */

#include "stream/socket.h"
#include "upstream/peer.h"

/*
 * Connects from `source` (.len 0: the kernel's choice) within the peer's connection_timeout and
 * before `deadline`. The address at the other end is compared with the peer's, so that no
 * connection ever enters the pool under a false key.
 */
WEIR_SUSPENDS enum weir_err dial(struct socket_streams *streams, const struct peer *peer,
                                 const struct addr *source, struct weir_time deadline,
                                 struct stream **ret_stream);

#endif
