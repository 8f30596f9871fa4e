/* SPDX-License-Identifier: MIT */
#include "upstream/stats.h"

#include "base/check.h"

#include "tests/check.h"

typedef const char *name_of_fn(unsigned number);

static const char *close_of(unsigned number)
{
    return close_name((enum close_reason)number);
}
static const char *source_of(unsigned number)
{
    return conn_source_name((enum conn_source)number);
}
static const char *place_of(unsigned number)
{
    return data_place_name((enum data_place)number);
}
static const char *result_of(unsigned number)
{
    return retry_result_name((enum retry_result)number);
}

/* Labels are lower case words, and no two are the same. */
static void check_names(name_of_fn *name_of, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        CHECK(strlen(name_of(i)) > 0);
        CHECK_EQ(strlen(name_of(i)), strspn(name_of(i), "abcdefghijklmnopqrstuvwxyz_"));
        for (unsigned j = 0; j < i; j++)
            CHECK(strcmp(name_of(i), name_of(j)) != 0);
    }
}

TEST(names_are_labels_and_unique)
{
    check_names(close_of, CLOSE_COUNT);
    check_names(source_of, SOURCE_COUNT);
    check_names(place_of, PLACE_COUNT);
    check_names(result_of, RETRY_RESULT_COUNT);
}

/* docs/operating.md: these names are fixed for users, so a row may come but none may change. */
TEST(close_reasons_are_those_of_the_contract)
{
    static const char *const contract[] = {
        "idle_timeout",    "learned_idle_timeout",
        "peer_closed",     "peer_reset",
        "unexpected_data", "evicted",
        "max_age",         "max_requests",
        "not_reusable",    "error",
        "goaway",          "ping_timeout",
        "drained",         "shutdown",
    };
    for (unsigned reason = 0; reason < CLOSE_COUNT; reason++) {
        bool known = false;
        for (size_t i = 0; i < COUNT_OF(contract); i++)
            known |= strcmp(contract[i], close_of(reason)) == 0;
        if (!CHECK(known))
            printf("# %s\n", close_of(reason));
    }
    CHECK(!strcmp("idle_timeout", close_name(CLOSE_IDLE_TIMEOUT)));
    CHECK(!strcmp("peer_closed", close_name(CLOSE_PEER_CLOSED)));
    CHECK(!strcmp("peer_reset", close_name(CLOSE_PEER_RESET)));
    CHECK(!strcmp("unexpected_data", close_name(CLOSE_UNEXPECTED_DATA)));
    CHECK(!strcmp("evicted", close_name(CLOSE_EVICTED)));
    CHECK(!strcmp("max_age", close_name(CLOSE_MAX_AGE)));
    CHECK(!strcmp("max_requests", close_name(CLOSE_MAX_REQUESTS)));
    CHECK(!strcmp("not_reusable", close_name(CLOSE_NOT_REUSABLE)));
    CHECK(!strcmp("error", close_name(CLOSE_ERROR)));
    CHECK(!strcmp("drained", close_name(CLOSE_DRAINED)));
    CHECK(!strcmp("shutdown", close_name(CLOSE_SHUTDOWN)));
}

TEST(other_labels_are_those_of_the_contract)
{
    CHECK(!strcmp("new", conn_source_name(SOURCE_NEW)));
    CHECK(!strcmp("reused", conn_source_name(SOURCE_REUSED)));
    CHECK(!strcmp("taken_over", conn_source_name(SOURCE_TAKEN_OVER)));
    CHECK(!strcmp("idle", data_place_name(PLACE_IDLE)));
    CHECK(!strcmp("checkout", data_place_name(PLACE_CHECKOUT)));
    CHECK(!strcmp("release", data_place_name(PLACE_RELEASE)));
    CHECK(!strcmp("replayed", retry_result_name(RETRY_REPLAYED)));
    CHECK(!strcmp("refused", retry_result_name(RETRY_REFUSED)));
}

CHECK_MAIN
