/* SPDX-License-Identifier: MIT */
#ifndef CO_PARK_H
#define CO_PARK_H

/* Between co.c, which switches, and wait.c, which says when. Nobody else parks. */

#include "co/co.h"
#include <weir/suspends.h>

enum { CO_MAGIC = 0x636f2121 };

/*
 * Leaves the running coroutine for the loop; returns what it was made ready with. Its state must be
 * CO_PARKED, or CO_READY if it was enqueued already.
 */
WEIR_SUSPENDS enum weir_err co_park(struct co *self);

/* Enqueues a coroutine that is parked, or about to; its wait will return `woken_by`. */
void co_ready(struct co *co, enum weir_err woken_by);

/* The running coroutine, checked to be one. */
struct co *co_running(void);

#endif
