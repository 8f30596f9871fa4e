/* SPDX-License-Identifier: MIT */
#include "base/stat.h"

#include "tests/check.h"

TEST(counters_and_gauges)
{
    stat_count counter = 0;
    stat_add(&counter, 5);
    stat_add(&counter, 2);
    stat_sub(&counter, 3);
    CHECK_EQ(4, stat_read(&counter));
}

TEST(bounds_rise)
{
    CHECK_EQ(100, histogram_bounds_us[0]);
    for (int i = 1; i < HISTOGRAM_BUCKETS - 1; i++)
        CHECK(histogram_bounds_us[i] > histogram_bounds_us[i - 1]);
    CHECK_EQ(100 * 1000000, histogram_bounds_us[HISTOGRAM_BUCKETS - 2]);
}

TEST(a_value_lands_in_the_bucket_that_bounds_it)
{
    static const struct {
        int64_t ns;
        int bucket;
    } rows[] = {
        {-5, 0},
        {0, 0},
        {100000, 0},
        {101000, 1},
        {250000, 1},
        {1000000, 3},
        {1001000, 4},
        {(int64_t)100 * 1000000000, HISTOGRAM_BUCKETS - 2},
        {(int64_t)101 * 1000000000, HISTOGRAM_BUCKETS - 1},
        {(int64_t)1 << 60, HISTOGRAM_BUCKETS - 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct histogram histogram = {0};
        histogram_add(&histogram, weir_span_ns(rows[i].ns));
        for (int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
            CHECK_EQ(bucket == rows[i].bucket, stat_read(&histogram.counts[bucket]));
        CHECK_EQ(rows[i].ns > 0 ? rows[i].ns / 1000 : 0, stat_read(&histogram.sum_us));
    }
}

CHECK_MAIN
