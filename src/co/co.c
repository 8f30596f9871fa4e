/* SPDX-License-Identifier: MIT */
/*
 * A coroutine's struct lies at the top of its own stack: getting a stack gets it all, and the first
 * cache lines it touches are neighbours. So it is gone when the stack is released, which only the
 * loop does, after the coroutine has left it for good.
 */
#include "co/co.h"

#include "base/check.h"
#include "co/park.h"
#include "co/san.h"
#include "co/scope.h"
#include "co/wait.h"

#include <inttypes.h>
#include <stdio.h>

static _Thread_local struct sched *thread_sched;

/*
 * Never inlined: within one function a compiler may keep the address of a thread-local, and looking
 * for it in one place keeps the tree to one.
 */
__attribute__((noinline)) struct sched *sched_here(void)
{
    struct sched *sched = thread_sched;
    must(sched);
    return sched;
}

struct sched *sched_enter(struct sched *sched)
{
    struct sched *before = thread_sched;
    must(!before || !before->running);
    thread_sched = sched;
    return before;
}

void sched_init(struct sched *sched, struct weir_time now, size_t co_limit)
{
    must(!thread_sched);
    *sched = (struct sched){.now = now, .loop_sanitizer = san_fiber_here()};
    list_init(&sched->ready);
    list_init(&sched->all);
    timers_init(&sched->timers, now);
    stacks_init(&sched->stacks, co_limit);
    thread_sched = sched;
}

void sched_fini(struct sched *sched)
{
    must(thread_sched == sched);
    must(sched->co_count == 0 && list_is_empty(&sched->all));
    timers_fini(&sched->timers);
    stacks_fini(&sched->stacks);
    thread_sched = NULL;
}

struct co *co_self(void)
{
    return sched_here()->running;
}

struct co *co_running(void)
{
    struct co *self = sched_here()->running;
    must(self && self->magic == CO_MAGIC);
    return self;
}

static size_t stack_bytes(const struct co *co)
{
    return (size_t)((const char *)co - (const char *)co->stack_base);
}

/* From a coroutine to the loop; `fake_stack` as for san_leave_stack(). */
static void jump_to_loop(struct co *self, void **fake_stack)
{
    struct sched *sched = self->sched;
    san_leave_stack(fake_stack, sched->loop_stack_base, sched->loop_stack_bytes);
    san_leave_fiber(sched->loop_sanitizer);
    switch_jump(&self->point, sched->loop_point);
}

static void arrive_in_co(struct co *self)
{
    struct sched *sched = self->sched;
    san_arrive_stack(self->fake_stack, &sched->loop_stack_base, &sched->loop_stack_bytes);
}

enum weir_err co_park(struct co *self)
{
    jump_to_loop(self, &self->fake_stack);
    arrive_in_co(self);
    return self->woken_by;
}

void co_ready(struct co *co, enum weir_err woken_by)
{
    struct sched *sched = co->sched;
    timer_disarm(&sched->timers, &co->timer);
    co->woken_by = woken_by;
    co->state = CO_READY;
    list_push_back(&sched->ready, &co->run_link);
}

static void entry(void *argument)
{
    struct co *self = argument;
    arrive_in_co(self);
    self->fn(self->argument);
    self->state = CO_ENDED;
    jump_to_loop(self, NULL);
    check_fail("an ended coroutine stays ended", __FILE__, __LINE__);
}

static void time_out(struct timer *timer)
{
    co_ready(container_of(timer, struct co, timer), WEIR_E_TIMEOUT);
}

enum weir_err co_spawn(struct sched *sched, struct scope *scope, const char *name, co_fn *fn,
                       void *argument, struct co **ret_co)
{
    void *base;
    TRY(stack_get(&sched->stacks, &base));
    size_t aligned_bytes = (sizeof(struct co) + 63) & ~(size_t)63;
    struct co *co = (struct co *)((char *)base + STACK_BYTES - aligned_bytes);
    *co = (struct co){
        .magic = CO_MAGIC,
        .stack_base = base,
        .sanitizer = san_fiber_new(name),
        .name = name,
        .id = ++sched->next_id,
        .scope = scope,
        .sched = sched,
        .fn = fn,
        .argument = argument,
    };
    timer_init(&co->timer, time_out);
    list_init(&co->scope_link);
    if (scope)
        list_push_back(&scope->children, &co->scope_link);
    list_push_back(&sched->all, &co->all_link);
    sched->co_count++;
    co->point = switch_make(base, stack_bytes(co), entry, co);
    co_ready(co, WEIR_OK);
    if (ret_co)
        *ret_co = co;
    return WEIR_OK;
}

/* Runs on the loop's stack, when the coroutine has left its own for the last time. */
static void recycle(struct co *co)
{
    struct sched *sched = co->sched;
    struct scope *scope = co->scope;
    must(!timer_is_armed(&co->timer));
    list_remove(&co->all_link);
    list_remove(&co->scope_link);
    if (scope && scope_is_empty(scope))
        co_wake(scope->joiner);
    sched->co_count--;
    co->magic = 0;
    san_fiber_free(co->sanitizer);
    stack_release(&sched->stacks, co->stack_base);
}

static void resume(struct sched *sched, struct co *co)
{
    const void *from_base;
    size_t from_bytes;
    must(co->magic == CO_MAGIC && co->state == CO_READY);
    co->state = CO_RUNNING;
    sched->running = co;
    sched->switch_count++;
    san_leave_stack(&sched->loop_fake_stack, co->stack_base, stack_bytes(co));
    san_leave_fiber(co->sanitizer);
    switch_jump(&sched->loop_point, co->point);
    san_arrive_stack(sched->loop_fake_stack, &from_base, &from_bytes);
    sched->running = NULL;
    if (co->state == CO_ENDED)
        recycle(co);
}

void sched_run(struct sched *sched)
{
    must(thread_sched == sched && !sched->running);
    struct list *link;
    for (int left = SCHED_RUN_SWITCHES; left > 0 && (link = list_pop_front(&sched->ready)); left--)
        resume(sched, container_of(link, struct co, run_link));
}

void co_cancel(struct co *co)
{
    co->canceled = true;
    if (co->state == CO_PARKED && !co->firm)
        co_ready(co, WEIR_E_CANCELED);
}

void co_report(void)
{
    static const char *const state_names[] = {
        [CO_READY] = "ready",
        [CO_RUNNING] = "running",
        [CO_PARKED] = "parked",
        [CO_ENDED] = "ended",
    };
    struct sched *sched = thread_sched;
    if (!sched)
        return;
    list_each(link, &sched->all) {
        const struct co *co = container_of(link, struct co, all_link);
        fprintf(stderr, "weir: coroutine %" PRIu64 " %s %s%s\n", co->id, state_names[co->state],
                co->name, co->canceled ? " (canceled)" : "");
    }
}

void co_uncancel(void)
{
    co_running()->canceled = false;
}
