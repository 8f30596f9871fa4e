/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_MOVE_H
#define UPSTREAM_MOVE_H

/*
 * A connection goes from one worker's part to another's: taken from its loop here (which waits for
 * what the kernel still holds), carried by mail as a parcel, made a connection again there. It has
 * one owner at every moment. If anything came on it meanwhile it was no good, and is closed here.
 */

#include "http/head.h"
#include "stream/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct h2_wire;
struct peer;
struct pool;
struct pool_key;

struct parcel {
    bool full;
    struct stream_parcel stream;
    uint64_t id, requests, max_requests;
    struct weir_time born, released;
    struct weir_span max_age, rest_for;
    enum http_protocol protocol;
    struct h2_wire *wire; /* of HTTP/2, without its stream; NULL: HTTP/1 */
};

typedef void move_sent_fn(struct parcel *parcel, void *owner);

/*
 * Takes a connection that is in use by nobody out of its part and fills the parcel; then calls
 * `sent`, later, in a coroutine. The parcel is left empty when the connection was no good, or there
 * was no memory; it is closed then.
 */
void move_out(struct conn **conn, struct parcel *parcel, move_sent_fn *sent, void *owner);

/* Makes it a connection of this part, in use; NULL when that failed, and it is closed. */
struct conn *move_in(struct pool *pool, struct pool_key *key, struct peer *peer,
                     struct parcel *parcel);

#endif
