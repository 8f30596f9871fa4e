/* SPDX-License-Identifier: MIT */
/* docs/reuse.md, as the complete product of what can be. */
#include "upstream/retry.h"

#include "base/check.h"

#include "tests/check.h"

/* A stale connection: reused, the request sent, nothing received, and the body can be sent again.
 */
static struct retry_facts stale(enum http_method method)
{
    return (struct retry_facts){
        .err = WEIR_E_EOF,
        .connected = true,
        .any_sent = true,
        .reused = true,
        .body_whole = true,
        .method = method,
        .attempts_max = 2,
    };
}

static struct retry_facts refused(void)
{
    return (struct retry_facts){
        .err = WEIR_E_REFUSED, .body_whole = true, .method = METHOD_POST, .attempts_max = 2};
}

static const enum http_method idempotent[] = {METHOD_GET,   METHOD_HEAD, METHOD_OPTIONS,
                                              METHOD_TRACE, METHOD_PUT,  METHOD_DELETE};
static const enum http_method others[] = {METHOD_POST, METHOD_PATCH, METHOD_CONNECT, METHOD_OTHER};

TEST(a_stale_connection_is_tried_once_more_for_idempotent_methods)
{
    for (size_t i = 0; i < COUNT_OF(idempotent); i++) {
        struct retry_facts facts = stale(idempotent[i]);
        CHECK_EQ(RETRY_FRESH, retry_decide(&facts));
        facts.err = WEIR_E_RESET;
        CHECK_EQ(RETRY_FRESH, retry_decide(&facts));
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct retry_facts facts = stale(others[i]);
        CHECK_EQ(RETRY_NOT_IDEMPOTENT, retry_decide(&facts));
    }
}

TEST(the_key_of_the_client_or_the_word_of_the_operator_allow_any_method)
{
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct retry_facts facts = stale(others[i]);
        facts.has_idempotency_key = true;
        CHECK_EQ(RETRY_FRESH, retry_decide(&facts));
        facts = stale(others[i]);
        facts.non_idempotent = true;
        CHECK_EQ(RETRY_FRESH, retry_decide(&facts));
    }
}

TEST(what_was_not_sent_may_go_again_whatever_it_is)
{
    struct retry_facts facts = stale(METHOD_POST);
    facts.any_sent = false;
    CHECK_EQ(RETRY_FRESH, retry_decide(&facts));
}

TEST(a_fresh_connection_that_breaks_may_have_served_it)
{
    struct retry_facts facts = stale(METHOD_GET);
    facts.reused = false;
    CHECK_EQ(RETRY_NOT_FRESH_BROKE, retry_decide(&facts));
    facts.non_idempotent = facts.has_idempotency_key = true;
    CHECK_EQ(RETRY_NOT_FRESH_BROKE, retry_decide(&facts));
    facts.any_sent = false;
    CHECK_EQ(RETRY_FRESH, retry_decide(&facts));
    facts.attempts = facts.attempts_max;
    CHECK_EQ(RETRY_NOT_ATTEMPTS, retry_decide(&facts));
}

/* It costs no attempt: with one server and no attempts it is still right. */
TEST(a_stale_connection_costs_no_attempt)
{
    struct retry_facts facts = stale(METHOD_GET);
    facts.attempts_max = 0;
    CHECK_EQ(RETRY_FRESH, retry_decide(&facts));
}

TEST(failing_to_connect_goes_to_the_next_server)
{
    struct retry_facts facts = refused();
    CHECK_EQ(RETRY_NEXT, retry_decide(&facts));
    facts.attempts = 1;
    CHECK_EQ(RETRY_NEXT, retry_decide(&facts));
    facts.attempts = 2;
    CHECK_EQ(RETRY_NOT_ATTEMPTS, retry_decide(&facts));
    facts = refused();
    facts.body_whole = false;
    CHECK_EQ(RETRY_NOT_BODY_GONE, retry_decide(&facts));
}

static bool in(enum weir_err err, const enum weir_err *set, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (set[i] == err)
            return true;
    return false;
}

/* What a server says that it has not begun may go again, whatever it is, but not without end. */
TEST(unprocessed)
{
    struct retry_facts facts = stale(METHOD_POST);
    facts.err = WEIR_E_STREAM_REFUSED;
    CHECK_EQ(RETRY_AGAIN, retry_decide(&facts));
    facts.reused = false;
    CHECK_EQ(RETRY_AGAIN, retry_decide(&facts));
    facts.unprocessed = UNPROCESSED_MAX;
    CHECK_EQ(RETRY_NOT_ATTEMPTS, retry_decide(&facts));
    facts.unprocessed = 0;
    facts.body_whole = false;
    CHECK_EQ(RETRY_NOT_BODY_GONE, retry_decide(&facts));
    facts.body_whole = true;
    facts.any_received = true;
    CHECK_EQ(RETRY_NOT_RECEIVED, retry_decide(&facts));
    facts = stale(METHOD_GET);
    facts.err = WEIR_E_HTTP_1_1_REQUIRED;
    CHECK_EQ(RETRY_AGAIN, retry_decide(&facts));
    facts.only_http2 = true;
    CHECK_EQ(RETRY_NOT_FINAL, retry_decide(&facts));
}

