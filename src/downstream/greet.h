/* SPDX-License-Identifier: MIT */
#ifndef DOWNSTREAM_GREET_H
#define DOWNSTREAM_GREET_H

/*
 * What comes on a client's connection before its first request: a PROXY preface, TLS, and the
 * choice between HTTP/1 and HTTP/2.
 */

#include "downstream/client.h"

/*
 * As the listener's options want it. Afterwards the client's stream is the one that requests come
 * on, with what has come of them in its wire; who speaks plainly where TLS is spoken is to be told
 * so (client->complaint). CLIENT_NEXT_REQUEST, CLIENT_HTTP2; otherwise how the connection ends.
 */
WEIR_SUSPENDS enum client_next client_greet(struct client *client);

/* Nothing came in time. */
void client_note_silence(struct client *client);

/* Whether anything comes before the first request. */
static inline bool client_must_greet(const struct listener_options *options)
{
    return options->tls || options->expects_preface || options->speaks_h2;
}

#endif
