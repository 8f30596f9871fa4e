/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_RETRY_H
#define UPSTREAM_RETRY_H

/*
 * May a request that failed be tried again, and where? docs/reuse.md as a ladder: the first
 * reason that holds decides. Pure.
 */

#include "http/head.h"
#include <weir/err.h>

enum retry_verdict {
    RETRY_FRESH,           /* again, on a new connection to the same server */
    RETRY_NEXT,            /* again, on another server */
    RETRY_AGAIN,           /* again, on any connection to the same server: it did nothing of it */
    RETRY_NOT_HEAD_SENT,   /* the client has a response head already */
    RETRY_NOT_RECEIVED,    /* a byte of a response has come */
    RETRY_NOT_FINAL,       /* this error does not go away by trying again */
    RETRY_NOT_FRESH_BROKE, /* the connection was new: no stale reuse, and it may have been processed
                            */
    RETRY_NOT_BODY_GONE,   /* the body is no longer whole */
    RETRY_NOT_IDEMPOTENT,  /* it may have been processed, and twice is not once */
    RETRY_NOT_ATTEMPTS,    /* tried often enough */
    RETRY_NOT_BUDGET,      /* too many others have been tried again */
};

struct retry_facts {
    enum weir_err err;
    bool connected; /* a session was had; else connecting failed */
    bool head_sent;
    bool any_received;
    bool any_sent; /* a byte of the request was given to the connection */
    bool reused;
    bool body_whole; /* what was sent of the body can be sent again */
    bool has_idempotency_key;
    bool non_idempotent; /* the operator allows it */
    enum http_method method;
    unsigned attempts; /* further tries so far */
    unsigned attempts_max;
    bool only_http2; /* is spoken with the server */
    unsigned unprocessed; /* of its tries so far, those of which a server said that */
    bool budget_spent;    /* the upstream's budget is; see budget.h */
};

/* A server that refuses streams without end is taken at its word in the end. */
enum { UNPROCESSED_MAX = 8 };

/* Whether a request that a server may have processed may be sent again (RFC 9110 section 9.2.2). */
bool retry_may_repeat(const struct retry_facts *facts);

enum retry_verdict retry_decide(const struct retry_facts *facts);

static inline bool retry_is_allowed(enum retry_verdict verdict)
{
    return verdict == RETRY_FRESH || verdict == RETRY_NEXT || verdict == RETRY_AGAIN;
}

#endif
