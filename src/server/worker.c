/* SPDX-License-Identifier: MIT */
#include "server/worker.h"

#include "base/check.h"
#include "base/log.h"
#include "server/local.h"
#include "server/workers.h"

#include <stdlib.h>

/* --- Beginning ------------------------------------------------------------------------------- */

static enum weir_err open_next_service(struct worker *worker)
{
    const struct workers_options *options = &worker->workers->options;
    const struct workers_service *service = &worker->workers->services[worker->service_count];
    struct service_parts parts = {
        .loop = &worker->loop.loop,
        .streams = &worker->loop.streams,
        .worker = worker->number,
        .commons = service->commons,
        .family = &worker->loop.family,
    };
    if (options->log) {
        parts.log = options->log;
        parts.log_owner = options->log_part(options->owner, worker->number);
    }
    TRY(service_open(service->options, &parts, &worker->services[worker->service_count]));
    worker->service_count++;
    return WEIR_OK;
}

static enum weir_err open_all(struct worker *worker)
{
    struct workers *workers = worker->workers;
    struct loop_options options = {.ops = workers->options.ops, .worker = worker->number};
    TRY(client_loop_init(&worker->loop, &options));
    worker->has_loop = true;
    worker->services = calloc(workers->service_count + 1, sizeof *worker->services);
    worker->listeners = calloc(workers->address_count + 1, sizeof *worker->listeners);
    if (!worker->services || !worker->listeners)
        return WEIR_E_NO_MEMORY;
    while (worker->service_count < workers->service_count)
        TRY(open_next_service(worker));
    for (unsigned i = 0; i < workers->address_count; i++) {
        struct workers_address *address = workers->addresses[i];
        address->group.workers[worker->number] = &worker->services[address->service]->downstream;
    }
    return WEIR_OK;
}

static enum weir_err accept_all(struct worker *worker)
{
    struct workers *workers = worker->workers;
    for (unsigned i = 0; i < workers->address_count; i++) {
        struct listener_group *group = &workers->addresses[i]->group;
        TRY(listener_start(&worker->listeners[i], group, group->workers[worker->number]));
    }
    if (worker->number > 0)
        return WEIR_OK;
    for (unsigned i = 0; i < workers->local_count; i++)
        TRY(local_start(workers->locals[i], worker));
    return WEIR_OK;
}

WEIR_SUSPENDS static void run_started(void *argument)
{
    const struct service *service = argument;
    struct worker *worker = container_of(service->loop, struct worker, loop.loop);
    service->options->started(service->options->door, worker->number);
    workers_count_started(worker->workers, -1);
}

/* Once all accept. */
static void start_services(struct worker *worker)
{
    for (unsigned i = 0; i < worker->service_count; i++) {
        struct service *service = worker->services[i];
        if (!service->options->started)
            continue;
        enum weir_err err = scope_spawn(&worker->started, "started", run_started, service);
        if (!err)
            continue;
        log_line(LOG_ERROR, "worker %u cannot start %s: %s", worker->number, service->options->name,
                 weir_err_text(err));
        workers_count_started(worker->workers, -1);
    }
}

/* --- What the others ask for ----------------------------------------------------------------- */

static void cancel_all(struct worker *worker)
{
    for (unsigned i = 0; i < worker->service_count; i++)
        service_cancel(worker->services[i]);
    scope_cancel(&worker->loop.spawned);
}

static void on_grace_over(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, grace);
    log_line(LOG_WARN, "worker %u: the grace period is over: canceling what still runs",
             worker->number);
    cancel_all(worker);
}

static void drain(struct mail *mail)
{
    struct worker *worker = container_of(mail, struct worker, drain_mail);
    worker->draining = true;
    for (unsigned i = 0; worker->listeners && i < worker->workers->address_count; i++)
        listener_stop(&worker->listeners[i]);
    for (unsigned i = 0; i < worker->service_count; i++)
        service_drain(worker->services[i]);
    scope_cancel(&worker->started);
    loop_timer_arm(&worker->loop.loop, &worker->grace, worker->workers->options.grace_period);
}

static void stop(struct mail *mail)
{
    cancel_all(container_of(mail, struct worker, stop_mail));
}

static void end(struct mail *mail)
{
    container_of(mail, struct worker, end_mail)->may_end = true;
}

static void post(struct worker *worker, struct mail *mail, void (*deliver)(struct mail *mail))
{
    if (!worker->has_loop)
        return;
    mail->deliver = deliver;
    loop_post(&worker->loop.loop, mail);
}

void worker_post_drain(struct worker *worker)
{
    post(worker, &worker->drain_mail, drain);
}

