/* SPDX-License-Identifier: MIT */
#include "co/wait.h"

#include "base/check.h"
#include "co/park.h"

enum weir_err co_wait(struct weir_time deadline)
{
    struct co *self = co_running();
    struct sched *sched = self->sched;
    if (self->canceled)
        return WEIR_E_CANCELED;
    if (!weir_time_before(sched->now, deadline)) {
        /* Behind all that is ready; co_wake() still turns the timeout into a wake. */
        co_ready(self, WEIR_E_TIMEOUT);
        return co_park(self);
    }
    self->state = CO_PARKED;
    if (!weir_time_is_never(deadline))
        timer_arm(&sched->timers, &self->timer, deadline);
    return co_park(self);
}

void co_wait_firm(void)
{
    struct co *self = co_running();
    self->firm = true;
    self->state = CO_PARKED;
    enum weir_err woken_by = co_park(self);
    must(woken_by == WEIR_OK);
    self->firm = false;
}

enum weir_err co_yield(void)
{
    struct co *self = co_running();
    if (self->canceled)
        return WEIR_E_CANCELED;
    co_ready(self, WEIR_OK);
    return co_park(self);
}

/* True if the wait that `co` is in will return WEIR_OK. */
static bool wake(struct co *co)
{
    must(co->magic == CO_MAGIC);
    if (co->state == CO_PARKED)
        co_ready(co, WEIR_OK);
    else if (co->state == CO_READY && co->woken_by == WEIR_E_TIMEOUT)
        co->woken_by = WEIR_OK; /* timed out but has not run since: what it waits for is there */
    return co->woken_by == WEIR_OK;
}

void co_wake(struct co *co)
{
    if (co)
        wake(co);
}

enum weir_err co_sleep(struct weir_span span)
{
    struct weir_time deadline = weir_time_after(co_running()->sched->now, span);
    enum weir_err err;
    do
        err = co_wait(deadline);
    while (err == WEIR_OK);
    return err == WEIR_E_TIMEOUT ? WEIR_OK : err;
}

struct waiter {
    struct list link;
    struct co *co;
};

void wait_queue_init(struct wait_queue *queue)
{
    list_init(&queue->waiters);
}

enum weir_err wait_on(struct wait_queue *queue, struct weir_time deadline)
{
    struct waiter waiter = {.co = co_running()};
    list_push_back(&queue->waiters, &waiter.link);
    enum weir_err err = co_wait(deadline);
    list_remove(&waiter.link);
    return err;
}

bool wait_wake_one(struct wait_queue *queue)
{
    for (struct list *link; (link = list_pop_front(&queue->waiters));)
        /* Not one that was canceled and has not left yet: the wake would be lost with it. */
        if (wake(container_of(link, struct waiter, link)->co))
            return true;
    return false;
}

void wait_wake_all(struct wait_queue *queue)
{
    while (wait_wake_one(queue))
        ;
}
