/* SPDX-License-Identifier: MIT */
#include "app/program.h"

#include "app/access_log.h"
#include "app/admin.h"
#include "app/origin.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

static unsigned count_cpus(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return 1;
    int count = CPU_COUNT(&cpus);
    return count < 1 ? 1 : (unsigned)count;
}

static unsigned choose_worker_count(const struct snapshot *snapshot)
{
    unsigned count = snapshot->threads ? snapshot->threads : count_cpus();
    return count > LISTENER_WORKERS_MAX ? LISTENER_WORKERS_MAX : count;
}

static enum weir_err listen_on(struct program *program, const struct listener_options *options,
                               unsigned service)
{
    struct listener_group *group = &program->groups[program->group_count];
    char text[ADDR_TEXT_SIZE];
    enum weir_err err = listener_group_open(group, program->ops, NULL, options);
    if (err) {
        log_line(LOG_ERROR, "cannot listen on %s: %s", addr_print(&options->addr, text),
                 weir_err_text(err));
        return err;
    }
    group->worker_count = program->worker_count;
    program->group_services[program->group_count] = service;
    program->group_count++;
    log_line(LOG_NOTICE, "service %s listens on %s", program->snapshot->services[service].name,
             addr_print(&group->options.addr, text));
    return WEIR_OK;
}

static enum weir_err listen_all(struct program *program)
{
    const struct snapshot *snapshot = program->snapshot;
    unsigned count = 0;
    for (unsigned i = 0; i < snapshot->service_count; i++)
        count += snapshot->services[i].listen_count;
    program->groups = calloc(count, sizeof *program->groups);
    program->group_services = calloc(count, sizeof *program->group_services);
    if (!program->groups || !program->group_services)
        return WEIR_E_NO_MEMORY;
    for (unsigned i = 0; i < snapshot->service_count; i++)
        for (unsigned k = 0; k < snapshot->services[i].listen_count; k++)
            TRY(listen_on(program, &snapshot->services[i].listen[k], i));
    return WEIR_OK;
}

static enum weir_err open_admin(struct program *program)
{
    char text[ADDR_TEXT_SIZE];
    if (!program->snapshot->has_admin)
        return WEIR_OK;
    enum weir_err err = admin_open(program, &program->snapshot->admin_listen, &program->admin);
    if (err)
        log_line(LOG_ERROR, "cannot listen on %s for the admin page: %s",
                 addr_print(&program->snapshot->admin_listen, text), weir_err_text(err));
    else
        log_line(LOG_NOTICE, "admin page on http://%s/",
                 addr_print(admin_addr(program->admin), text));
    return err;
}

static enum weir_err open_access_log(struct program *program)
{
    const char *target = program->snapshot->access_log;
    if (strcmp(target, "off") == 0)
        return WEIR_OK;
    enum weir_err err = access_log_open(target, program->worker_count, &program->access_log);
    if (err)
        log_line(LOG_ERROR, "cannot write the access log to %s: %s", target, weir_err_text(err));
    return err;
}

static enum weir_err open_commons(struct program *program)
{
    const struct snapshot *snapshot = program->snapshot;
    program->commons = calloc(snapshot->service_count, sizeof(struct commons *));
    if (!program->commons)
        return WEIR_E_NO_MEMORY;
    for (unsigned i = 0; i < snapshot->service_count; i++) {
        program->commons[i] =
            commons_new(program->worker_count, snapshot->services[i].upstream_keepalive_pool_size);
        if (!program->commons[i])
            return WEIR_E_NO_MEMORY;
    }
    return WEIR_OK;
}

/* Where a worker could not start, the parts are still there, and the process ends. */
static void close_commons(struct program *program)
{
    const struct snapshot *snapshot = program->snapshot;
    for (unsigned i = 0; program->commons && !program->failed && i < snapshot->service_count; i++)
        commons_free(&program->commons[i]);
    free(program->commons);
}

