/* SPDX-License-Identifier: MIT */
#ifndef DOWNSTREAM_LISTENER_H
#define DOWNSTREAM_LISTENER_H

/*
 * One listening address, shared by all workers. Whoever accepts a connection gives it to the worker
 * that has the fewest of this service, so that they are spread evenly even when there are few; the
 * kernel's own ways (a shared queue, SO_REUSEPORT's hash) are even only over many.
 */

#include "downstream/downstream.h"
#include "io/mailbox.h"
#include "io/sock.h"

enum { LISTENER_WORKERS_MAX = 256 };

/* What the workers share of one address. */
struct listener_group {
    struct listener_options options; /* the address as it is bound */
    int descriptor;                  /* -1 once nobody accepts any more */
    _Atomic unsigned accepting;      /* workers that do */
    unsigned worker_count;
    struct downstream *workers[LISTENER_WORKERS_MAX]; /* by number; all set before any accepts */
};

/* One worker's part of it. */
struct listener {
    struct listener_group *group;
    struct downstream *downstream;
    struct sock sock;
};

/* Binds and listens; the descriptor is shared by every worker. WEIR_E_ADDRESS_IN_USE, _PERMISSION,
 * ... */
enum weir_err listener_group_open(struct listener_group *group, const struct backend_ops *ops,
                                  struct backend *backend, const struct listener_options *options);
void listener_group_close(struct listener_group *group, const struct backend_ops *ops,
                          struct backend *backend);

/* Starts accepting on this worker. */
enum weir_err listener_start(struct listener *listener, struct listener_group *group,
                             struct downstream *downstream);
/*
 * Accepts no more on this worker; the last one closes the address, so that clients are refused
 * rather than left to wait. Harmless when it was not started.
 */
void listener_stop(struct listener *listener);

#endif
