/* SPDX-License-Identifier: MIT */
#ifndef CO_WAIT_H
#define CO_WAIT_H

/*
 * The one place that suspends. Who waits states a condition somewhere another one can see, calls
 * co_wait() and looks at the condition again; who changes it calls co_wake().
 */

#include "co/co.h"
#include <weir/suspends.h>

/*
 * Parks the running coroutine until it is woken (WEIR_OK), the deadline passes (WEIR_E_TIMEOUT) or
 * it is canceled (WEIR_E_CANCELED; at once if it was already). A deadline in the past still lets
 * others run first.
 */
WEIR_SUSPENDS enum weir_err co_wait(struct weir_time deadline);

/*
 * Parks until woken, whatever happens: for what must be seen to its end, like an operation that the
 * kernel still holds.
 */
WEIR_SUSPENDS void co_wait_firm(void);

/* Lets everyone else who is ready run first. WEIR_E_CANCELED if it is canceled. */
WEIR_SUSPENDS enum weir_err co_yield(void);

/* Enqueues a parked coroutine; nothing if it is not parked, or NULL. */
void co_wake(struct co *co);

/* Waits for a span of time. */
WEIR_SUSPENDS enum weir_err co_sleep(struct weir_span span);

/*
 * A queue of waiting coroutines, first come first served. Zero members cost nothing.
 */
struct wait_queue {
    struct list waiters;
};

void wait_queue_init(struct wait_queue *queue);
static inline bool wait_queue_is_empty(const struct wait_queue *queue)
{
    return list_is_empty(&queue->waiters);
}
/* As co_wait(), but also woken through the queue; leaves the queue however it ends. */
WEIR_SUSPENDS enum weir_err wait_on(struct wait_queue *queue, struct weir_time deadline);
/* Wakes the one that has waited longest; false when nobody waits. */
bool wait_wake_one(struct wait_queue *queue);
void wait_wake_all(struct wait_queue *queue);

#endif
