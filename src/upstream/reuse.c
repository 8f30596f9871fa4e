/* SPDX-License-Identifier: MIT */
#include "upstream/reuse.h"

#include "base/check.h"

static bool has_margin_left(const struct keep_facts *facts)
{
    return !facts->has_keepalive_timeout || keep_rest(facts).ns > 0;
}

struct weir_span keep_rest(const struct keep_facts *facts)
{
    if (!facts->has_keepalive_timeout || facts->keepalive_timeout_s > KEEP_TIMEOUT_S_MAX)
        return facts->idle_timeout;
    int64_t timeout_ms = (int64_t)facts->keepalive_timeout_s * 1000;
    int64_t margin_ms = timeout_ms / 10 > 1000 ? timeout_ms / 10 : 1000;
    struct weir_span hinted = weir_span_ms(timeout_ms > margin_ms ? timeout_ms - margin_ms : 0);
    return hinted.ns < facts->idle_timeout.ns ? hinted : facts->idle_timeout;
}

enum keep keep_decide(const struct keep_facts *facts)
{
    if (facts->upgraded)
        return KEEP_NOT_UPGRADED;
    if (facts->request_incomplete)
        return KEEP_NOT_REQUEST_INCOMPLETE;
    if (facts->response_incomplete)
        return KEEP_NOT_RESPONSE_INCOMPLETE;
    if (facts->close_delimited)
        return KEEP_NOT_CLOSE_DELIMITED;
    if (facts->excess_body)
        return KEEP_NOT_EXCESS_BODY;
    /* The more precise reason first: such a response is doubtful as well. */
    if (facts->http10_transfer_encoding)
        return KEEP_NOT_HTTP10_TRANSFER_ENCODING;
    if (facts->doubtful_framing)
        return KEEP_NOT_DOUBTFUL_FRAMING;
    if (facts->sent_close)
        return KEEP_NOT_SENT_CLOSE;
    if (facts->response_close)
        return KEEP_NOT_RESPONSE_CLOSE;
    if (facts->http10_no_keepalive)
        return KEEP_NOT_HTTP10_NO_KEEPALIVE;
    if (facts->idle_timeout.ns > 0 && !has_margin_left(facts))
        return KEEP_NOT_KEEPALIVE_TIMEOUT_ZERO;
    if (facts->has_keepalive_max && facts->keepalive_max == 0)
        return KEEP_NOT_KEEPALIVE_MAX;
    if (facts->max_requests > 0 && facts->requests >= facts->max_requests)
        return KEEP_NOT_MAX_REQUESTS;
    if (facts->learned_max_requests > 0 && facts->requests >= facts->learned_max_requests)
        return KEEP_NOT_LEARNED_MAX_REQUESTS;
    if (facts->age.ns >= facts->max_age.ns)
        return KEEP_NOT_MAX_AGE;
    if (facts->is_private)
        return KEEP_NOT_PRIVATE;
    if (facts->service_draining)
        return KEEP_NOT_SERVICE_DRAINING;
    if (facts->peer_drained)
        return KEEP_NOT_PEER_DRAINED;
    if (facts->peer_ended)
        return KEEP_NOT_CLOSED;
    if (facts->unexpected_data)
        return KEEP_NOT_UNEXPECTED_DATA;
    if (facts->at_limit)
        return KEEP_NOT_AT_LIMIT;
    if (facts->pool_size == 0 || facts->idle_timeout.ns == 0)
        return KEEP_NOT_POOLING_OFF;
    return KEEP;
}

static const struct {
    const char *name, *text;
} rows[KEEP_COUNT] = {
    [KEEP] = {"kept", "it is kept"},
#define X(NAME, name, text) [KEEP_NOT_##NAME] = {name, text},
#include "upstream/keep.def"
#undef X
};

const char *keep_name(enum keep keep)
{
    must((unsigned)keep < KEEP_COUNT);
    return rows[keep].name;
}

const char *keep_text(enum keep keep)
{
    must((unsigned)keep < KEEP_COUNT);
    return rows[keep].text;
}
