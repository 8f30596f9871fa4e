/* SPDX-License-Identifier: MIT */
#ifndef APP_WORKER_H
#define APP_WORKER_H

/*
 * A worker: one thread, one loop, its part of every service. Everything in it belongs to its
 * thread; other threads post mail to its loop, and read stats, which are made for that.
 */

#include "downstream/listener.h"
#include "proxy/service.h"

#include <pthread.h>

struct program;

struct worker {
    struct program *program;
    unsigned number;
    pthread_t thread;
    struct loop loop;
    struct streams streams;
    struct pool_family family;
    struct service **services;  /* as many as the snapshot has */
    struct listener *listeners; /* as many as the program has groups */
    bool draining;
    struct timer grace; /* draining: when what still runs is canceled */
    bool may_end;       /* nobody posts to the loop any more */
    struct mail drain_mail, stop_mail, end_mail;
    enum weir_err start_err;
};

/*
 * The thread's function: opens what is the worker's, meets the others at the program's barrier,
 * turns its loop until the services are drained, and then until nobody posts to it any more.
 */
void *worker_run(void *worker);

/* From the main thread, once each and in this order: see program_drain(), _stop() and _end(). */
void worker_post_drain(struct worker *worker);
void worker_post_stop(struct worker *worker);
void worker_post_end(struct worker *worker);

#endif
