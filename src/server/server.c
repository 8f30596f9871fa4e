/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "server/oversee.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* As graceful_shutdown_timeout_seconds is, where a configuration does not say. */
#define SHUTDOWN_TIMEOUT weir_span_s(5)

enum weir_err server_tell(enum weir_err err, char ret_why[WEIR_WHY_BYTES], const char *format, ...)
{
    va_list arguments;
    if (!ret_why)
        return err;
    va_start(arguments, format);
    vsnprintf(ret_why, WEIR_WHY_BYTES, format, arguments);
    va_end(arguments);
    return err;
}

const char *server_copy(struct weir_server *server, const char *text)
{
    return text ? memory_string(server->memory, slice_str(text)) : NULL;
}

enum weir_err server_memory(const struct weir_server *server, char ret_why[WEIR_WHY_BYTES])
{
    enum weir_err err = WEIR_E_NO_MEMORY;
    return server->memory->failed ? server_tell(err, ret_why, "%s", weir_err_text(err)) : WEIR_OK;
}

static enum weir_err open_server(struct weir_server *server,
                                 const struct weir_server_options *options)
{
    struct workers_options inner = {
        .count = options->threads,
        .grace_period = options->grace_period,
        .shutdown_timeout = SHUTDOWN_TIMEOUT,
    };
    server->handles_signals = options->handles_signals;
    TRY(client_loop_choose(options->io, &inner.ops));
    TRY(workers_init(&server->workers, &inner));
    server->memory = memory_new();
    return server->memory ? WEIR_OK : WEIR_E_NO_MEMORY;
}

enum weir_err weir_server_new(const struct weir_server_options *options,
                              struct weir_server **ret_server)
{
    struct weir_server_options defaults;
    weir_server_options_init(&defaults);
    struct weir_server *server = calloc(1, sizeof *server);
    if (!server)
        return WEIR_E_NO_MEMORY;
    server->workers.wake = -1;
    enum weir_err err = open_server(server, options ? options : &defaults);
    if (err)
        weir_server_free(&server);
    else
        *ret_server = server;
    return err;
}

void weir_server_free(struct weir_server **server)
{
    struct weir_server *freed = *server;
    *server = NULL;
    if (!freed)
        return;
    workers_close(&freed->workers);
    memory_free(&freed->memory);
    free(freed);
}

static void on_hang(void *server)
{
    (void)server;
    log_line(LOG_ERROR, "the server's coroutines were canceled and do not end: waiting for them");
}

static enum weir_err run(struct weir_server *server, const struct signals *signals)
{
    const struct overseer overseer = {.signals = signals, .on_hang = on_hang};
    TRY(workers_start(&server->workers));
    workers_oversee(&server->workers, &overseer);
    workers_join(&server->workers);
    return WEIR_OK;
}

enum weir_err weir_server_run(struct weir_server *server)
{
    static const int numbers[] = {SIGINT, SIGTERM, 0};
    struct signals signals;
    must(!server->runs);
    server->runs = true;
    signals_ignore_pipe();
    if (!server->handles_signals)
        return run(server, NULL);
    TRY(signals_open(&signals, numbers));
    enum weir_err err = run(server, &signals);
    signals_close(&signals);
    return err;
}

void weir_server_stop(struct weir_server *server, bool gracefully)
{
    workers_ask_stop(&server->workers, gracefully);
}
