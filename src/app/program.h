/* SPDX-License-Identifier: MIT */
#ifndef APP_PROGRAM_H
#define APP_PROGRAM_H

/* The program: its configuration, the workers that serve it, and what is told of them. */

#include "config/snapshot.h"
#include "server/oversee.h"

struct access_log;
struct admin;
struct origin;

struct program {
    struct snapshot *snapshot;
    struct weir_time started;
    struct workers workers;        /* its services are the snapshot's, by number */
    struct access_log *access_log; /* NULL: off */
    struct admin *admin;           /* NULL: none */
    struct origin *origin;         /* NULL: none; of --demo */
};

/* Opens log, admin page and every listening address. What fails is told in the log. */
enum weir_err program_open(struct program *program, struct snapshot *snapshot,
                           const struct backend_ops *ops);

/* Starts the threads; returns when all accept, or when one has failed and all have ended. */
enum weir_err program_start(struct program *program);

/* The signals that program_serve() takes, and a 0. */
extern const int program_signals[];

/* Does what signals ask for until the workers have been told to stop, and have ended. */
void program_serve(struct program *program, const struct signals *signals);

/*
 * Reads the certificates of the listeners again: new connections get them. Where that fails, those
 * that are there stay. What came of it is told in the log.
 */
void program_reload_certificates(struct program *program);

/* Frees what program_open() made, also where that failed halfway. */
void program_close(struct program *program);

#endif
