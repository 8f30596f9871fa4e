/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include "tests/check.h"

#include <time.h>

TEST(the_monotonic_clock_does_not_go_back)
{
    struct weir_time last = clock_monotonic();
    CHECK(last.ns > 0);
    for (int i = 0; i < 1000; i++) {
        struct weir_time now = clock_monotonic();
        CHECK(!weir_time_before(now, last));
        last = now;
    }
}

TEST(the_wall_clock_is_the_systems)
{
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    int64_t wall_ms = clock_wall_ms();
    clock_gettime(CLOCK_REALTIME, &after);
    CHECK(wall_ms >= (int64_t)before.tv_sec * 1000 + before.tv_nsec / 1000000);
    CHECK(wall_ms <= (int64_t)after.tv_sec * 1000 + after.tv_nsec / 1000000);
}

TEST(rfc3339)
{
    static const struct {
        int64_t wall_ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {999, "1970-01-01T00:00:00.999Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1767323045678, "2026-01-02T03:04:05.678Z"},
        {4102444800007, "2100-01-01T00:00:00.007Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[CLOCK_RFC3339_SIZE];
        clock_rfc3339(rows[i].wall_ms, text);
        CHECK_SLICE(((struct weir_slice){text, strlen(text)}), rows[i].text);
    }
}

TEST(http_date)
{
    static const struct {
        int64_t wall_ms;
        const char *text;
    } rows[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777999, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782399000, "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400000, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {4102444799000, "Thu, 31 Dec 2099 23:59:59 GMT"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[CLOCK_HTTP_DATE_SIZE];
        clock_http_date(rows[i].wall_ms, text);
        CHECK_SLICE(((struct weir_slice){text, strlen(text)}), rows[i].text);
    }
}

CHECK_MAIN
