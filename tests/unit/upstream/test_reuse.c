/* SPDX-License-Identifier: MIT */
#include "upstream/reuse.h"

#include "base/check.h"

#include "tests/check.h"

/* Everything is well: kept. */
static struct keep_facts good(void)
{
    return (struct keep_facts){
        .requests = 1,
        .age = weir_span_s(1),
        .max_age = weir_span_s(3600),
        .idle_timeout = weir_span_s(60),
        .pool_size = 128,
    };
}

/* Adds to `facts` what makes `keep` hold. One per row of keep.def; `false`: a row has none. */
static bool spoil_flag(struct keep_facts *facts, enum keep keep)
{
    switch (keep) {
    case KEEP_NOT_UPGRADED:
        return facts->upgraded = true;
    case KEEP_NOT_REQUEST_INCOMPLETE:
        return facts->request_incomplete = true;
    case KEEP_NOT_RESPONSE_INCOMPLETE:
        return facts->response_incomplete = true;
    case KEEP_NOT_CLOSE_DELIMITED:
        return facts->close_delimited = true;
    case KEEP_NOT_EXCESS_BODY:
        return facts->excess_body = true;
    case KEEP_NOT_HTTP10_TRANSFER_ENCODING:
        return facts->http10_transfer_encoding = true;
    case KEEP_NOT_DOUBTFUL_FRAMING:
        return facts->doubtful_framing = true;
    case KEEP_NOT_SENT_CLOSE:
        return facts->sent_close = true;
    case KEEP_NOT_RESPONSE_CLOSE:
        return facts->response_close = true;
    case KEEP_NOT_HTTP10_NO_KEEPALIVE:
        return facts->http10_no_keepalive = true;
    case KEEP_NOT_PRIVATE:
        return facts->is_private = true;
    case KEEP_NOT_SERVICE_DRAINING:
        return facts->service_draining = true;
    case KEEP_NOT_PEER_DRAINED:
        return facts->peer_drained = true;
    case KEEP_NOT_CLOSED:
        return facts->peer_ended = true;
    case KEEP_NOT_UNEXPECTED_DATA:
        return facts->unexpected_data = true;
    case KEEP_NOT_AT_LIMIT:
        return facts->at_limit = true;
    default:
        return false;
    }
}

static bool spoil(struct keep_facts *facts, enum keep keep)
{
    switch (keep) {
    case KEEP_NOT_KEEPALIVE_TIMEOUT_ZERO:
        facts->keepalive_timeout_s = 0;
        return facts->has_keepalive_timeout = true;
    case KEEP_NOT_KEEPALIVE_MAX:
        facts->keepalive_max = 0;
        return facts->has_keepalive_max = true;
    case KEEP_NOT_MAX_REQUESTS:
        facts->max_requests = facts->requests;
        return true;
    case KEEP_NOT_LEARNED_MAX_REQUESTS:
        facts->learned_max_requests = facts->requests;
        return true;
    case KEEP_NOT_MAX_AGE:
        facts->max_age = facts->age;
        return true;
    case KEEP_NOT_POOLING_OFF:
        facts->pool_size = 0;
        return true;
    default:
        return spoil_flag(facts, keep);
    }
}

TEST(nothing_against_it_keeps_it)
{
    struct keep_facts facts = good();
    CHECK_EQ(KEEP, keep_decide(&facts));
}

TEST(each_reason_alone_is_the_one_told)
{
    for (enum keep keep = KEEP + 1; keep < KEEP_COUNT; keep++) {
        struct keep_facts facts = good();
        if (!CHECK(spoil(&facts, keep)))
            printf("# no facts here make \"%s\"\n", keep_name(keep));
        CHECK_EQ(keep, keep_decide(&facts));
    }
}

TEST(of_any_two_reasons_the_earlier_row_is_told)
{
    for (enum keep first = KEEP + 1; first < KEEP_COUNT; first++)
        for (enum keep second = first + 1; second < KEEP_COUNT; second++) {
            struct keep_facts facts = good();
            spoil(&facts, first);
            spoil(&facts, second);
            if (!CHECK_EQ(first, keep_decide(&facts)))
                printf("# %s and %s\n", keep_name(first), keep_name(second));
        }
}

TEST(pooling_is_off_by_size_or_by_idle_timeout)
{
    struct keep_facts facts = good();
    facts.idle_timeout = weir_span_ns(0);
    CHECK_EQ(KEEP_NOT_POOLING_OFF, keep_decide(&facts));
    facts.has_keepalive_timeout = true;
    facts.keepalive_timeout_s = 100;
    CHECK_EQ(KEEP_NOT_POOLING_OFF, keep_decide(&facts));
    facts = good();
    facts.pool_size = 1;
    CHECK_EQ(KEEP, keep_decide(&facts));
}

