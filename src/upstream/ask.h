/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_ASK_H
#define UPSTREAM_ASK_H

/*
 * Somebody who found no idle connection and waits for one: for another worker's, for a freed one,
 * or for one that is dialled for it, whichever comes first. What comes second goes to the pool.
 *
 * Where its server's name stands for several addresses, one that is slow to connect gets company
 * from the next, and one that fails is followed by it at once (RFC 8305, "happy eyeballs").
 *
 * An ask stands in its key's list from beginning to end, so that a connection that becomes free
 * here finds it. In the gate's queue it stands while it may not dial; and while it dials it stands
 * by there, for what becomes free at another worker.
 */

#include "base/list.h"
#include "io/mailbox.h"
#include "upstream/move.h"
#include "upstream/stats.h"
#include <weir/err.h>
#include <weir/suspends.h>

struct co;
struct peer;
struct pool;
struct pool_key;

/* What a gate's answer brings. */
enum ask_answer {
    ANSWER_DIAL, /* room to dial, counted already */
    ANSWER_CONN, /* the parcel has a connection, of another worker */
    ANSWER_NONE, /* a connection was on its way, and has died */
};

/* Where an ask stands at the gate until its answer comes. */
enum ask_place { AT_NO_GATE, IN_QUEUE, STANDING_BY };

struct ask {
    struct list key_link;    /* in key.asks, oldest first */
    struct list gate_link;   /* in gate.asks or census.standing_by, under the gate's lock */
    struct ask *next_let_in; /* of those taken off the queue together, until they are told */
    uint64_t ticket;         /* its place there: who came before it has a smaller one */
    struct pool *pool;
    struct pool_key *key;
    struct peer *peer;
    struct co *co;
    struct weir_time asked, dial_began;
    bool wants_fresh;      /* no connection will do that was used before */
    bool only_http1;       /* ... or that speaks HTTP/2 */
    bool leads, follows;   /* others wait for its dial; it waits for another's (share.h) */
    struct list dials;     /* its own that are under way, by dialling.ask_link */
    unsigned peers_tried;  /* of its peer and that one's siblings: so many were dialled */
    struct weir_time slow; /* when the last one of its dials is, and gets company; WEIR_NEVER */
    bool waited_for_tls;   /* the last one has connected, and was given time for the rest */
    struct errand *errand; /* to another worker, for a connection; NULL: none is under way */
    unsigned errand_count; /* so far */
    enum ask_place place;
    bool abandoned;    /* nobody waits any more: frees itself with the answer */
    struct conn *conn; /* what came; in use, and the ask's */
    enum weir_err err; /* or why nothing did */
    enum wait_result result;
    struct mail mail; /* the gate's answer */
    enum ask_answer answer;
    struct parcel parcel;
};

/* What is asked for. */
struct ask_options {
    struct pool_key *key;
    struct peer *peer;
    bool wants_fresh, only_http1;
    struct weir_time deadline;
};

/* How it went: for the log; and for who asks again, because what it got was dead. */
struct ask_story {
    uint64_t ticket; /* its place in the queue, which it keeps; 0: it had none */
    enum wait_result result;
    struct weir_time began; /* to dial; WEIR_NEVER: there was no dial of its own */
};

/*
 * Waits for a connection, in use and the caller's then, or a stream of one: of the peer or, when it
 * was dialled, of one of its siblings. *story is empty, or that of the ask before, and tells of
 * this one when there is no error. Errors: WEIR_E_REFUSED, _UNREACHABLE, _CONNECT_TIMEOUT,
 * _NO_PORTS, _NO_DESCRIPTORS, _QUEUE_FULL, _QUEUE_TIMEOUT, _PEER_DRAINED, _NO_MEMORY, _LIMIT, _IO,
 * _PERMISSION, _ADDRESS_IN_USE, _CANCELED.
 */
WEIR_SUSPENDS enum weir_err ask_for_conn(struct pool *pool, const struct ask_options *options,
                                         struct ask_story *story, struct conn **ret_conn);

/* Whether a connection of this worker, in use, is what it asks for. */
bool ask_may_have(const struct ask *ask, const struct conn *conn);
/*
 * Gives it a connection, in use and the ask's from now on, or a stream of one that others use as
 * well. It must not be settled (checked).
 */
void ask_give(struct ask *ask, struct conn *conn);
/* It was taken from its gate, at its own worker, which is all the answer it gets. */
void ask_left_gate(struct ask *ask);
/* Whether it has a connection, or will get none. */
bool ask_is_settled(const struct ask *ask);
/* Tells it that nothing will come: its peer was drained, or memory is out. */
void ask_fail(struct ask *ask, enum weir_err err);
/* The same for one that does not lead. */
void ask_fail_now(struct ask *ask, enum weir_err err);
/* One of its dials, which it does not have any more, came to nothing. */
void ask_dial_failed(struct ask *ask, enum weir_err err);
/* Sends it the gate's answer: from any worker, by who took it from there. */
void ask_answer(struct ask *ask, enum ask_answer answer);

#endif
