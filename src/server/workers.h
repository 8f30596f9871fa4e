/* SPDX-License-Identifier: MIT */
#ifndef SERVER_WORKERS_H
#define SERVER_WORKERS_H

/*
 * Threads that serve the same services. One thread, which is none of them, owns them:
 *
 *   workers_init, _add, _listen   sets them up; nothing of that changes while they run
 *   workers_start                 all accept
 *   workers_oversee (oversee.h)   waits until they are told to stop, and sees them do it; or by
 * hand: workers_drain               no new requests; what runs is given the grace period
 *     workers_stop                what runs is canceled
 *     workers_end                 once `running` is 0
 *   workers_join, _close
 */

#include "server/worker.h"

#include <pthread.h>

struct local;

enum { WORKERS_LOCALS_MAX = 2 };

struct workers_options {
    const struct backend_ops *ops;
    unsigned count;                    /* 0: one for each CPU that this process may use */
    struct weir_span grace_period;     /* for what runs when it is drained */
    struct weir_span shutdown_timeout; /* for what is left after that */
    access_log_fn *log;                /* NULL: none */
    void *(*log_part)(void *owner, unsigned worker); /* what `log` is called with */
    void *owner;                                     /* of log_part() */
};

struct workers_service {
    const struct service_options *options;
    struct commons *commons; /* what the workers' parts of its pool share */
};

/* An address of a service. */
struct workers_address {
    struct listener_group group;
    unsigned service;
    char text[ADDR_TEXT_SIZE]; /* what it is really bound to */
};

/* How they were asked to stop. */
enum stop { STOP_NOT, STOP_GRACEFULLY, STOP_AT_ONCE };

struct workers {
    struct workers_options options; /* may be changed until they start */
    struct worker *all;
    unsigned count;
    struct workers_service *services;
    unsigned service_count;
    struct workers_address **addresses; /* of all services */
    unsigned address_count;
    struct local *locals[WORKERS_LOCALS_MAX]; /* they live on worker 0 */
    unsigned local_count;
    unsigned thread_count;     /* how many of `count` are there: fewer where one cannot be had */
    pthread_mutex_t starting;  /* held until thread_count and the barrier are settled */
    pthread_barrier_t barrier; /* thread_count and the owner */
    bool failed;               /* one could not start; set between the first two meetings */
    _Atomic bool draining;     /* no new requests are wanted */
    _Atomic unsigned running;  /* whose services have not ended */
    _Atomic unsigned started;  /* calls of `started` that have not returned */
    _Atomic(enum stop) wish;   /* see workers_ask_stop() */
    int wake;                  /* an eventfd: something for the owner to look at */
};

/* WEIR_E_NO_MEMORY, _NO_DESCRIPTORS. */
enum weir_err workers_init(struct workers *workers, const struct workers_options *options);
/* The options stay the caller's and must outlive the workers. WEIR_E_NO_MEMORY. */
enum weir_err workers_add(struct workers *workers, const struct service_options *options,
                          unsigned *ret_number);
/* Binds an address of a service. Errors as listener_group_open(). */
enum weir_err workers_listen(struct workers *workers, unsigned service,
                             const struct listener_options *options,
                             struct workers_address **ret_address);

/*
 * Starts the threads; returns when all accept, or when one has failed and all have ended. Errors as
 * loop_init() and service_open().
 */
enum weir_err workers_start(struct workers *workers);

/*
 * Asks the owner to stop them, as workers_oversee() does, which forgets no such wish. From any
 * thread, a worker's too, and from a signal's handler. Who asked to stop at once is not talked out
 * of it.
 */
void workers_ask_stop(struct workers *workers, bool gracefully);

/* Stops gracefully: no new requests, idle connections closed, running ones given the grace period.
 */
void workers_drain(struct workers *workers);
/* Cancels what runs. Comes after workers_drain(). */
void workers_stop(struct workers *workers);
/* Lets them end, once all their services have: nothing is posted to them after this. */
void workers_end(struct workers *workers);
/* Waits until every thread has ended. */
void workers_join(struct workers *workers);
/* Frees what workers_init() and those after it made, also where they failed. */
void workers_close(struct workers *workers);

/* --- For the workers ------------------------------------------------------------------------- */

void workers_await_start(struct workers *workers);
/* The owner is told of the last one. */
void workers_count_running(struct workers *workers, int change);
/* With the last one there is nothing left to do, where nobody listens: it is asked to stop. */
void workers_count_started(struct workers *workers, int change);

#endif
