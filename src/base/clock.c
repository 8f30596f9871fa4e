/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

struct weir_time clock_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return WEIR_TIME_INIT((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
}

int64_t clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void clock_rfc3339(int64_t wall_ms, char ret_text[static CLOCK_RFC3339_SIZE])
{
    time_t seconds = wall_ms / 1000;
    struct tm utc;
    char day[sizeof "2026-01-02T03:04:05"];
    if (!gmtime_r(&seconds, &utc) || strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc) == 0)
        day[0] = '\0';
    snprintf(ret_text, CLOCK_RFC3339_SIZE, "%s.%03uZ", day, (unsigned)(wall_ms % 1000));
}

void clock_http_date(int64_t wall_ms, char ret_text[static CLOCK_HTTP_DATE_SIZE])
{
    time_t seconds = wall_ms / 1000;
    struct tm utc;
    /* Names of days and months are English: this program never leaves the C locale. */
    if (!gmtime_r(&seconds, &utc) ||
        strftime(ret_text, CLOCK_HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &utc) == 0)
        ret_text[0] = '\0';
}
