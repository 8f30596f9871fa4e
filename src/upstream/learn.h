/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_LEARN_H
#define UPSTREAM_LEARN_H

/*
 * What was learned of when the peer behind one key closes connections by itself: after how long a
 * rest, and after how many requests. Who knows that retires a connection a little earlier, and no
 * request meets the peer's close on its way.
 *
 * Pure: the caller tells what it saw and when, and locks. How it is estimated stands in learn.c.
 *
 * Vocabulary
 *   close     the peer ended a connection; its age is how long that had rested.
 *   survivor  a connection that was good for another request after a rest, or a probe that stayed
 *             as long as it was meant to.
 *   probe     a connection that rests beyond the safe age and is given out no more. Since all
 *             others are retired before the peer closes them, only a probe can still confirm what
 *             is known, or show that it is no longer so.
 */

#include <weir/time.h>

#include <stdbool.h>
#include <stdint.h>

enum { LEARN_RUN = 8 };

struct learn_close {
    struct weir_time at;
    struct weir_span age;
    struct weir_span reach; /* the longest rest that was survived since then; no less than `age` */
};

struct learn {
    /* The last closes of resting connections that may belong together, the oldest first. */
    struct learn_close run[LEARN_RUN];
    unsigned run_count;
    /* What is believed: the ages that agree, how many they were, how many did not fit since then.
     */
    struct weir_span low, high; /* WEIR_FOREVER: nothing */
    unsigned agreeing, misfits;
    struct weir_time idle_confirmed;

    /* The last `end_count` connections ended after just so many requests each. */
    uint64_t end_requests;
    unsigned end_count;
    uint64_t max_requests; /* 0: none is believed */
    struct weir_time max_confirmed;
};

void learn_init(struct learn *learn);

/* The peer ended an idle connection that had rested for `idle_age` and carried `requests`. */
void learn_closed(struct learn *learn, struct weir_time now, struct weir_span idle_age,
                  uint64_t requests);

/* The peer ended a connection, or announced its end, right with the response to the last of
 * `requests`. */
void learn_closed_after(struct learn *learn, struct weir_time now, uint64_t requests);

/* A connection that has carried `requests` by now survived a rest of `idle_age`; or a probe did. */
void learn_survived(struct learn *learn, struct weir_time now, struct weir_span idle_age,
                    uint64_t requests);

/*
 * Most survivors tell nothing new, and learn_survived() is not needed for them: it is when the rest
 * was longer than the one, or the requests were more than the other. WEIR_FOREVER, UINT64_MAX:
 * never. They change only when the learner is told something.
 */
struct weir_span learn_news_rest(const struct learn *learn);
uint64_t learn_news_requests(const struct learn *learn);

/* The rest after which the peer closes, about; WEIR_FOREVER: nothing is known. */
struct weir_span learn_idle_timeout(const struct learn *learn, struct weir_time now);

/* How long a connection may rest and still be given out; WEIR_FOREVER: nothing is known. */
struct weir_span learn_safe_rest(const struct learn *learn, struct weir_time now);

/* How many requests the peer takes on one connection; 0: nothing is known. */
uint64_t learn_max_requests(const struct learn *learn, struct weir_time now);

/* Whether a connection that reaches the safe age should stay as a probe, if there is none yet. */
bool learn_wants_probe(const struct learn *learn, struct weir_time now);

/*
 * The age at which a probe has stayed long enough: it proves that what is known is wrong, and
 * learn_survived() is told of it. WEIR_FOREVER: nothing is known.
 */
struct weir_span learn_probe_age(const struct learn *learn, struct weir_time now);

#endif
