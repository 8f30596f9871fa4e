/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_IDLE_H
#define UPSTREAM_IDLE_H

/*
 * Connections at rest: no coroutine, no buffer, a watch on the stream and a timer. What ends their
 * rest by itself (the server's end, bytes, time) closes them here; for the rest see pool.h.
 */

#include "upstream/conn.h"

/* Once for each connection, before it rests for the first time. */
void idle_init(struct conn *conn);

/* Whether it may rest at all; else why it is closed. */
bool idle_may_rest(const struct conn *conn, enum close_reason *ret_reason);

/* Lays a connection to rest: its key's first to be taken, the pool's last. A place is taken. */
void idle_enter(struct conn *conn);
/* Ends its rest, and gives its place back. */
void idle_leave(struct conn *conn);

/* How many of this key's can be given out. */
void idle_tell_census(struct pool_key *key, const struct pool *pool);

/* Looks at a connection that nobody reads from. False, with the reason, when it must be closed. */
bool idle_is_alive(struct conn *conn, enum look look, enum data_place place,
                   enum close_reason *ret_reason);

/* Its server has ended its rest: something to learn from. Closes it. */
void idle_end(struct conn *conn, enum close_reason reason);

/* The look at checkout: LOOK_WELL or, for what must not meet a dead one, LOOK_SURELY. */
bool idle_passes_checkout(struct conn *conn, enum look look, enum close_reason *ret_reason);

/* Bytes that nobody had asked for: counted by place, logged escaped. */
void idle_note_unexpected(const struct conn *conn, enum data_place place, struct weir_slice bytes);

#endif