/* Which errors are worth another try: every row of err.def. */
TEST(each_error_by_name)
{
    static const enum weir_err anywhere[] = {
        WEIR_E_REFUSED,         WEIR_E_UNREACHABLE,  WEIR_E_CONNECT_TIMEOUT, WEIR_E_NO_PORTS,
        WEIR_E_DNS_ERROR,       WEIR_E_DNS_TIMEOUT,  WEIR_E_QUEUE_FULL,      WEIR_E_PEER_DRAINED,
        WEIR_E_TLS_CERTIFICATE, WEIR_E_TLS_PROTOCOL, WEIR_E_TLS_ALERT,       WEIR_E_PROXY_REFUSED,
        WEIR_E_NO_HTTP2};
    static const enum weir_err if_reused[] = {WEIR_E_EOF, WEIR_E_RESET, WEIR_E_PING_TIMEOUT};
    static const enum weir_err unprocessed[] = {WEIR_E_STREAM_REFUSED, WEIR_E_HTTP_1_1_REQUIRED};
    for (enum weir_err err = WEIR_OK + 1; err < WEIR_E_COUNT; err++) {
        bool is_anywhere = in(err, anywhere, COUNT_OF(anywhere));
        bool is_if_reused = in(err, if_reused, COUNT_OF(if_reused));
        bool is_unprocessed = in(err, unprocessed, COUNT_OF(unprocessed));
        struct retry_facts facts = refused();
        facts.err = err;
        bool right = CHECK_EQ(is_anywhere ? RETRY_NEXT : RETRY_NOT_FINAL, retry_decide(&facts));
        facts = stale(METHOD_GET);
        facts.err = err;
        right &= CHECK_EQ(is_unprocessed                ? RETRY_AGAIN
                          : is_anywhere || is_if_reused ? RETRY_FRESH
                                                        : RETRY_NOT_FINAL,
                          retry_decide(&facts));
        if (!right)
            printf("# %s\n", weir_err_name(err));
    }
}

/* All flags in all combinations, three errors and two methods. */
enum { FLAGS = 9, COMBINATIONS = 1 << FLAGS };

static struct retry_facts combine(unsigned bits, enum weir_err err, enum http_method method)
{
    return (struct retry_facts){
        .err = err,
        .method = method,
        .connected = bits & 1,
        .head_sent = bits & 2,
        .any_received = bits & 4,
        .any_sent = bits & 8,
        .reused = bits & 16,
        .body_whole = bits & 32,
        .has_idempotency_key = bits & 64,
        .non_idempotent = bits & 128,
        .attempts = bits & 256 ? 1 : 0,
        .attempts_max = 1,
    };
}

/* docs/reuse.md once more, as conditions and not as a ladder. */
static bool may_retry(const struct retry_facts *facts)
{
    bool provably_not_processed = !facts->connected || !facts->any_sent;
    bool broke_when_reused =
        facts->connected && facts->reused &&
        (facts->err == WEIR_E_EOF || facts->err == WEIR_E_RESET || facts->err == WEIR_E_REFUSED);
    bool safe = facts->method == METHOD_GET || facts->has_idempotency_key || facts->non_idempotent;
    bool worth_it = facts->err == WEIR_E_REFUSED || (facts->connected && facts->err == WEIR_E_EOF);
    bool attempts_left = facts->attempts < facts->attempts_max || broke_when_reused;
    return !facts->head_sent && !facts->any_received && facts->body_whole && worth_it &&
           attempts_left && (provably_not_processed || (broke_when_reused && safe));
}

TEST(every_combination_is_as_the_rules_say)
{
    static const enum weir_err errs[] = {WEIR_E_REFUSED, WEIR_E_EOF, WEIR_E_RESPONSE_TIMEOUT};
    static const enum http_method methods[] = {METHOD_GET, METHOD_POST};
    for (size_t e = 0; e < COUNT_OF(errs); e++)
        for (size_t m = 0; m < COUNT_OF(methods); m++)
            for (unsigned bits = 0; bits < COMBINATIONS; bits++) {
                struct retry_facts facts = combine(bits, errs[e], methods[m]);
                enum retry_verdict verdict = retry_decide(&facts);
                bool right = CHECK_EQ(may_retry(&facts), retry_is_allowed(verdict));
                if (retry_is_allowed(verdict))
                    right &= CHECK_EQ(facts.connected ? RETRY_FRESH : RETRY_NEXT, verdict);
                if (!right)
                    printf("# %s, flags %x: verdict %d\n", weir_err_name(facts.err), bits, verdict);
            }
}

TEST(the_first_reason_is_the_one_told)
{
    struct retry_facts facts = stale(METHOD_POST);
    facts.body_whole = false;
    facts.reused = false;
    facts.err = WEIR_E_RESPONSE_TIMEOUT;
    facts.any_received = true;
    facts.head_sent = true;
    CHECK_EQ(RETRY_NOT_HEAD_SENT, retry_decide(&facts));
    facts.head_sent = false;
    CHECK_EQ(RETRY_NOT_RECEIVED, retry_decide(&facts));
    facts.any_received = false;
    CHECK_EQ(RETRY_NOT_FINAL, retry_decide(&facts));
    facts.err = WEIR_E_EOF;
    CHECK_EQ(RETRY_NOT_FRESH_BROKE, retry_decide(&facts));
    facts.reused = true;
    CHECK_EQ(RETRY_NOT_BODY_GONE, retry_decide(&facts));
    facts.body_whole = true;
    CHECK_EQ(RETRY_NOT_IDEMPOTENT, retry_decide(&facts));
}

CHECK_MAIN
