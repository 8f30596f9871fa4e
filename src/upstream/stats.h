/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_STATS_H
#define UPSTREAM_STATS_H

/*
 * What one worker counts for one upstream of one service. Written by that worker alone, read by
 * whoever prints /metrics. Reasons are indexes into the tables that name them.
 */

#include "base/stat.h"
#include "upstream/reuse.h"
#include <weir/err.h>

/* Why a connection was closed: the rows of close.def. */
enum close_reason {
#define X(NAME, name, text) CLOSE_##NAME,
#include "upstream/close.def"
#undef X
    CLOSE_COUNT
};
const char *close_name(enum close_reason reason);

/* Where a request's connection came from. */
enum conn_source { SOURCE_NEW, SOURCE_REUSED, SOURCE_TAKEN_OVER, SOURCE_COUNT };
const char *conn_source_name(enum conn_source source);

/* Where bytes that nobody had asked for were found. */
enum data_place { PLACE_IDLE, PLACE_CHECKOUT, PLACE_RELEASE, PLACE_COUNT };
const char *data_place_name(enum data_place place);

enum retry_result { RETRY_REPLAYED, RETRY_REFUSED, RETRY_RESULT_COUNT };
const char *retry_result_name(enum retry_result result);

struct upstream_stats {
    stat_count requests[SOURCE_COUNT];
    stat_count opened;
    stat_count closed[CLOSE_COUNT];
    stat_count connect_errors[WEIR_E_COUNT];
    stat_count not_kept[KEEP_COUNT];
    stat_count unexpected_data[PLACE_COUNT];
    stat_count retries[WEIR_E_COUNT][RETRY_RESULT_COUNT];
    stat_count idle, in_use, dialling; /* gauges */
    struct histogram connect;
    struct histogram idle_age; /* at reuse */
};

#endif
