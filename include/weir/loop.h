/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LOOP_H
#define WEIR_LOOP_H

/*
 * A loop belongs to one thread and runs coroutines: functions that read from top to bottom and give
 * way to each other only in calls that are marked WEIR_SUSPENDS. Those are called in a coroutine
 * and nowhere else (checked). A coroutine's stack is small: keep no local over a few KiB.
 *
 * Errors of what suspends: WEIR_E_TIMEOUT when the deadline passes, WEIR_E_CANCELED when the
 * coroutine is canceled; a canceled one returns from what it called, and cleans up as ever.
 */

#include <weir/api.h>
#include <weir/err.h>
#include <weir/suspends.h>
#include <weir/time.h>

WEIR_BEGIN

struct weir_loop;
struct weir_scope;

typedef void weir_fn(void *argument);

/* What stands for the kernel. */
enum weir_io { WEIR_IO_AUTO, WEIR_IO_URING, WEIR_IO_EPOLL };

struct weir_loop_options {
    enum weir_io io;         /* WEIR_IO_AUTO: what the environment's WEIR_IO says (epoll, uring);
                                else io_uring where the kernel has all that is wanted */
    unsigned coroutines_max; /* at once */
};

WEIR_API void weir_loop_options_init(struct weir_loop_options *options);

/*
 * Makes a loop of the calling thread, which has one at most (checked). `options` may be NULL: the
 * defaults. The caller's until weir_loop_free(). WEIR_E_NO_MEMORY, _NO_DESCRIPTORS, _IO.
 */
WEIR_API enum weir_err weir_loop_new(const struct weir_loop_options *options,
                                     struct weir_loop **ret_loop);
/*
 * Cancels every coroutine that is left, turns until they have ended, and frees. Connectors must be
 * gone (checked). Nulls the pointer; NULL is fine. Not in a coroutine.
 */
WEIR_API void weir_loop_free(struct weir_loop **loop);

/* Turns until no coroutine of weir_spawn() is left, or until weir_loop_stop(). Not in a coroutine.
 */
WEIR_API void weir_loop_run(struct weir_loop *loop);
/* Makes weir_loop_run() return soon. From any thread. */
WEIR_API void weir_loop_stop(struct weir_loop *loop);

/*
 * For a program that has a loop already (libuv, libev, GLib): a descriptor that is readable
 * whenever weir_loop_step() has something to do, a deadline that has passed included. To be watched
 * for reading as long as the loop lives; it is the loop's. WEIR_E_NO_DESCRIPTORS.
 */
WEIR_API enum weir_err weir_loop_fd(struct weir_loop *loop, int *ret_descriptor);
/* Does what there is to do, without waiting. Not in a coroutine. Call it once after weir_spawn(),
 * or anything else here that ends a wait, from outside too. */
WEIR_API void weir_loop_step(struct weir_loop *loop);
/* Whether a coroutine of weir_spawn() is left. */
WEIR_API bool weir_loop_is_busy(const struct weir_loop *loop);

/*
 * All in one: a loop, fn(argument) in a coroutine of it, until that and all it has spawned have
 * ended. `options` may be NULL. Errors as weir_loop_new() and weir_spawn().
 */
WEIR_API enum weir_err weir_run(const struct weir_loop_options *options, weir_fn *fn,
                                void *argument);

/* The loop of this coroutine, or of this thread. Checked to exist. */
WEIR_API struct weir_loop *weir_loop_here(void);

/*
 * A new coroutine that calls fn(argument); it is enqueued, not run, and is nobody's child.
 * WEIR_E_LIMIT, _NO_MEMORY.
 */
WEIR_API enum weir_err weir_spawn(struct weir_loop *loop, weir_fn *fn, void *argument);

/* The time of this turn: read once a turn. */
WEIR_API struct weir_time weir_now(void);
/* The point that lies `span` from now. */
WEIR_API struct weir_time weir_in(struct weir_span span);

/* Lets others run for that long. WEIR_E_CANCELED. */
WEIR_SUSPENDS WEIR_API enum weir_err weir_sleep(struct weir_span span);
/* Lets everybody who is ready run first. WEIR_E_CANCELED. */
WEIR_SUSPENDS WEIR_API enum weir_err weir_yield(void);

enum weir_ready { WEIR_READABLE = 1, WEIR_WRITABLE = 2 };

/*
 * Waits until a descriptor, which is the caller's and no other coroutine waits for, is ready for
 * one of `wanted` (bits of enum weir_ready) or has failed. WEIR_E_TIMEOUT, _CANCELED, _NO_MEMORY,
 * _IO.
 */
WEIR_SUSPENDS WEIR_API enum weir_err weir_wait_fd(int descriptor, unsigned wanted,
                                                  struct weir_time deadline);

/*
 * Children that cannot outlive their parent's block: whoever opened a scope joins it before it
 * leaves, on every way out. WEIR_E_NO_MEMORY.
 */
WEIR_API enum weir_err weir_scope_open(struct weir_scope **ret_scope);
/* A child of this scope. Errors as weir_spawn(). */
WEIR_API enum weir_err weir_scope_spawn(struct weir_scope *scope, weir_fn *fn, void *argument);
/* Cancels every child: their next waits return WEIR_E_CANCELED. */
WEIR_API void weir_scope_cancel(struct weir_scope *scope);
/*
 * Waits until every child has ended, frees the scope and nulls the pointer. A caller that is
 * canceled meanwhile cancels its children, waits on and gets WEIR_E_CANCELED.
 */
WEIR_SUSPENDS WEIR_API enum weir_err weir_scope_join(struct weir_scope **scope);

WEIR_END

#endif
