/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_REGISTRY_H
#define UPSTREAM_REGISTRY_H

/*
 * Connections of HTTP/2 that are in use and have room for more streams, of each key of a part. They
 * stay with their worker; what has no stream left goes to rest like any other, and is not here.
 */

#include "upstream/conn.h"

/*
 * A connection of this key with room, alive as far as the look tells; NULL: there is none. The
 * caller takes a stream of it.
 */
struct conn *registry_take(struct pool_key *key, enum look look);

/* Something has changed at the connection: it enters, or leaves. Nothing if it is HTTP/1. */
void registry_note(struct conn *conn);

/* Gives the streams that it has left to who waits for them. */
void registry_serve(struct conn *conn);

/* One more session on a connection that is in use, and one less. */
void registry_add_stream(struct conn *conn);
void registry_drop_stream(struct conn *conn);

#endif
