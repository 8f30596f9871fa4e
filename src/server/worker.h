/* SPDX-License-Identifier: MIT */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

/*
 * A worker: one thread, one loop, its part of every service. Everything in it belongs to its
 * thread; other threads post mail to its loop, and read stats, which are made for that.
 */

#include "client/loop.h"
#include "downstream/listener.h"
#include "proxy/service.h"

#include <pthread.h>

struct workers;

struct worker {
    struct workers *workers;
    unsigned number;
    pthread_t thread;
    struct weir_loop loop;
    bool has_loop;              /* it came about; does not change once the threads have met */
    struct service **services;  /* by number */
    unsigned service_count;     /* fewer than wanted where one could not be opened */
    struct listener *listeners; /* as many as there are addresses */
    struct scope started;       /* the coroutines of the services' `started` */
    bool draining;
    struct timer grace; /* draining: when what still runs is canceled */
    bool may_end;       /* nobody posts to the loop any more */
    struct mail drain_mail, stop_mail, end_mail;
    enum weir_err start_err;
};

/*
 * The thread's function: opens what is the worker's, meets the others at their barrier, turns its
 * loop until the services are drained, and then until nobody posts to it any more.
 */
void *worker_run(void *worker);

/* Once each and in this order: see workers_drain(), _stop() and _end(). */
void worker_post_drain(struct worker *worker);
void worker_post_stop(struct worker *worker);
void worker_post_end(struct worker *worker);

#endif
