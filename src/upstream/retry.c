/* SPDX-License-Identifier: MIT */
#include "upstream/retry.h"

static enum retry_verdict decide_connecting(const struct retry_facts *facts)
{
    if (weir_err_retry(facts->err) != WEIR_RETRY_ANYWHERE)
        return RETRY_NOT_FINAL;
    if (!facts->body_whole)
        return RETRY_NOT_BODY_GONE;
    if (facts->err == WEIR_E_PEER_DRAINED)
        return RETRY_NEXT; /* nobody was asked */
    if (facts->attempts >= facts->attempts_max)
        return RETRY_NOT_ATTEMPTS;
    return facts->budget_spent ? RETRY_NOT_BUDGET : RETRY_NEXT;
}

/* The server says that it has done nothing of it (RFC 9113 section 8.7): any method may go again.
 */
static enum retry_verdict decide_unprocessed(const struct retry_facts *facts)
{
    if (!facts->body_whole)
        return RETRY_NOT_BODY_GONE;
    return facts->unprocessed < UNPROCESSED_MAX ? RETRY_AGAIN : RETRY_NOT_ATTEMPTS;
}

bool retry_may_repeat(const struct retry_facts *facts)
{
    return http_method_is_idempotent(facts->method) || facts->has_idempotency_key ||
           facts->non_idempotent;
}

enum retry_verdict retry_decide(const struct retry_facts *facts)
{
    if (facts->head_sent)
        return RETRY_NOT_HEAD_SENT;
    if (facts->any_received)
        return RETRY_NOT_RECEIVED;
    if (!facts->connected)
        return decide_connecting(facts);
    if (weir_err_retry(facts->err) == WEIR_RETRY_NEVER)
        return RETRY_NOT_FINAL;
    if (facts->err == WEIR_E_HTTP_1_1_REQUIRED && facts->only_http2)
        return RETRY_NOT_FINAL;
    if (weir_err_retry(facts->err) == WEIR_RETRY_UNPROCESSED)
        return decide_unprocessed(facts);
    if (!facts->reused && facts->any_sent)
        return RETRY_NOT_FRESH_BROKE;
    if (!facts->body_whole)
        return RETRY_NOT_BODY_GONE;
    if (facts->any_sent && !retry_may_repeat(facts))
        return RETRY_NOT_IDEMPOTENT;
    /* A stale connection costs no attempt: the next one is fresh, so there is one such try at most.
     */
    if (!facts->reused && facts->attempts >= facts->attempts_max)
        return RETRY_NOT_ATTEMPTS;
    return RETRY_FRESH;
}
