/* SPDX-License-Identifier: MIT */
#ifndef PROXY_WARM_H
#define PROXY_WARM_H

/*
 * min_idle: connections to each server are dialled ahead, so that so many rest, over all workers.
 * One worker does it, at a limited rate, and never beyond max_connections; others take them over.
 */

#include "co/timer.h"
#include <weir/time.h>

#include <stdbool.h>

struct service;

struct warm {
    struct timer timer;
    struct service *service; /* NULL: not started, or stopped */
};

/* What is noted of one server. */
struct warm_notes {
    unsigned ready_before; /* when it was dialled for last */
    bool dialled;
    struct weir_time rests_until;
};

/* Starts, where any upstream of the service has min_idle. */
void warm_start(struct warm *warm, struct service *service);
void warm_stop(struct warm *warm);

#endif
