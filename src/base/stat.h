/* SPDX-License-Identifier: MIT */
#ifndef BASE_STAT_H
#define BASE_STAT_H

/*
 * Counters, gauges and histograms that one worker writes and anyone reads. No locked instruction:
 * the one writer reads and stores relaxed, and a reader sees some recent value.
 */

#include <weir/time.h>

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t stat_count;

static inline void stat_add(stat_count *counter, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

static inline void stat_sub(stat_count *counter, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value - amount, memory_order_relaxed);
}

static inline void stat_set(stat_count *gauge, uint64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

static inline uint64_t stat_read(const stat_count *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Upper bounds in microseconds, 1-2.5-5 steps from 100 us to 100 s; the last bucket has no bound.
 */
enum { HISTOGRAM_BUCKETS = 20 };
extern const uint32_t histogram_bounds_us[HISTOGRAM_BUCKETS - 1];

struct histogram {
    stat_count counts[HISTOGRAM_BUCKETS]; /* each bucket alone, not summed up */
    stat_count sum_us;
};

void histogram_add(struct histogram *histogram, struct weir_span value);

#endif
