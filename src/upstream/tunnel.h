/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_TUNNEL_H
#define UPSTREAM_TUNNEL_H

/* A tunnel through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6). */

#include "stream/stream.h"
#include "upstream/peer.h"

enum { TUNNEL_WHY_SIZE = 160 };

/*
 * Asks the proxy at the other end of `stream` for a tunnel to `target` ("host:port"); from then on
 * the stream is the server's. WEIR_E_PROXY_REFUSED with the reason in `ret_why`; _TIMEOUT, _RESET,
 * _RESPONSE_MALFORMED and its kin, _LIMIT, _CANCELED, _NO_MEMORY.
 */
WEIR_SUSPENDS enum weir_err tunnel_open(struct stream *stream, const struct peer_proxy *proxy,
                                        const char *target, struct weir_time deadline,
                                        char ret_why[static TUNNEL_WHY_SIZE]);

#endif
