/* SPDX-License-Identifier: MIT */
#ifndef APP_PROGRAM_H
#define APP_PROGRAM_H

/* What the workers share: set up before they start, immutable while they run unless said. */

#include "app/worker.h"
#include "config/snapshot.h"

struct access_log;
struct admin;
struct local;
struct origin;

enum { PROGRAM_LOCALS_MAX = 2 };

struct program {
    struct snapshot *snapshot;
    const struct backend_ops *ops;
    struct weir_time started;
    struct worker *workers;
    unsigned worker_count;
    struct commons **commons;      /* by service: what the workers' parts of its pool share */
    struct listener_group *groups; /* every address of every service */
    unsigned *group_services;      /* group -> number of its service */
    unsigned group_count;
    struct access_log *access_log;            /* NULL: off */
    struct admin *admin;                      /* NULL: none */
    struct origin *origin;                    /* NULL: none; of --demo */
    struct local *locals[PROGRAM_LOCALS_MAX]; /* both; they live on worker 0 */
    unsigned local_count;
    pthread_barrier_t barrier; /* worker_count and the starting thread */
    bool failed;               /* a worker could not start; set between the two meetings */
    _Atomic bool draining;     /* no new requests are wanted */
    _Atomic unsigned running;  /* workers whose services have not ended */
};

/* Opens log, admin page and every listening address. What fails is told in the log. */
enum weir_err program_open(struct program *program, struct snapshot *snapshot,
                           const struct backend_ops *ops);

/* Starts the threads; returns when all accept, or when one has failed and all have ended. */
enum weir_err program_start(struct program *program);

/*
 * Reads the certificates of the listeners again: new connections get them. Where that fails, those
 * that are there stay. What came of it is told in the log.
 */
void program_reload_certificates(struct program *program);

/* Stops gracefully: no new requests, idle connections closed, running ones given the grace period.
 */
void program_drain(struct program *program);
/* Cancels what runs. Comes after program_drain(). */
void program_stop(struct program *program);

/* Lets the workers end, once all their services have: nothing is posted to them after this. */
void program_end(struct program *program);

/* Waits until every worker has ended. */
void program_join(struct program *program);
/* Frees what program_open() made, also where that failed halfway. */
void program_close(struct program *program);

#endif
