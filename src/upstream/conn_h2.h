/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_CONN_H2_H
#define UPSTREAM_CONN_H2_H

/*
 * What a connection that speaks HTTP/2 has beside the rest of struct conn: its session, how many
 * streams it may have, and whether it is still there.
 *
 *   unsettled   the server has not told its SETTINGS: one stream, and others wait for more
 *   stale       silent for so long, at rest or with streams that wait, that a PING comes before the
 *               next stream
 *   retired     no more streams: the server says so, or it broke; closed when the last has ended
 */

#include "http/h2_wire.h"
#include "upstream/conn.h"

/* After so long a rest it may be gone without a word. */
#define H2_STALE_AFTER weir_span_s(5)

struct conn_h2 {
    struct conn *conn;
    struct h2_wire *wire;
    struct list room_link;     /* in key.shared (registry.h) */
    struct pool_key *hoped_by; /* whose asks wait for what becomes of it; held; NULL: none do */
    bool is_test;              /* ... because it is asked for a sign of life */
    struct timer ping;         /* the next one, or the end of the time for its answer */
    uint64_t pings_noted;       /* answers that were counted */
    unsigned promised; /* of its streams, those whose request is not counted yet */
    unsigned limit;           /* of streams, as it was last */
    struct co *tester;        /* who waits for the answer */
    enum close_reason reason; /* of its retirement */
    bool settled, stale, retired;
    bool roused; /* from its rest, for the stream that was given out last */
    bool goaway_noted, flood_noted;
};

/* Makes a connection that was just dialled speak HTTP/2. WEIR_E_NO_MEMORY: it has no stream then.
 */
enum weir_err conn_h2_begin(struct conn *conn);

/* The end of it, with its stream; `reset` as in stream_close(). */
void conn_h2_end(struct conn *conn, bool reset);

/* Streams that it may have at once now. */
unsigned conn_h2_limit(const struct conn *conn);
/* Whether one more may be opened on it now. */
bool conn_h2_has_room(const struct conn *conn);

/* Nothing more is begun on it. The first reason counts. */
void conn_h2_retire(struct conn *conn, enum close_reason reason);

/*
 * Something speaks for it being gone: it is asked for a sign of life, and has no room until then.
 * Nothing if it is asked already.
 */
void conn_h2_suspect(struct conn *conn);
/* Whether streams wait on it, and nothing has come for long. */
bool conn_h2_is_silent(const struct conn *conn);

/* It comes from its rest: may have become stale there. */
void conn_h2_rouse(struct conn *conn);
/* It goes to rest; if it has been retired meanwhile it is closed. */
void conn_h2_rest(struct conn *conn);

/* What a GOAWAY has shown of when the server ends connections that are in use. */
void conn_h2_learn_end(const struct conn *conn);

/* What has come on it is taken; false, with the reason, when it is of no use any more. */
bool conn_h2_is_alive(struct conn *conn, enum look look, enum close_reason *ret_reason);

/*
 * Asks a stale one for a sign of life. False: there was none within ping_timeout, or it ended; it
 * is retired then. Or the caller was canceled: then it is as it was.
 */
WEIR_SUSPENDS bool conn_h2_test(struct conn *conn);

/* From worker to worker: parts it from its stream, and joins it with another one. */
struct h2_wire *conn_h2_leave(struct conn *conn);
enum weir_err conn_h2_join(struct conn *conn, struct h2_wire **wire);

#endif
