/* SPDX-License-Identifier: MIT */
#ifndef CO_CO_H
#define CO_CO_H

/*
 * Coroutines: a stack of its own each, switched only by the scheduler of its worker, never moved.
 *
 *   ready    in the run queue            parked   in co_wait(), nobody's turn
 *   running  the one that is on          ended    its function has returned; it is recycled by the
 *                                                 scheduler, never on its own stack
 *
 * Waking only enqueues: who wakes goes on, the woken one runs later in the same or the next turn.
 * Cancelling means that every later wait of that coroutine returns WEIR_E_CANCELED at once; nobody
 * ends a coroutine from outside.
 */

#include "base/list.h"
#include "co/stack.h"
#include "co/switch.h"
#include "co/timer.h"
#include <weir/err.h>
#include <weir/time.h>

#include <stdbool.h>
#include <stdint.h>

typedef void co_fn(void *argument);

enum co_state { CO_READY, CO_RUNNING, CO_PARKED, CO_ENDED };

struct scope;

struct co {
    uint32_t magic;
    enum co_state state;
    struct list run_link;  /* in sched.ready */
    struct list all_link;  /* in sched.all, for debuggers and for the end */
    struct list scope_link; /* in scope.children, if it has a scope */
    switch_point point;
    void *stack_base;
    void *sanitizer;       /* what co/san.h keeps for it */
    void *fake_stack;
    struct timer timer;    /* for the deadline of its wait */
    enum weir_err woken_by; /* what its wait will return */
    bool canceled, firm;   /* firm: its present wait cannot be canceled */
    const char *name;      /* a literal */
    uint64_t id;           /* counts up in its scheduler */
    struct scope *scope;
    struct sched *sched;
    co_fn *fn;
    void *argument;
};

/* One worker's coroutines. */
struct sched {
    struct list ready;
    struct list all;
    struct timers timers;
    struct stacks stacks;
    struct weir_time now; /* set by whoever drives it, once a turn */
    struct co *running;   /* NULL while the loop itself runs */
    switch_point loop_point;
    void *loop_sanitizer, *loop_fake_stack;
    const void *loop_stack_base;
    size_t loop_stack_bytes;
    uint64_t next_id;
    uint64_t switch_count;
    size_t co_count;
};

/* At most `co_limit` coroutines. Makes the scheduler this thread's: one per thread. */
void sched_init(struct sched *sched, struct weir_time now, size_t co_limit);
/* No coroutine may be left (checked). */
void sched_fini(struct sched *sched);

/* This thread's scheduler; checked to exist. The only thread-local of the tree is behind it. */
struct sched *sched_here(void);

/*
 * Makes `sched`, or none, this thread's, and returns which was. For a thread that turns several
 * schedulers by turns, as a simulation does. Never called in a coroutine (checked).
 */
struct sched *sched_enter(struct sched *sched);

/*
 * A new coroutine that will call fn(argument); it is enqueued, not run. `name` is a literal.
 * `scope` may be NULL: then it is nobody's child and must end by itself. WEIR_E_LIMIT,
 * WEIR_E_NO_MEMORY. *ret_co (may be NULL) is valid until the coroutine ends.
 */
enum weir_err co_spawn(struct sched *sched, struct scope *scope, const char *name, co_fn *fn,
                       void *argument, struct co **ret_co);

/*
 * Runs what is ready, and what that makes ready, until nothing is; but at most SCHED_RUN_SWITCHES
 * coroutines, so that those which keep waking each other cannot keep the loop from its events.
 * Whoever is left runs first the next time. Called by the loop only, which polls without waiting
 * while the scheduler is not idle.
 */
enum { SCHED_RUN_SWITCHES = 256 };
void sched_run(struct sched *sched);

static inline bool sched_is_idle(const struct sched *sched)
{
    return list_is_empty(&sched->ready);
}

/* The running coroutine; NULL in the loop. */
struct co *co_self(void);

/* Makes every later wait of `co` return WEIR_E_CANCELED, and ends its present one so. */
void co_cancel(struct co *co);

/*
 * Takes back the cancellation of the running coroutine: for one that its own child has canceled to
 * end a wait, once that has been noticed.
 */
void co_uncancel(void);

/* Prints one line per coroutine to standard error: id, state, name. For check_set_reporter(). */
void co_report(void);

#endif
