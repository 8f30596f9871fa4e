/* SPDX-License-Identifier: MIT */
#include <weir/time.h>

#include "tests/check.h"

static struct weir_time at(int64_t ns)
{
    return WEIR_TIME_INIT(ns);
}

TEST(spans)
{
    CHECK_EQ(7, weir_span_ns(7).ns);
    CHECK_EQ(7000000, weir_span_ms(7).ns);
    CHECK_EQ(7000000000, weir_span_s(7).ns);
    CHECK_EQ(7, weir_span_to_ms(weir_span_ns(7999999)));
    CHECK(weir_span_is_forever(WEIR_FOREVER));
    CHECK(!weir_span_is_forever(weir_span_s(1000000000)));
}

TEST(points)
{
    CHECK_EQ(30, weir_time_after(at(10), weir_span_ns(20)).ns);
    CHECK_EQ(-10, weir_time_after(at(10), weir_span_ns(-20)).ns);
    CHECK_EQ(20, weir_time_between(at(10), at(30)).ns);
    CHECK_EQ(-20, weir_time_between(at(30), at(10)).ns);
    CHECK(weir_time_before(at(1), at(2)));
    CHECK(!weir_time_before(at(2), at(2)));
    CHECK_EQ(1, weir_time_min(at(1), at(2)).ns);
    CHECK_EQ(1, weir_time_min(at(2), at(1)).ns);
    CHECK_EQ(5, weir_time_min(WEIR_NEVER, at(5)).ns);
}

TEST(never_is_where_additions_end)
{
    CHECK(weir_time_is_never(WEIR_NEVER));
    CHECK(weir_time_is_never(weir_time_after(at(0), WEIR_FOREVER)));
    CHECK(weir_time_is_never(weir_time_after(at(1), WEIR_FOREVER)));
    CHECK(weir_time_is_never(weir_time_after(WEIR_NEVER, weir_span_ms(1))));
    CHECK(weir_time_is_never(weir_time_after(at(INT64_MAX - 5), weir_span_ns(6))));
    CHECK(!weir_time_is_never(weir_time_after(at(INT64_MAX - 5), weir_span_ns(4))));
    CHECK(weir_time_before(at(INT64_MAX - 1), WEIR_NEVER));
}

CHECK_MAIN
