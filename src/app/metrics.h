/* SPDX-License-Identifier: MIT */
#ifndef APP_METRICS_H
#define APP_METRICS_H

/* The page for Prometheus, text format 0.0.4: every row of metrics.def, summed over the workers. */

#include "app/program.h"
#include "base/buf.h"

/* Appends the page. The workers' services must live; what they count may change meanwhile. */
void metrics_print(const struct program *program, struct buf *out);

#endif
