/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_DIAL_H
#define UPSTREAM_DIAL_H

/*
 * Makes the stream to a peer: one straight line through connecting, or what a transport does in its
 * place, a tunnel through an HTTP proxy, the PROXY preface, and TLS.
 */

#include "http/head.h"
#include "stream/streams.h"
#include "upstream/peer.h"

/* How a dial went, as far as it came. */
struct dial_story {
    struct weir_span connect; /* all before TLS */
    struct weir_span tls;
    bool connected; /* the socket is; what comes on top may still take its time */
    bool has_tls;   /* it came to a handshake */
    enum http_protocol protocol;
};

/*
 * Connects from `source` (.len 0: the kernel's choice) within the peer's connection_timeout; what
 * comes on top must be over when total_connection_timeout has passed. The address at the other
 * end of a socket is compared with the one that was meant, so that no connection is ever filed
 * under a key that is not its own. With `only_http1` a peer that may speak either is not offered
 * HTTP/2. Sessions as in tls_client_ssl(). WEIR_E_CONNECT_TIMEOUT, _PROXY_REFUSED, _NO_HTTP2,
 * errors of tls_open(), and as sock_dial(). What failed after connecting is told in the log.
 */
WEIR_SUSPENDS enum weir_err dial(struct streams *streams, const struct peer *peer,
                                 const struct addr *source, bool only_http1,
                                 struct tls_sessions *sessions, struct dial_story *ret_story,
                                 struct stream **ret_stream);

#endif
