/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_ERRAND_H
#define UPSTREAM_ERRAND_H

/*
 * A question from one worker's part of a pool to another's, and its way back with the answer. It
 * is the asker's memory from beginning to end; on its way and there, the other's to write.
 *
 *   take   an idle connection of this key, if you have one
 *   evict  close the one that rests longest with you (of this key, if one is named)
 */

#include "io/mailbox.h"
#include "upstream/move.h"
#include <weir/suspends.h>

struct ask;
struct census;
struct conn;
struct peer;
struct pool;
struct pool_key;

struct errand {
    struct mail mail;
    struct pool *from, *to;
    struct census *census;               /* of which key; NULL: of any */
    void (*back)(struct errand *errand); /* at `from`, when it has returned */
    struct ask *ask;                     /* a take: who waits for it; NULL: nobody any more */
    struct pool_key *key;                /* a take: the asker's */
    struct peer *peer;                   /* a take: the asker's */
    struct parcel parcel;                /* a take: what it brings */
    struct conn *conn;                   /* an evict for a place: who needs it */
    unsigned tries;
    bool of_process; /* an evict: of any service */
    bool frees_port; /* an evict: with a reset, since a FIN would keep the port in TIME_WAIT */
    bool granted;    /* an evict: one was closed */
    bool has_place;  /* ... and its place came along */
    struct co *waiting;
    bool returned;              /* for `waiting` */
    struct census *held_census; /* an evict: referred to */
};

/* Asks the worker with the most idle connections of the ask's key for one. False: nobody has any.
 */
bool errand_take(struct ask *ask);

/*
 * Looks for a place for a connection that could be kept, which is the errand's then: it rests, or
 * is closed, when the oldest one of all has gone.
 */
void errand_find_place(struct conn *conn);

/*
 * Makes room for one more dial to this key's address, or in this process, by closing an idle
 * connection; waits until it is closed. False: there was none.
 */
WEIR_SUSPENDS bool errand_make_port(struct pool *pool, struct pool_key *key);
WEIR_SUSPENDS bool errand_make_descriptor(struct pool *pool);
/* As errand_make_port(), for who does not wait; `any`: one of this key will do as well. */
void errand_evict_other(struct pool *pool, struct pool_key *key, bool any);

#endif
