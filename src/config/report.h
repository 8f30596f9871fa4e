/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_REPORT_H
#define CONFIG_REPORT_H

/*
 * What is wrong with a configuration: all of it, in the order of the file, each line like a
 * compiler's. Nobody stops at the first mistake; whoever reads on leaves the default in its place.
 */

#include "base/buf.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdbool.h>

/* Where something is written. Lines and columns count from 1; line 0 is the file as a whole. */
struct position {
    const char *file;
    unsigned line, column;
};

struct report {
    struct memory *memory;
    struct mistake *mistakes;            /* by position */
    unsigned error_count, warning_count; /* with those beyond the limit, which are not kept */
};

void report_init(struct report *report, struct memory *memory);

/* A mistake that is told already (an alias makes that happen) is not told again. */
__attribute__((format(printf, 3, 4))) void
report_error(struct report *report, struct position position, const char *format, ...);
__attribute__((format(printf, 3, 4))) void
report_warning(struct report *report, struct position position, const char *format, ...);

/* Appends one line for each: "file:line:column: error: text". */
void report_write(const struct report *report, struct buf *messages);

#endif
