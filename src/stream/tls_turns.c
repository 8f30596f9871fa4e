/* SPDX-License-Identifier: MIT */
#include "stream/tls_turns.h"

#include "base/check.h"

/* The last step may go beyond it: an RSA signature alone takes longer. */
#define BUDGET weir_span_ns(500000)

void tls_turns_init(struct tls_turns *turns, struct loop *loop)
{
    *turns = (struct tls_turns){.loop = loop};
    wait_queue_init(&turns->waiting);
}

static bool is_spent(struct tls_turns *turns)
{
    if (turns->turn != turns->loop->turn) {
        turns->turn = turns->loop->turn;
        turns->spent = weir_span_ns(0);
    }
    return turns->spent.ns >= BUDGET.ns;
}

/*
 * Behind those who were there before. Who is woken is the next one, and has_next stays true from
 * one to the other, so that nobody comes between.
 */
WEIR_SUSPENDS static enum weir_err become_next(struct tls_turns *turns, struct weir_time deadline)
{
    if (turns->has_next)
        return wait_on(&turns->waiting, deadline);
    turns->has_next = true;
    return WEIR_OK;
}

/* A coroutine that yields runs again in the next turn at the latest. */
WEIR_SUSPENDS static enum weir_err wait_for_turn(struct tls_turns *turns)
{
    enum weir_err err = WEIR_OK;
    while (!err && is_spent(turns))
        err = co_yield ();
    turns->has_next = wait_wake_one(&turns->waiting);
    return err;
}

enum weir_err tls_turns_enter(struct tls_turns *turns, struct weir_time deadline)
{
    if (turns->has_next || is_spent(turns)) {
        TRY(become_next(turns, deadline));
        TRY(wait_for_turn(turns));
    }
    turns->began = turns->loop->ops->now(turns->loop->backend);
    return WEIR_OK;
}

void tls_turns_leave(struct tls_turns *turns)
{
    struct weir_time now = turns->loop->ops->now(turns->loop->backend);
    turns->spent = weir_span_ns(turns->spent.ns + weir_time_between(turns->began, now).ns);
}
