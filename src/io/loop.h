/* SPDX-License-Identifier: MIT */
#ifndef IO_LOOP_H
#define IO_LOOP_H

/*
 * One worker's loop. A turn: run what is ready; wait for the world until the next timer; deliver
 * what it brought, the mail, and the timers that are due. Everything here belongs to the loop's
 * thread but loop_post() and loop_stop().
 */

#include "base/arena.h"
#include "base/spares.h"
#include "co/co.h"
#include "io/backend.h"
#include "io/mailbox.h"

struct loop {
    struct sched sched;
    const struct backend_ops *ops;
    struct backend *backend;
    struct iobufs bufs;
    struct io_stats stats;
    struct arena_cache arenas;
    struct spares spares; /* for libraries */
    struct mailbox mailbox;
    uint64_t turn;
    uint64_t receiving_switch; /* sched.switch_count at the last receive, and how many since */
    unsigned receives;
    _Atomic bool stopping;
    unsigned worker;            /* its number, from 0 */
    stat_count longest_turn_ns; /* busy; others may read it */
};

struct loop_options {
    const struct backend_ops *ops;
    unsigned worker;
    size_t co_limit; /* coroutines at once; 0: 100 000 */
    struct io_sizes sizes;
};

/* Called on the thread that will run it. WEIR_E_NO_MEMORY, _NO_DESCRIPTORS, _IO. */
enum weir_err loop_init(struct loop *loop, const struct loop_options *options);
/* Every coroutine, buffer and socket must be gone (checked). */
void loop_fini(struct loop *loop);

/* Turns until loop_stop(); then what is ready is run once more. */
void loop_run(struct loop *loop);
/* One turn that waits `until` at the latest. */
void loop_turn(struct loop *loop, struct weir_time until);
/* Its two halves: runs what is ready; waits, and delivers. */
void loop_run_ready(struct loop *loop);
void loop_wait(struct loop *loop, struct weir_time until);
/*
 * For a program that waits with a loop of its own: turns without waiting, as long as there is
 * something to do but not for ever. True: there is more.
 */
bool loop_step(struct loop *loop);
/* Makes loop_run() return. From any thread. */
void loop_stop(struct loop *loop);

/* Sends a mail to a loop. From any thread. */
void loop_post(struct loop *loop, struct mail *mail);

/* This thread's loop (checked). */
struct loop *loop_here(void);

/* Counts a receive. True: the running coroutine has received so often without a wait that others
 * should run first. */
bool loop_receives_enough(struct loop *loop);

/*
 * For backends, between waiting and delivering what came: what is delivered happens now, and not
 * when the loop began to wait, which may be long ago.
 */
static inline void loop_read_clock(struct loop *loop)
{
    loop->sched.now = loop->ops->now(loop->backend);
}

/* The time of this turn: read once after the world was waited for. */
static inline struct weir_time loop_now(const struct loop *loop)
{
    return loop->sched.now;
}

static inline struct weir_time loop_deadline(const struct loop *loop, struct weir_span span)
{
    return weir_span_is_forever(span) ? WEIR_NEVER : weir_time_after(loop->sched.now, span);
}

static inline void loop_timer_arm(struct loop *loop, struct timer *timer, struct weir_span span)
{
    timer_arm(&loop->sched.timers, timer, loop_deadline(loop, span));
}

static inline void loop_timer_disarm(struct loop *loop, struct timer *timer)
{
    timer_disarm(&loop->sched.timers, timer);
}

#endif