TEST(limits_hold_at_their_value_and_zero_is_none)
{
    struct keep_facts facts = good();
    facts.requests = 99;
    facts.max_requests = 100;
    CHECK_EQ(KEEP, keep_decide(&facts));
    facts.requests = 100;
    CHECK_EQ(KEEP_NOT_MAX_REQUESTS, keep_decide(&facts));
    facts.max_requests = 0;
    facts.requests = UINT64_MAX;
    CHECK_EQ(KEEP, keep_decide(&facts));

    facts.age = weir_span_ns(facts.max_age.ns - 1);
    CHECK_EQ(KEEP, keep_decide(&facts));
    facts.age = facts.max_age;
    CHECK_EQ(KEEP_NOT_MAX_AGE, keep_decide(&facts));
    facts.max_age = WEIR_FOREVER;
    CHECK_EQ(KEEP, keep_decide(&facts));

    facts.has_keepalive_max = true;
    facts.keepalive_max = 1;
    CHECK_EQ(KEEP, keep_decide(&facts));
}

TEST(a_keepalive_timeout_without_its_has_is_no_hint)
{
    struct keep_facts facts = good();
    facts.keepalive_timeout_s = 0;
    facts.keepalive_max = 0;
    CHECK_EQ(KEEP, keep_decide(&facts));
    CHECK_EQ(weir_span_s(60).ns, keep_rest(&facts).ns);
}

struct rest_case {
    int64_t idle_ms; /* -1: for ever */
    bool has_hint;
    uint64_t hint_s;
    int64_t rest_ms; /* -1: for ever */
    enum keep keep;
};

TEST(rest_is_the_least_of_idle_timeout_and_the_hint_less_its_margin)
{
    static const struct rest_case cases[] = {
        {60000, false, 0, 60000, KEEP},
        {60000, true, 0, 0, KEEP_NOT_KEEPALIVE_TIMEOUT_ZERO},
        {60000, true, 1, 0, KEEP_NOT_KEEPALIVE_TIMEOUT_ZERO},
        {60000, true, 2, 1000, KEEP},
        {60000, true, 5, 4000, KEEP},
        {60000, true, 9, 8000, KEEP},
        {60000, true, 10, 9000, KEEP},
        {60000, true, 11, 9900, KEEP},
        {60000, true, 60, 54000, KEEP},
        {60000, true, 66, 59400, KEEP},
        {60000, true, 67, 60000, KEEP},
        {60000, true, 75, 60000, KEEP},
        {500, true, 2, 500, KEEP},
        {-1, false, 0, -1, KEEP},
        {-1, true, 1, 0, KEEP_NOT_KEEPALIVE_TIMEOUT_ZERO},
        {-1, true, 5, 4000, KEEP},
        {-1, true, 31536000, 28382400000, KEEP},
        {-1, true, 31536001, -1, KEEP},
        {-1, true, UINT64_MAX, -1, KEEP},
        {60000, true, UINT64_MAX, 60000, KEEP},
        {60000, true, (uint64_t)INT64_MAX, 60000, KEEP},
        {60000, true, UINT64_MAX / 1000 + 2, 60000, KEEP},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct rest_case *row = &cases[i];
        struct keep_facts facts = good();
        facts.idle_timeout = row->idle_ms < 0 ? WEIR_FOREVER : weir_span_ms(row->idle_ms);
        facts.has_keepalive_timeout = row->has_hint;
        facts.keepalive_timeout_s = row->hint_s;
        struct weir_span want = row->rest_ms < 0 ? WEIR_FOREVER : weir_span_ms(row->rest_ms);
        bool same = CHECK_EQ(want.ns, keep_rest(&facts).ns);
        if (!CHECK_EQ(row->keep, keep_decide(&facts)) || !same)
            printf("# row %zu\n", i);
    }
}

TEST(each_reason_has_a_name_of_its_own_and_a_text)
{
    for (enum keep a = KEEP; a < KEEP_COUNT; a++) {
        CHECK(strlen(keep_text(a)) > 0);
        for (const char *at = keep_name(a); *at; at++)
            CHECK((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '_');
        for (enum keep b = a + 1; b < KEEP_COUNT; b++)
            CHECK(strcmp(keep_name(a), keep_name(b)) != 0);
    }
}

CHECK_MAIN
