/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_DIALLING_H
#define UPSTREAM_DIALLING_H

/*
 * A dial that is under way, in a coroutine of its own, so that it outlives who wanted it: then its
 * connection goes to the next who waits, or to the pool.
 */

#include "upstream/ask.h"
#include "upstream/dial.h"

struct dialling {
    struct list link;     /* in pool.dials */
    struct list ask_link; /* in ask.dials */
    struct pool *pool;
    struct pool_key *key; /* held */
    struct peer *peer;    /* referred to */
    struct ask *ask;      /* who waits for it; NULL: nobody */
    struct co *co;        /* while it connects */
    bool only_http1;
    struct dial_story story;
};

/*
 * Begins to dial; the gate has counted it already, and is told how it ended. `ask` may be NULL:
 * for the pool. WEIR_E_NO_MEMORY, _LIMIT: it did not begin.
 */
enum weir_err dialling_start(struct pool *pool, struct pool_key *key, struct peer *peer,
                             struct ask *ask);

/* Its peer is slow or failed: others are preferred for fail_timeout, or until it has connected. */
void dialling_hold_peer(struct dialling *dialling);

/* Who wanted it does not wait any more. */
void dialling_disown(struct dialling *dialling);

/* The pool drains: what nobody waits for is given up. */
void dialling_drain(struct pool *pool);

#endif