enum weir_err program_open(struct program *program, struct snapshot *snapshot,
                           const struct backend_ops *ops)
{
    *program = (struct program){
        .snapshot = snapshot_ref(snapshot),
        .ops = ops,
        .started = clock_monotonic(),
        .worker_count = choose_worker_count(snapshot),
    };
    program->workers = calloc(program->worker_count, sizeof *program->workers);
    if (!program->workers)
        return WEIR_E_NO_MEMORY;
    TRY(open_commons(program));
    TRY(listen_all(program));
    TRY(open_admin(program));
    return open_access_log(program);
}

static void start_threads(struct program *program)
{
    for (unsigned i = 0; i < program->worker_count; i++) {
        struct worker *worker = &program->workers[i];
        worker->program = program;
        worker->number = i;
        must(pthread_create(&worker->thread, NULL, worker_run, worker) == 0);
    }
}

static enum weir_err first_start_error(const struct program *program)
{
    for (unsigned i = 0; i < program->worker_count; i++)
        if (program->workers[i].start_err)
            return program->workers[i].start_err;
    return WEIR_OK;
}

enum weir_err program_start(struct program *program)
{
    pthread_barrier_init(&program->barrier, NULL, program->worker_count + 1);
    atomic_store(&program->running, program->worker_count);
    start_threads(program);
    pthread_barrier_wait(&program->barrier);
    enum weir_err err = first_start_error(program);
    program->failed = err != WEIR_OK;
    pthread_barrier_wait(&program->barrier);
    if (err) {
        log_line(LOG_ERROR, "cannot start %u worker%s on %s: %s", program->worker_count,
                 program->worker_count == 1 ? "" : "s", program->ops->name, weir_err_text(err));
        program_join(program);
        return err;
    }
    pthread_barrier_wait(&program->barrier);
    log_line(LOG_NOTICE, "ready: %u worker%s on %s, stacks %s", program->worker_count,
             program->worker_count == 1 ? "" : "s", program->ops->name, stacks_guard_name());
    return WEIR_OK;
}

void program_reload_certificates(struct program *program)
{
    unsigned count = 0;
    for (unsigned i = 0; i < program->group_count; i++) {
        const struct listener_options *options = &program->groups[i].options;
        struct tls_fault fault;
        char text[ADDR_TEXT_SIZE];
        if (!options->tls)
            continue;
        if (tls_server_reload(options->tls, &fault))
            count++;
        else
            log_line(LOG_ERROR, "SIGHUP: %s keeps the certificates that it had: %s: %s",
                     addr_print(&options->addr, text), fault.key, fault.why);
    }
    log_line(LOG_NOTICE, "SIGHUP: certificates read again for %u listener%s", count,
             count == 1 ? "" : "s");
}

void program_drain(struct program *program)
{
    if (atomic_exchange(&program->draining, true))
        return;
    for (unsigned i = 0; i < program->worker_count; i++)
        worker_post_drain(&program->workers[i]);
}

void program_stop(struct program *program)
{
    for (unsigned i = 0; i < program->worker_count; i++)
        worker_post_stop(&program->workers[i]);
}

void program_end(struct program *program)
{
    /* Worker 0 tells the others, when nothing of its own asks them any more. */
    worker_post_end(&program->workers[0]);
    pthread_barrier_wait(&program->barrier);
}

void program_join(struct program *program)
{
    for (unsigned i = 0; i < program->worker_count; i++)
        pthread_join(program->workers[i].thread, NULL);
    pthread_barrier_destroy(&program->barrier);
}

void program_close(struct program *program)
{
    for (unsigned i = 0; i < program->group_count; i++)
        listener_group_close(&program->groups[i], program->ops, NULL);
    admin_close(&program->admin);
    origin_close(&program->origin);
    access_log_close(&program->access_log);
    close_commons(program);
    free(program->groups);
    free(program->group_services);
    free(program->workers);
    snapshot_unref(&program->snapshot);
}
