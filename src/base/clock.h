/* SPDX-License-Identifier: MIT */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <weir/time.h>

/* The monotonic clock, read from the kernel. On a request's path use loop_now(), read once a turn.
 */
struct weir_time clock_monotonic(void);

/* Milliseconds since 1970, for logs. */
int64_t clock_wall_ms(void);

/* Room for "2026-01-02T03:04:05.678Z" and its NUL. */
enum { CLOCK_RFC3339_SIZE = 25 };

/* Writes `wall_ms` as RFC 3339 in UTC with milliseconds, NUL-terminated. */
void clock_rfc3339(int64_t wall_ms, char ret_text[static CLOCK_RFC3339_SIZE]);

/* Room for "Sun, 06 Nov 1994 08:49:37 GMT" and its NUL. */
enum { CLOCK_HTTP_DATE_SIZE = 30 };

/* Writes `wall_ms` as the date of HTTP (IMF-fixdate, RFC 9110 section 5.6.7), NUL-terminated. */
void clock_http_date(int64_t wall_ms, char ret_text[static CLOCK_HTTP_DATE_SIZE]);

#endif
