/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TIME_H
#define WEIR_TIME_H

/*
 * Points in time and durations are different types, so that neither passes for the other. Both
 * count nanoseconds; points are of the monotonic clock. Deadlines are points, given as absolute
 * arguments.
 */

#include <stdbool.h>
#include <stdint.h>

struct weir_time {
    int64_t ns;
};

struct weir_span {
    int64_t ns;
};

#ifdef __cplusplus
#define WEIR_TIME_INIT(count) (weir_time{count})
#define WEIR_SPAN_INIT(count) (weir_span{count})
#else
#define WEIR_TIME_INIT(count) ((struct weir_time){count})
#define WEIR_SPAN_INIT(count) ((struct weir_span){count})
#endif

/* A deadline that never passes, and a duration without end. */
#define WEIR_NEVER WEIR_TIME_INIT(INT64_MAX)
#define WEIR_FOREVER WEIR_SPAN_INIT(INT64_MAX)

static inline struct weir_span weir_span_ns(int64_t ns)
{
    return WEIR_SPAN_INIT(ns);
}

static inline struct weir_span weir_span_ms(int64_t ms)
{
    return WEIR_SPAN_INIT(ms * 1000000);
}

static inline struct weir_span weir_span_s(int64_t seconds)
{
    return WEIR_SPAN_INIT(seconds * 1000000000);
}

static inline int64_t weir_span_to_ms(struct weir_span span)
{
    return span.ns / 1000000;
}

static inline bool weir_span_is_forever(struct weir_span span)
{
    return span.ns == INT64_MAX;
}

static inline bool weir_time_is_never(struct weir_time time)
{
    return time.ns == INT64_MAX;
}

/* The point that lies `span` after `time`; saturates at WEIR_NEVER. */
static inline struct weir_time weir_time_after(struct weir_time time, struct weir_span span)
{
    if (span.ns > INT64_MAX - time.ns)
        return WEIR_NEVER;
    return WEIR_TIME_INIT(time.ns + span.ns);
}

/* How long it is from `from` to `to`; negative if `to` lies before. */
static inline struct weir_span weir_time_between(struct weir_time from, struct weir_time to)
{
    return WEIR_SPAN_INIT(to.ns - from.ns);
}

static inline bool weir_time_before(struct weir_time a, struct weir_time b)
{
    return a.ns < b.ns;
}

static inline struct weir_time weir_time_min(struct weir_time a, struct weir_time b)
{
    return a.ns < b.ns ? a : b;
}

#endif