void worker_post_stop(struct worker *worker)
{
    post(worker, &worker->stop_mail, stop);
}

void worker_post_end(struct worker *worker)
{
    post(worker, &worker->end_mail, end);
}

/* --- Turning, and the end -------------------------------------------------------------------- */

static bool requests_have_ended(const struct worker *worker)
{
    for (unsigned i = 0; i < worker->service_count; i++)
        if (!downstream_is_empty(&worker->services[i]->downstream))
            return false;
    return scope_is_empty(&worker->started);
}

static bool services_have_ended(const struct worker *worker)
{
    for (unsigned i = 0; i < worker->service_count; i++)
        if (!service_has_ended(worker->services[i]))
            return false;
    return scope_is_empty(&worker->loop.spawned);
}

/*
 * Whether all of the services is over. What the program has spawned for itself serves requests, so
 * it goes after them; and it uses the pools, so it goes before those. One that is canceled may
 * spawn another.
 */
static bool has_ended(struct worker *worker)
{
    if (!worker->draining || !requests_have_ended(worker))
        return false;
    scope_cancel(&worker->loop.spawned);
    return services_have_ended(worker);
}

/*
 * Turns until the worker's services are drained, and then until the last mail has come: other
 * workers and the owner may still post. On worker 0 the local pages are served all the while.
 *
 * The look at whether something has ended lies between the halves of a turn: the last coroutine
 * ends when it is run, and nothing is left then to cause an event that could be waited for.
 */
static void turn_until_end(struct worker *worker)
{
    struct loop *loop = &worker->loop.loop;
    for (;;) {
        loop_run_ready(loop);
        if (has_ended(worker))
            break;
        loop_wait(loop, WEIR_NEVER);
    }
    loop_timer_disarm(loop, &worker->grace);
    workers_count_running(worker->workers, -1);
    while (!worker->may_end)
        loop_turn(loop, WEIR_NEVER);
}

static bool locals_are_idle(const struct workers *workers)
{
    for (unsigned i = 0; i < workers->local_count; i++)
        if (!local_is_idle(workers->locals[i]))
            return false;
    return true;
}

/* Local pages have no grace: their connections are ended, and a few turns let them go. */
static void end_local_services(struct worker *worker)
{
    struct workers *workers = worker->workers;
    struct loop *loop = &worker->loop.loop;
    for (unsigned i = 0; i < workers->local_count; i++)
        local_drain(workers->locals[i]);
    struct weir_time end = loop_deadline(loop, workers->options.shutdown_timeout);
    for (;;) {
        loop_run_ready(loop);
        if (locals_are_idle(workers) || !weir_time_before(loop_now(loop), end))
            return;
        loop_wait(loop, end);
    }
}

/*
 * A local page may ask the other workers, so it ends while they still turn. And who posts still
 * touches the receiving loop when its mail may have been read already: no loop ends before all have
 * met here.
 */
static void end_together(struct worker *worker)
{
    struct workers *workers = worker->workers;
    if (worker->number == 0 && worker->has_loop) {
        end_local_services(worker);
        for (unsigned i = 1; i < workers->thread_count; i++)
            worker_post_end(&workers->all[i]);
    }
    pthread_barrier_wait(&workers->barrier);
}

static void close_all(struct worker *worker)
{
    struct workers *workers = worker->workers;
    for (unsigned i = 0; worker->number == 0 && i < workers->local_count; i++)
        local_stop(workers->locals[i]);
    for (unsigned i = 0; i < worker->service_count; i++)
        service_close(&worker->services[i]);
    free(worker->services);
    free(worker->listeners);
    if (worker->has_loop)
        client_loop_fini(&worker->loop);
}

void *worker_run(void *argument)
{
    struct worker *worker = argument;
    struct workers *workers = worker->workers;
    workers_await_start(workers);
    timer_init(&worker->grace, on_grace_over);
    scope_init(&worker->started);
    worker->start_err = open_all(worker);
    pthread_barrier_wait(&workers->barrier);
    pthread_barrier_wait(&workers->barrier); /* workers->failed is known now */
    enum weir_err err = workers->failed ? WEIR_OK : accept_all(worker);
    if (err)
        log_line(LOG_ERROR, "worker %u cannot accept: %s", worker->number, weir_err_text(err));
    pthread_barrier_wait(&workers->barrier);
    if (!workers->failed)
        start_services(worker);
    if (worker->has_loop)
        turn_until_end(worker);
    else
        workers_count_running(workers, -1);
    end_together(worker);
    close_all(worker);
    return NULL;
}
