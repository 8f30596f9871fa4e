/* SPDX-License-Identifier: MIT */
/*
 * The program: reads the command line and the configuration, starts the workers, waits for signals,
 * stops. Exit status: 0 done, 1 could not run, 2 usage or configuration error.
 */
#include "app/cli.h"
#include "app/origin.h"
#include "app/phases.h"
#include "app/process.h"
#include "app/program.h"
#include "base/check.h"
#include "base/log.h"
#include <weir/main.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_CANNOT_RUN = 1, EXIT_USAGE = 2 };

static const char demo_config[] = "version: 1\n"
                                  "threads: 1\n" /* one pool: the second request is reused */
                                  "admin: { listen: 127.0.0.1:6190 }\n"
                                  "services:\n"
                                  "  - name: demo\n"
                                  "    listen: [ 127.0.0.1:8080 ]\n"
                                  "    upstream: http://127.0.0.1:9001\n";
static const char demo_origin[] = "127.0.0.1:9001";

/* NULL if there is none of them. */
static const char *default_file(void)
{
    static const char *const files[] = {"weir.yaml", "/etc/weir/weir.yaml"};
    for (size_t i = 0; i < COUNT_OF(files); i++)
        if (access(files[i], F_OK) == 0)
            return files[i];
    return NULL;
}

/* What messages call the configuration; NULL: there is none. */
static const char *name_of_configuration(const struct cli *cli)
{
    if (cli->demo)
        return "demo";
    if (cli->listen)
        return "--listen";
    return cli->file ? cli->file : default_file();
}

static enum weir_err read_configuration(const struct cli *cli, const char *name,
                                        struct buf *messages, struct snapshot **ret_snapshot)
{
    if (cli->demo)
        return snapshot_load_text(name, slice_str(demo_config), messages, ret_snapshot);
    if (cli->listen)
        return snapshot_of_command_line(cli->listen, cli->to, cli->to_count, messages,
                                        ret_snapshot);
    return snapshot_load_file(name, messages, ret_snapshot);
}

static enum weir_err load(const struct cli *cli, struct buf *messages,
                          struct snapshot **ret_snapshot)
{
    const char *name = name_of_configuration(cli);
    struct snapshot *snapshot = NULL;
    if (!name) {
        buf_printf(messages, "weir: neither weir.yaml nor /etc/weir/weir.yaml is here; "
                             "try 'weir --demo' or 'weir --help'\n");
        return WEIR_E_CONFIG;
    }
    TRY(read_configuration(cli, name, messages, &snapshot));
    enum weir_err err = phases_give(name, snapshot, messages);
    if (err)
        snapshot_unref(&snapshot);
    else
        *ret_snapshot = snapshot;
    return err;
}

static void apply_command_line(const struct cli *cli, struct snapshot *snapshot)
{
    if (cli->has_threads)
        snapshot->threads = cli->threads;
    if (cli->has_io)
        snapshot->io = cli->io;
}

/* Tells what was chosen if it is not what `*ops` says already. */
static enum weir_err choose_io(const struct snapshot *snapshot, const struct backend_ops **ops)
{
    const struct backend_ops *chosen;
    char text[BACKEND_TEXT_SIZE];
    enum weir_err err = backend_choose(snapshot->io, text, &chosen);
    if (err) {
        log_line(LOG_ERROR, "io: uring is configured, and cannot be had: %s", text);
        return err;
    }
    if (chosen != *ops)
        log_line(LOG_NOTICE, "io: %s", text);
    *ops = chosen;
    return WEIR_OK;
}

/* Who has given rights up may not be allowed any more what was allowed before. */
static enum weir_err choose_io_again(struct program *program)
{
    const struct snapshot *snapshot = program->snapshot;
    if (!snapshot->user && !snapshot->group)
        return WEIR_OK;
    return choose_io(snapshot, &program->workers.options.ops);
}

