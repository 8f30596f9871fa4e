/* SPDX-License-Identifier: MIT */
#include "upstream/stats.h"

#include "base/check.h"

static const char *const close_names[CLOSE_COUNT] = {
#define X(NAME, name, text) [CLOSE_##NAME] = name,
#include "upstream/close.def"
#undef X
};

static const char *const miss_names[] = {
#define MISS(NAME, name, text) name,
#define WAIT(NAME, name, text)
#define TAKE(NAME, name, text)
#include "upstream/stats.def"
#undef MISS
#undef WAIT
};
static const char *const wait_names[] = {
#define MISS(NAME, name, text)
#define WAIT(NAME, name, text) name,
#include "upstream/stats.def"
#undef WAIT
#undef TAKE
};
static const char *const take_names[] = {
#define WAIT(NAME, name, text)
#define TAKE(NAME, name, text) name,
#include "upstream/stats.def"
#undef MISS
#undef WAIT
#undef TAKE
};

static const char *const source_names[SOURCE_COUNT] = {"new", "reused", "taken_over"};
static const char *const place_names[PLACE_COUNT] = {"idle", "checkout", "release"};
static const char *const check_names[CHECK_COUNT] = {"passed", "failed"};
static const char *const result_names[RETRY_RESULT_COUNT] = {"replayed", "refused"};

const char *close_name(enum close_reason reason)
{
    must((unsigned)reason < CLOSE_COUNT);
    return close_names[reason];
}

const char *conn_source_name(enum conn_source source)
{
    must((unsigned)source < SOURCE_COUNT);
    return source_names[source];
}

const char *data_place_name(enum data_place place)
{
    must((unsigned)place < PLACE_COUNT);
    return place_names[place];
}

const char *check_result_name(enum check_result result)
{
    must((unsigned)result < CHECK_COUNT);
    return check_names[result];
}

const char *tls_result_name(enum tls_result result)
{
    static const char *const names[] = {
        [TLS_FULL] = "full", [TLS_RESUMED] = "resumed", [TLS_FAILED] = "failed"};
    return names[result];
}

const char *ping_result_name(enum ping_result result)
{
    must((unsigned)result < PING_RESULT_COUNT);
    return result == PING_ANSWERED ? "answered" : "lost";
}

const char *retry_result_name(enum retry_result result)
{
    must((unsigned)result < RETRY_RESULT_COUNT);
    return result_names[result];
}

const char *miss_name(enum miss_reason reason)
{
    must((unsigned)reason < MISS_COUNT);
    return miss_names[reason];
}

const char *wait_name(enum wait_result result)
{
    must((unsigned)result < WAIT_COUNT);
    return wait_names[result];
}

const char *take_name(enum take_result result)
{
    must((unsigned)result < TAKE_COUNT);
    return take_names[result];
}
