/* SPDX-License-Identifier: MIT */
#ifndef SERVER_LOCAL_H
#define SERVER_LOCAL_H

/*
 * An address where weir answers by itself: the admin pages, the origin of --demo. On worker 0, and
 * still there while the services drain.
 */

#include "server/worker.h"

struct local_options {
    exchange_handler_fn *handler;
    void *owner;                        /* for both functions */
    bool (*is_idle)(const void *owner); /* NULL: nothing but its exchanges can be under way */
};

struct local {
    struct local_options options;
    struct workers *workers;
    struct listener_group group; /* group.options.addr is what it is bound to */
    struct listener listener;
    struct client_options client;
    struct downstream downstream;
    bool started;
};

/*
 * Binds the address, before the workers start, and enters it into workers->locals. Errors as
 * listener_group_open().
 */
enum weir_err local_open(struct local *local, struct workers *workers, const struct addr *addr,
                         const struct local_options *options);
/* After the workers have ended. */
void local_close(struct local *local);

/* The rest is called on worker 0's thread. Starts accepting when its loop is up. */
enum weir_err local_start(struct local *local, struct worker *worker);

/*
 * At the end, in this order: draining accepts no more and cancels what runs; worker 0 then turns
 * its loop until it is idle; stopping frees what belongs to the thread.
 */
void local_drain(struct local *local);
bool local_is_idle(const struct local *local);
void local_stop(struct local *local);

#endif
