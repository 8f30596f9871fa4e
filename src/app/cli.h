/* SPDX-License-Identifier: MIT */
#ifndef APP_CLI_H
#define APP_CLI_H

/* The command line; cli_help() tells what there is. */

#include "config/snapshot.h"

enum cli_verb {
    CLI_RUN,
    CLI_TEST, /* check the configuration and say so */
    CLI_VERSION,
    CLI_HELP,
    CLI_USAGE, /* the command line is wrong; `message` says how */
};

enum { CLI_TO_MAX = 64, CLI_MESSAGE_SIZE = 256 };

struct cli {
    enum cli_verb verb;
    const char *file;   /* -c */
    const char *listen; /* --listen */
    const char *to[CLI_TO_MAX];
    unsigned to_count;
    bool demo;
    bool has_threads;
    unsigned threads;
    bool has_io;
    enum io_choice io;
    char message[CLI_MESSAGE_SIZE];
};

void cli_parse(int argc, char **argv, struct cli *ret_cli);
/* The text of --help. */
const char *cli_help(void);

#endif
