/* SPDX-License-Identifier: MIT */
#include "base/stat.h"

const uint32_t histogram_bounds_us[HISTOGRAM_BUCKETS - 1] = {
    100,    250,    500,     1000,    2500,    5000,     10000,    25000,    50000,     100000,
    250000, 500000, 1000000, 2500000, 5000000, 10000000, 25000000, 50000000, 100000000,
};

void histogram_add(struct histogram *histogram, struct weir_span value)
{
    uint64_t us = value.ns > 0 ? (uint64_t)value.ns / 1000 : 0;
    unsigned bucket = 0;
    while (bucket < HISTOGRAM_BUCKETS - 1 && us > histogram_bounds_us[bucket])
        bucket++;
    stat_add(&histogram->counts[bucket], 1);
    stat_add(&histogram->sum_us, us);
}
