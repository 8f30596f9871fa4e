/* SPDX-License-Identifier: MIT */
#include "app/cli.h"

#include "base/check.h"
#include "base/slice.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { OPTION_LISTEN = 256, OPTION_TO, OPTION_DEMO, OPTION_THREADS, OPTION_IO };

enum { THREADS_MAX = 256 };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"test", no_argument, NULL, 't'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"to", required_argument, NULL, OPTION_TO},
    {"demo", no_argument, NULL, OPTION_DEMO},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"io", required_argument, NULL, OPTION_IO},
    {0},
};

const char *cli_help(void)
{
    return "usage: weir [-c FILE] [options]          run with a configuration file\n"
           "       weir --listen ADDR --to URL ...   a reverse proxy in one line\n"
           "       weir --demo                       an origin, a proxy and the admin page\n"
           "\n"
           "  -c, --config FILE   the configuration; without it ./weir.yaml, then\n"
           "                      /etc/weir/weir.yaml\n"
           "      --listen ADDR   host:port, :port, [::1]:port or unix:/path\n"
           "      --to URL        http://host:port, https://host, h2c://host:port (HTTP/2\n"
           "                      without TLS), unix:/path or exec:command (a process's input\n"
           "                      and output); may be repeated\n"
           "      --demo          origin on 127.0.0.1:9001, proxy on 127.0.0.1:8080,\n"
           "                      admin page on 127.0.0.1:6190\n"
           "  -t, --test          check the configuration and exit\n"
           "      --threads N     workers; 0: one per CPU\n"
           "      --io WAY        to the kernel: uring, epoll, or auto: the best that is there\n"
           "  -V, --version\n"
           "  -h, --help\n";
}

__attribute__((format(printf, 2, 3))) static void wrong(struct cli *cli, const char *format, ...)
{
    if (cli->verb == CLI_USAGE)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cli->message, sizeof cli->message, format, arguments);
    va_end(arguments);
    cli->verb = CLI_USAGE;
}

static void add_to(struct cli *cli, const char *url)
{
    if (cli->to_count == CLI_TO_MAX)
        wrong(cli, "--to is given more than %d times", CLI_TO_MAX);
    else
        cli->to[cli->to_count++] = url;
}

static void set_threads(struct cli *cli, const char *text)
{
    uint64_t threads;
    if (!slice_to_u64(slice_str(text), &threads) || threads > THREADS_MAX) {
        wrong(cli, "--threads wants a number from 0 to %d, not '%s'", THREADS_MAX, text);
        return;
    }
    cli->threads = (unsigned)threads;
    cli->has_threads = true;
}

static void set_io(struct cli *cli, const char *text)
{
    static const char *const names[] = {
        [IO_AUTO] = "auto", [IO_URING] = "uring", [IO_EPOLL] = "epoll"};
    for (unsigned i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        cli->io = (enum io_choice)i;
        cli->has_io = true;
        return;
    }
    wrong(cli, "--io wants uring, epoll or auto, not '%s'", text);
}

static void apply(struct cli *cli, int option, const char *value)
{
    switch (option) {
    case 'c':
        cli->file = value;
        break;
    case 't':
    case 'V':
    case 'h':
        if (cli->verb == CLI_RUN)
            cli->verb = option == 't' ? CLI_TEST : option == 'V' ? CLI_VERSION : CLI_HELP;
        break;
    case OPTION_LISTEN:
        cli->listen = value;
        break;
    case OPTION_TO:
        add_to(cli, value);
        break;
    case OPTION_DEMO:
        cli->demo = true;
        break;
    case OPTION_THREADS:
        set_threads(cli, value);
        break;
    case OPTION_IO:
        set_io(cli, value);
        break;
    default:
        break;
    }
}

static void check_together(struct cli *cli)
{
    int ways = (cli->file != NULL) + (cli->listen || cli->to_count > 0) + cli->demo;
    if (ways > 1)
        wrong(cli, "-c, --listen/--to and --demo exclude each other");
    if (!cli->listen != !cli->to_count)
        wrong(cli, "--listen and --to go together");
}

void cli_parse(int argc, char **argv, struct cli *ret_cli)
{
    struct cli *cli = ret_cli;
    *cli = (struct cli){.verb = CLI_RUN};
    opterr = 0;
    optind = 1;
    for (int option; (option = getopt_long(argc, argv, ":c:tVh", options, NULL)) != -1;) {
        const char *given = argv[optind - 1];
        if (option == '?')
            wrong(cli, "unknown option '%s'", given);
        else if (option == ':')
            wrong(cli, "option '%s' wants a value", given);
        else
            apply(cli, option, optarg);
    }
    if (optind < argc)
        wrong(cli, "unexpected argument '%s'", argv[optind]);
    check_together(cli);
}
