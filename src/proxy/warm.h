/* SPDX-License-Identifier: MIT */
#ifndef PROXY_WARM_H
#define PROXY_WARM_H

/*
 * min_idle: connections to each server are dialled ahead, so that so many rest, over all workers.
 * One worker does it, at a limited rate, and never beyond max_connections; others take them over.
 */

#include "co/timer.h"
#include <weir/err.h>

struct service;

struct warm {
    struct timer timer;
    struct service *service;
    struct warm_server *servers; /* of all upstreams, in order */
};

/* Starts, where any upstream of the service has min_idle. WEIR_E_NO_MEMORY. */
enum weir_err warm_start(struct warm *warm, struct service *service);
void warm_stop(struct warm *warm);

#endif
