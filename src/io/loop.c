/* SPDX-License-Identifier: MIT */
#include "io/loop.h"

#include "base/check.h"

#include <stdatomic.h>

enum {
    CO_LIMIT_DEFAULT = 100000,
    STEP_TURNS = 16,
    RECEIVES_IN_A_ROW = 4, /* without a wait, until the others get their turn */
};

enum weir_err loop_init(struct loop *loop, const struct loop_options *options)
{
    *loop = (struct loop){.ops = options->ops, .worker = options->worker};
    iobufs_init(&loop->bufs);
    arena_cache_init(&loop->arenas);
    spares_init(&loop->spares);
    mailbox_init(&loop->mailbox);
    atomic_init(&loop->stopping, false);
    enum weir_err err = loop->ops->open(loop, &options->sizes, &loop->backend);
    if (err) {
        iobufs_fini(&loop->bufs); /* which io_uring had filled before it failed */
        return err;
    }
    sched_init(&loop->sched, loop->ops->now(loop->backend),
               options->co_limit ? options->co_limit : CO_LIMIT_DEFAULT);
    return WEIR_OK;
}

void loop_fini(struct loop *loop)
{
    mailbox_deliver(&loop->mailbox);
    sched_run(&loop->sched);
    loop->ops->close(&loop->backend);
    sched_fini(&loop->sched);
    arena_cache_fini(&loop->arenas);
    spares_fini(&loop->spares);
    iobufs_fini(&loop->bufs);
}

/* The time was read when the turn's work began; before the first turn others were busy. */
static void note_turn(struct loop *loop)
{
    struct weir_span busy = weir_time_between(loop->sched.now, loop->ops->now(loop->backend));
    if (loop->turn > 0 && busy.ns > (int64_t)stat_read(&loop->longest_turn_ns))
        stat_set(&loop->longest_turn_ns, (uint64_t)busy.ns);
    loop->turn++;
}

void loop_run_ready(struct loop *loop)
{
    sched_run(&loop->sched);
    note_turn(loop);
}

/* Something can be done at once: nobody is to be waited for. */
static bool has_work(struct loop *loop)
{
    return !sched_is_idle(&loop->sched) || !mailbox_is_empty(&loop->mailbox);
}

void loop_wait(struct loop *loop, struct weir_time until)
{
    until =
        has_work(loop) ? loop_now(loop) : weir_time_min(until, timers_next(&loop->sched.timers));
    loop->ops->poll(loop->backend, until);
    mailbox_deliver(&loop->mailbox);
    timers_expire(&loop->sched.timers, loop->sched.now);
}

void loop_turn(struct loop *loop, struct weir_time until)
{
    loop_run_ready(loop);
    loop_wait(loop, until);
}

bool loop_step(struct loop *loop)
{
    loop_read_clock(loop); /* the program may have waited for long */
    for (unsigned i = 0; i < STEP_TURNS; i++) {
        loop_turn(loop, loop_now(loop));
        if (!has_work(loop))
            return false;
    }
    return true;
}

void loop_run(struct loop *loop)
{
    while (!atomic_load_explicit(&loop->stopping, memory_order_relaxed))
        loop_turn(loop, WEIR_NEVER);
    sched_run(&loop->sched);
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->stopping, true, memory_order_relaxed);
    loop->ops->interrupt(loop->backend);
}

void loop_post(struct loop *loop, struct mail *mail)
{
    if (mailbox_push(&loop->mailbox, mail))
        loop->ops->interrupt(loop->backend);
}

bool loop_receives_enough(struct loop *loop)
{
    if (loop->receiving_switch != loop->sched.switch_count) {
        loop->receiving_switch = loop->sched.switch_count;
        loop->receives = 0;
    }
    return ++loop->receives > RECEIVES_IN_A_ROW;
}

struct loop *loop_here(void)
{
    return container_of(sched_here(), struct loop, sched);
}