static enum weir_err open_demo_origin(struct program *program)
{
    struct addr addr;
    TRY(addr_parse(slice_str(demo_origin), &addr));
    enum weir_err err = origin_open(&program->workers, &addr, &program->origin);
    if (err)
        log_line(LOG_ERROR, "cannot listen on %s: %s", demo_origin, weir_err_text(err));
    else
        log_line(LOG_NOTICE, "demo: try  curl -i http://127.0.0.1:8080/  and look at "
                             "http://127.0.0.1:6190/pools");
    return err;
}

static enum weir_err run_program(const struct cli *cli, struct program *program,
                                 const struct signals *signals)
{
    if (cli->demo)
        TRY(open_demo_origin(program));
    TRY(process_settle(program->snapshot));
    TRY(choose_io_again(program));
    TRY(program_start(program));
    program_serve(program, signals);
    return WEIR_OK;
}

static enum weir_err run_with_pid_file(const struct cli *cli, struct program *program,
                                       const struct signals *signals)
{
    TRY(process_write_pid_file(program->snapshot));
    enum weir_err err = run_program(cli, program, signals);
    process_remove_pid_file(program->snapshot);
    return err;
}

/* The whole of its life between the signals' being opened and closed. */
static enum weir_err open_and_run(const struct cli *cli, struct snapshot *snapshot,
                                  const struct signals *signals)
{
    struct program program;
    const struct backend_ops *ops = NULL;
    process_raise_limits();
    TRY(process_open_error_log(snapshot));
    TRY(choose_io(snapshot, &ops));
    enum weir_err err = program_open(&program, snapshot, ops);
    if (!err)
        err = run_with_pid_file(cli, &program, signals);
    program_close(&program);
    return err;
}

static int run(const struct cli *cli, struct snapshot *snapshot)
{
    struct signals signals;
    signals_ignore_pipe();
    if (signals_open(&signals, program_signals) != WEIR_OK)
        return EXIT_CANNOT_RUN;
    enum weir_err err = open_and_run(cli, snapshot, &signals);
    signals_close(&signals);
    if (err)
        return EXIT_CANNOT_RUN;
    log_line(LOG_NOTICE, "stopped");
    return EXIT_SUCCESS;
}

/* Only who asks by the variable that other programs know gets secrets, and is told so. */
static enum weir_err open_key_log(void)
{
    const char *file = getenv("SSLKEYLOGFILE");
    if (!file || !*file)
        return WEIR_OK;
    int descriptor = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        log_line(LOG_ERROR, "cannot write the secrets of TLS to %s: %s", file, strerror(errno));
        return WEIR_E_IO;
    }
    log_line(LOG_WARN, "the secrets of all TLS connections are written to %s (SSLKEYLOGFILE)",
             file);
    tls_log_keys(descriptor);
    return WEIR_OK;
}

static int load_and_run(const struct cli *cli)
{
    struct buf messages;
    struct snapshot *snapshot = NULL;
    if (cli->verb == CLI_RUN && open_key_log() != WEIR_OK)
        return EXIT_CANNOT_RUN;
    buf_init(&messages);
    enum weir_err err = load(cli, &messages, &snapshot);
    if (messages.len > 0)
        fwrite(messages.at, 1, messages.len, stderr);
    buf_fini(&messages);
    if (err)
        return EXIT_USAGE;
    int status = EXIT_SUCCESS;
    apply_command_line(cli, snapshot);
    if (cli->verb == CLI_TEST)
        puts("the configuration is good");
    else
        status = run(cli, snapshot);
    snapshot_unref(&snapshot);
    return status;
}

int weir_main(int argc, char **argv)
{
    static bool called;
    struct cli cli;
    must(!called);
    called = true;
    cli_parse(argc, argv, &cli);
    switch (cli.verb) {
    case CLI_USAGE:
        fprintf(stderr, "weir: %s\ntry 'weir --help'\n", cli.message);
        return EXIT_USAGE;
    case CLI_HELP:
        fputs(cli_help(), stdout);
        return EXIT_SUCCESS;
    case CLI_VERSION:
        puts("weir " WEIR_VERSION);
        return EXIT_SUCCESS;
    default:
        return load_and_run(&cli);
    }
}
