/* SPDX-License-Identifier: MIT */
#ifndef APP_ACCESS_LINE_H
#define APP_ACCESS_LINE_H

/* One line of the access log (docs/operating.md). It is written for every request: no printf
 * here. */

#include "base/clock.h"
#include "proxy/service.h"

/*
 * Texts that take more room, escapes included, are cut: the path cannot, since a request's target
 * has at most 8 KiB and no byte of it is more than two in JSON.
 */
enum {
    ACCESS_PATH_BYTES = 16 * 1024 + 6,
    ACCESS_TEXT_BYTES = 1024,
    ACCESS_LINE_BYTES = ACCESS_PATH_BYTES + 6 * ACCESS_TEXT_BYTES + 1024,
};

/* The time as text, of the second that it was made for. Zero it before the first use. */
struct access_clock {
    int64_t second;
    char text[CLOCK_RFC3339_SIZE];
};

/* Writes the line with its line feed; `wall_ms` is now. Returns its length. */
size_t access_line_write(const struct access_record *record, int64_t wall_ms,
                         struct access_clock *clock, char ret_line[static ACCESS_LINE_BYTES]);

#endif
