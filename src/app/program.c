/* SPDX-License-Identifier: MIT */
#include "app/program.h"

#include "app/access_log.h"
#include "app/admin.h"
#include "app/origin.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <string.h>
#include <unistd.h>

static enum weir_err listen_on(struct program *program, const struct listener_options *options,
                               unsigned service)
{
    struct workers_address *address = NULL;
    char text[ADDR_TEXT_SIZE];
    enum weir_err err = workers_listen(&program->workers, service, options, &address);
    if (err)
        log_line(LOG_ERROR, "cannot listen on %s: %s", addr_print(&options->addr, text),
                 weir_err_text(err));
    else
        log_line(LOG_NOTICE, "service %s listens on %s", program->snapshot->services[service].name,
                 address->text);
    return err;
}

static enum weir_err open_services(struct program *program)
{
    const struct snapshot *snapshot = program->snapshot;
    for (unsigned i = 0; i < snapshot->service_count; i++) {
        const struct service_options *service = &snapshot->services[i];
        unsigned number;
        TRY(workers_add(&program->workers, service, &number));
        for (unsigned k = 0; k < service->listen_count; k++)
            TRY(listen_on(program, &service->listen[k], number));
    }
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

static void *log_part(void *owner, unsigned worker)
{
    return access_log_part(((struct program *)owner)->access_log, worker);
}

static enum weir_err open_access_log(struct program *program)
{
    const char *target = program->snapshot->access_log;
    if (strcmp(target, "off") == 0)
        return WEIR_OK;
    enum weir_err err = access_log_open(target, program->workers.count, &program->access_log);
    if (err)
        log_line(LOG_ERROR, "cannot write the access log to %s: %s", target, weir_err_text(err));
    else
        program->workers.options.log = access_log_record;
    return err;
}

enum weir_err program_open(struct program *program, struct snapshot *snapshot,
                           const struct backend_ops *ops)
{
    *program = (struct program){
        .snapshot = snapshot_ref(snapshot),
        .started = clock_monotonic(),
    };
    struct workers_options options = {
        .ops = ops,
        .count = snapshot->threads,
        .grace_period = snapshot->grace_period,
        .shutdown_timeout = snapshot->shutdown_timeout,
        .log_part = log_part,
        .owner = program,
    };
    TRY(workers_init(&program->workers, &options));
    TRY(open_services(program));
    TRY(open_admin(program));
    return open_access_log(program);
}

enum weir_err program_start(struct program *program)
{
    const struct workers *workers = &program->workers;
    const char *plural = workers->count == 1 ? "" : "s";
    enum weir_err err = workers_start(&program->workers);
    if (err)
        log_line(LOG_ERROR, "cannot start %u worker%s on %s: %s", workers->count, plural,
                 workers->options.ops->name, weir_err_text(err));
    else
        log_line(LOG_NOTICE, "ready: %u worker%s on %s, stacks %s", workers->count, plural,
                 workers->options.ops->name, stacks_guard_name());
    return err;
}

void program_reload_certificates(struct program *program)
{
    const struct workers *workers = &program->workers;
    unsigned count = 0;
    for (unsigned i = 0; i < workers->address_count; i++) {
        const struct listener_options *options = &workers->addresses[i]->group.options;
        struct tls_fault fault;
        if (!options->tls)
            continue;
        if (tls_server_reload(options->tls, &fault))
            count++;
        else
            log_line(LOG_ERROR, "SIGHUP: %s keeps the certificates that it had: %s: %s",
                     workers->addresses[i]->text, fault.key, fault.why);
    }
    log_line(LOG_NOTICE, "SIGHUP: certificates read again for %u listener%s", count,
             count == 1 ? "" : "s");
}

const int program_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0};

static void on_signal(void *program, int number)
{
    if (number == SIGHUP)
        program_reload_certificates(program);
    if (number == SIGQUIT)
        log_line(LOG_WARN, "SIGQUIT (hand-over) is not supported by this version: "
                           "going on as before");
}

static void leave(void *program)
{
    (void)program;
    log_line(LOG_ERROR, "the workers do not end: leaving without them");
    _exit(1);
}

void program_serve(struct program *program, const struct signals *signals)
{
    const struct overseer overseer = {
        .signals = signals, .on_signal = on_signal, .on_hang = leave, .owner = program};
    workers_oversee(&program->workers, &overseer);
    workers_join(&program->workers);
}

void program_close(struct program *program)
{
    admin_close(&program->admin);
    origin_close(&program->origin);
    workers_close(&program->workers);
    access_log_close(&program->access_log);
    snapshot_unref(&program->snapshot);
}
