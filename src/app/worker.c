/* SPDX-License-Identifier: MIT */
#include "app/worker.h"

#include "app/access_log.h"
#include "app/local.h"
#include "app/program.h"
#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>

static const struct snapshot *snapshot_of(const struct worker *worker)
{
    return worker->program->snapshot;
}

static enum weir_err open_service(struct worker *worker, unsigned number)
{
    struct program *program = worker->program;
    struct service_parts parts = {
        .loop = &worker->loop,
        .streams = &worker->streams,
        .worker = worker->number,
        .commons = program->commons[number],
        .family = &worker->family,
    };
    if (program->access_log) {
        parts.log = access_log_record;
        parts.log_owner = access_log_part(program->access_log, worker->number);
    }
    return service_open(&snapshot_of(worker)->services[number], &parts, &worker->services[number]);
}

static enum weir_err open_all(struct worker *worker)
{
    struct program *program = worker->program;
    struct loop_options options = {.ops = program->ops, .worker = worker->number};
    TRY(loop_init(&worker->loop, &options));
    streams_init(&worker->streams, &worker->loop);
    list_init(&worker->family.pools);
    worker->services = calloc(snapshot_of(worker)->service_count, sizeof *worker->services);
    worker->listeners = calloc(program->group_count, sizeof *worker->listeners);
    if (!worker->services || !worker->listeners)
        return WEIR_E_NO_MEMORY;
    for (unsigned i = 0; i < snapshot_of(worker)->service_count; i++)
        TRY(open_service(worker, i));
    for (unsigned i = 0; i < program->group_count; i++)
        program->groups[i].workers[worker->number] =
            &worker->services[program->group_services[i]]->downstream;
    return WEIR_OK;
}

static enum weir_err accept_all(struct worker *worker)
{
    struct program *program = worker->program;
    for (unsigned i = 0; i < program->group_count; i++) {
        struct listener_group *group = &program->groups[i];
        TRY(listener_start(&worker->listeners[i], group, group->workers[worker->number]));
    }
    if (worker->number > 0)
        return WEIR_OK;
    for (unsigned i = 0; i < program->local_count; i++)
        TRY(local_start(program->locals[i], worker));
    return WEIR_OK;
}

static void close_all(struct worker *worker)
{
    struct program *program = worker->program;
    for (unsigned i = 0; worker->number == 0 && i < program->local_count; i++)
        local_stop(program->locals[i]);
    for (unsigned i = 0; worker->services && i < snapshot_of(worker)->service_count; i++)
        service_close(&worker->services[i]);
    free(worker->services);
    free(worker->listeners);
    streams_fini(&worker->streams);
    loop_fini(&worker->loop);
}

static bool services_have_ended(const struct worker *worker)
{
    for (unsigned i = 0; i < snapshot_of(worker)->service_count; i++)
        if (!service_has_ended(worker->services[i]))
            return false;
    return true;
}

static void cancel_services(struct worker *worker)
{
    for (unsigned i = 0; i < snapshot_of(worker)->service_count; i++)
        service_cancel(worker->services[i]);
}

static void on_grace_over(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, grace);
    log_line(LOG_WARN, "worker %u: the grace period is over: canceling what still runs",
             worker->number);
    cancel_services(worker);
}

static void drain(struct mail *mail)
{
    struct worker *worker = container_of(mail, struct worker, drain_mail);
    worker->draining = true;
    for (unsigned i = 0; i < worker->program->group_count; i++)
        listener_stop(&worker->listeners[i]);
    for (unsigned i = 0; i < snapshot_of(worker)->service_count; i++)
        service_drain(worker->services[i]);
    loop_timer_arm(&worker->loop, &worker->grace, snapshot_of(worker)->grace_period);
}

static void stop(struct mail *mail)
{
    cancel_services(container_of(mail, struct worker, stop_mail));
}

static void end(struct mail *mail)
{
    container_of(mail, struct worker, end_mail)->may_end = true;
}

void worker_post_drain(struct worker *worker)
{
    worker->drain_mail.deliver = drain;
    loop_post(&worker->loop, &worker->drain_mail);
}

void worker_post_stop(struct worker *worker)
{
    worker->stop_mail.deliver = stop;
    loop_post(&worker->loop, &worker->stop_mail);
}

void worker_post_end(struct worker *worker)
{
    worker->end_mail.deliver = end;
    loop_post(&worker->loop, &worker->end_mail);
}

/*
 * Before each look at whether something has ended: the last coroutine ends when it is run, and a
 * turn that ran it would go on to wait for an event that nothing is left to cause.
 */
static void run_ready(struct worker *worker)
{
    sched_run(&worker->loop.sched);
}

/*
 * Turns until the worker's services are drained, and then until the last mail has come: other
 * workers and the main thread may still post. On worker 0 the admin page is served all the while.
 */
static void turn_until_end(struct worker *worker)
{
    for (;;) {
        run_ready(worker);
        if (worker->draining && services_have_ended(worker))
            break;
        loop_turn(&worker->loop, WEIR_NEVER);
    }
    loop_timer_disarm(&worker->loop, &worker->grace);
    atomic_fetch_sub(&worker->program->running, 1);
    while (!worker->may_end)
        loop_turn(&worker->loop, WEIR_NEVER);
}

/* Local pages have no grace: their connections are ended, and a few turns let them go. */
static void end_local_services(struct worker *worker)
{
    struct program *program = worker->program;
    for (unsigned i = 0; i < program->local_count; i++)
        local_drain(program->locals[i]);
    struct weir_time end = loop_deadline(&worker->loop, snapshot_of(worker)->shutdown_timeout);
    for (;;) {
        run_ready(worker);
        bool idle = true;
        for (unsigned i = 0; i < program->local_count; i++)
            idle = idle && local_is_idle(program->locals[i]);
        if (idle || !weir_time_before(loop_now(&worker->loop), end))
            return;
        loop_turn(&worker->loop, end);
    }
}

/*
 * The admin page asks the other workers, so it ends while they still turn. And who posts still
 * touches the receiving loop when its mail may have been read already: no loop ends before all have
 * met here.
 */
static void end_together(struct worker *worker)
{
    struct program *program = worker->program;
    if (worker->number == 0) {
        end_local_services(worker);
        for (unsigned i = 1; i < program->worker_count; i++)
            worker_post_end(&program->workers[i]);
    }
    pthread_barrier_wait(&program->barrier);
}

void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct program *program = worker->program;
    timer_init(&worker->grace, on_grace_over);
    worker->start_err = open_all(worker);
    pthread_barrier_wait(&program->barrier);
    pthread_barrier_wait(&program->barrier); /* program->failed is known now */
    if (program->failed)
        return NULL;
    enum weir_err err = accept_all(worker);
    if (err)
        log_line(LOG_ERROR, "worker %u cannot accept: %s", worker->number, weir_err_text(err));
    pthread_barrier_wait(&program->barrier);
    turn_until_end(worker);
    end_together(worker);
    close_all(worker);
    return NULL;
}
