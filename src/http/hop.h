/* SPDX-License-Identifier: MIT */
#ifndef HTTP_HOP_H
#define HTTP_HOP_H

/*
 * What a proxy takes out of a head and puts in when it passes a message on (RFC 9110 section 7.6).
 * Heads are edited in place; new values are made in the arena.
 */

#include "base/arena.h"
#include "http/framing.h"

struct hop_from {
    struct weir_slice client_address; /* without port; empty: no X-Forwarded-For is added */
    struct weir_slice scheme;         /* "http" or "https" */
};

/* How many fields Connection may name; more are not looked up but refused. */
enum { HOP_NAMES_MAX = 64 };

/*
 * Makes a client's request ready for a server. Out: Connection and all that it names, Keep-Alive,
 * Proxy-Connection, TE but for "trailers" (then "Connection: TE" goes in as RFC 9110 section 10.1.4
 * wants), Transfer-Encoding and Content-Length (put in again from `framing`), Upgrade unless
 * `upgrade` is true (then "Connection: upgrade" goes in as well), HTTP2-Settings, Expect unless it
 * is 100-continue and of HTTP/1.1. Proxy-Authorization is kept: it may be for the server behind.
 *
 * Naming Host, Content-Length, Transfer-Encoding, Via, Forwarded or an X-Forwarded field in
 * Connection takes none of them out: a client could make the server miss what weir or a proxy
 * before it says (RFC 9110 section 7.6.1 forbids to name such fields).
 *
 * In: Host (the authority: RFC 9112 section 3.2.2; empty if the request has none), Via ("1.1 weir"
 * or "1.0 weir", after the version that came), X-Forwarded-For (appended), X-Forwarded-Proto and
 * X-Forwarded-Host (set if absent).
 *
 * WEIR_E_REQUEST_HEAD_LENGTH when the fields do not fit or Connection names too many,
 * WEIR_E_NO_MEMORY when the arena is full; the request is not to be used then.
 */
enum weir_err hop_request(struct http_request *request, const struct http_framing *framing,
                          bool upgrade, const struct hop_from *from, struct arena *arena);

/* Takes out Connection and every field that it names. False: it names too many. */
bool hop_remove_connection(struct fields *fields);

/*
 * Makes a request of our own ready, which begins here: Host, and what frames its body. Errors as
 * hop_request().
 */
enum weir_err hop_own_request(struct http_request *request, const struct http_framing *framing,
                              struct arena *arena);

/*
 * Makes a server's response ready for a client: the same fields out, Via in. Content-Length stays
 * if it is true (not beside Transfer-Encoding). What frames the response on the client's connection
 * is put in by the downstream. `upgrade`: status 101; Upgrade stays and "Connection: upgrade" goes
 * in. WEIR_E_RESPONSE_HEAD_LENGTH when the fields do not fit or Connection names too many.
 */
enum weir_err hop_response(struct http_response *response, bool upgrade, struct arena *arena);

/* Out of trailers goes what must not be in them (RFC 9110 section 6.5.1): framing, routing,
 * Connection. */
void hop_trailers(struct fields *trailers);

#endif
