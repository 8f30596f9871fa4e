/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_STATS_H
#define UPSTREAM_STATS_H

/*
 * What one worker counts for one upstream of one service. Written by that worker alone, read by
 * whoever prints /metrics. Reasons are indexes into the tables that name them.
 */

#include "base/stat.h"
#include "http/h2_guard.h"
#include "http/head.h"
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

/* The rows of stats.def. */
enum miss_reason {
#define MISS(NAME, name, text) MISS_##NAME,
#define WAIT(NAME, name, text)
#define TAKE(NAME, name, text)
#include "upstream/stats.def"
#undef MISS
    MISS_COUNT
};
enum wait_result {
#define MISS(NAME, name, text)
#undef WAIT
#define WAIT(NAME, name, text) WAIT_##NAME,
#include "upstream/stats.def"
#undef WAIT
    WAIT_COUNT
};
enum take_result {
#define WAIT(NAME, name, text)
#undef TAKE
#define TAKE(NAME, name, text) TAKE_##NAME,
#include "upstream/stats.def"
#undef MISS
#undef WAIT
#undef TAKE
    TAKE_COUNT
};
const char *miss_name(enum miss_reason reason);
const char *wait_name(enum wait_result result);
const char *take_name(enum take_result result);

/* Where a request's connection came from. */
enum conn_source { SOURCE_NEW, SOURCE_REUSED, SOURCE_TAKEN_OVER, SOURCE_COUNT };
const char *conn_source_name(enum conn_source source);

/* Where bytes that nobody had asked for were found. */
enum data_place { PLACE_IDLE, PLACE_CHECKOUT, PLACE_RELEASE, PLACE_COUNT };
const char *data_place_name(enum data_place place);

enum check_result { CHECK_PASSED, CHECK_FAILED, CHECK_COUNT };
const char *check_result_name(enum check_result result);

enum retry_result { RETRY_REPLAYED, RETRY_REFUSED, RETRY_RESULT_COUNT };
const char *retry_result_name(enum retry_result result);

/* How a TLS handshake went. */
enum tls_result { TLS_FULL, TLS_RESUMED, TLS_FAILED, TLS_RESULT_COUNT };
const char *tls_result_name(enum tls_result result);

/* What became of a PING. */
enum ping_result { PING_ANSWERED, PING_LOST, PING_RESULT_COUNT };
const char *ping_result_name(enum ping_result result);

struct upstream_stats {
    stat_count requests[SOURCE_COUNT];
    stat_count opened;
    stat_count closed[CLOSE_COUNT];
    stat_count connect_errors[WEIR_E_COUNT];
    stat_count not_kept[KEEP_COUNT];
    stat_count unexpected_data[PLACE_COUNT];
    stat_count retries[WEIR_E_COUNT][RETRY_RESULT_COUNT];
    stat_count misses[MISS_COUNT];
    stat_count waits[WAIT_COUNT];
    stat_count takeovers[TAKE_COUNT];
    stat_count health_checks[CHECK_COUNT];
    stat_count tls_handshakes[TLS_RESULT_COUNT];
    stat_count goaways; /* received */
    stat_count pings[PING_RESULT_COUNT];
    stat_count floods[H2_FLOOD_COUNT];
    stat_count idle[HTTP_PROTOCOL_COUNT], in_use[HTTP_PROTOCOL_COUNT]; /* gauges, as all below */
    stat_count streams; /* of HTTP/2 */
    stat_count dialling, waiting;
    stat_count servers, unwell_servers;         /* gauges: addresses, and those that fail checks */
    struct histogram wait;                      /* of those that stood in a queue */
    struct histogram connect;                   /* with all that comes before TLS */
    struct histogram tls;
    struct histogram idle_age; /* at reuse */
};

#endif
