/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_HTTP_FEED_H
#define TESTS_UNIT_HTTP_FEED_H

/*
 * Feeds a head to the parser whole, byte by byte with one cursor, and each prefix by itself, and
 * checks that all agree. Every prefix lies in memory of just its size, so that a sanitizer sees a
 * byte read too many.
 */

#include "http/h1_parse.h"
#include "tests/check.h"

#include <stdlib.h>

enum feed_kind { FEED_REQUEST, FEED_RESPONSE, FEED_TRAILERS };

struct feed_outcome {
    enum h1_result result;
    enum h1_fault fault;
    size_t bytes;
};

/* The last head that was read; too large for a stack. Its slices view the text that was fed. */
static struct http_request feed_request;
static struct http_response feed_response;
static struct fields feed_trailers;

static struct feed_outcome feed_once(enum feed_kind kind, struct weir_slice text,
                                     struct h1_cursor *cursor, const struct h1_limits *limits)
{
    struct feed_outcome outcome = {.fault = H1_FAULT_NONE};
    if (kind == FEED_REQUEST)
        outcome.result =
            h1_parse_request(text, cursor, limits, &feed_request, &outcome.bytes, &outcome.fault);
    if (kind == FEED_RESPONSE)
        outcome.result =
            h1_parse_response(text, cursor, limits, &feed_response, &outcome.bytes, &outcome.fault);
    if (kind == FEED_TRAILERS)
        outcome.result =
            h1_parse_trailers(text, cursor, limits, &feed_trailers, &outcome.bytes, &outcome.fault);
    return outcome;
}

static struct feed_outcome feed_prefix(enum feed_kind kind, struct weir_slice text, size_t length,
                                       struct h1_cursor *cursor, const struct h1_limits *limits)
{
    char *copy = malloc(length > 0 ? length : 1);
    if (length > 0)
        memcpy(copy, text.at, length);
    struct feed_outcome outcome =
        feed_once(kind, (struct weir_slice){copy, length}, cursor, limits);
    free(copy);
    return outcome;
}

/* With a cursor, a fault may stay unseen until its line is whole. */
static bool may_want_more(struct weir_slice text, size_t length, bool has_cursor,
                          struct feed_outcome whole)
{
    bool line_is_open = length > 0 && text.at[length - 1] != '\n';
    if (whole.result == H1_DONE)
        return length < whole.bytes;
    return whole.result == H1_MORE || length < text.len || (has_cursor && line_is_open);
}

/* `cursor` NULL: a fresh one for each prefix. */
static void feed_prefixes(enum feed_kind kind, struct weir_slice text, struct h1_cursor *cursor,
                          const struct h1_limits *limits, struct feed_outcome whole)
{
    for (size_t length = 0; length <= text.len; length++) {
        struct h1_cursor fresh = {0};
        struct feed_outcome now = feed_prefix(kind, text, length, cursor ? cursor : &fresh, limits);
        bool fine;
        if (now.result == H1_MORE)
            fine = may_want_more(text, length, cursor != NULL, whole);
        else
            fine = now.result == whole.result && now.fault == whole.fault &&
                   now.bytes == whole.bytes && length >= whole.bytes;
        if (!fine) {
            printf("# at %zu of \"%.*s\": result %d, fault %s, %zu bytes\n", length, (int)text.len,
                   text.at, now.result, h1_fault_name(now.fault), now.bytes);
            CHECK(fine);
            return;
        }
        if (now.result != H1_MORE)
            return;
    }
}

/* Feeds `text` in all ways; what the whole gave is the answer, and is in feed_request or its kin.
 */
__attribute__((unused)) static struct feed_outcome
feed_with(enum feed_kind kind, struct weir_slice text, const struct h1_limits *limits)
{
    struct h1_cursor cursor = {0}, bytewise = {0};
    struct feed_outcome whole = feed_once(kind, text, &cursor, limits);
    feed_prefixes(kind, text, NULL, limits, whole);
    feed_prefixes(kind, text, &bytewise, limits, whole);
    cursor = (struct h1_cursor){0};
    feed_once(kind, text, &cursor, limits);
    return whole;
}

__attribute__((unused)) static struct feed_outcome feed(enum feed_kind kind, struct weir_slice text)
{
    struct h1_limits limits;
    h1_limits_init(&limits);
    return feed_with(kind, text, &limits);
}

/* One row of the tables: a text and what is wrong with it; H1_FAULT_NONE: it is a whole head. */
struct feed_case {
    struct weir_slice text;
    enum h1_fault fault;
};

__attribute__((unused)) static void feed_cases(enum feed_kind kind, const struct feed_case *cases,
                                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct feed_outcome outcome = feed(kind, cases[i].text);
        enum h1_result want = cases[i].fault == H1_FAULT_NONE ? H1_DONE : H1_BAD;
        bool same = outcome.result == want && outcome.fault == cases[i].fault;
        if (!same)
            printf("# row %zu, \"%.*s\": result %d, fault %s, not %s\n", i, (int)cases[i].text.len,
                   cases[i].text.at, outcome.result, h1_fault_name(outcome.fault),
                   h1_fault_name(cases[i].fault));
        CHECK(same);
        if (want == H1_DONE)
            CHECK_EQ(cases[i].text.len, outcome.bytes);
    }
}

/* A text of `count` times `byte` between two others; freed by the caller. */
__attribute__((unused)) static struct weir_slice feed_long(const char *front, char byte,
                                                           size_t count, const char *back)
{
    size_t front_bytes = strlen(front), back_bytes = strlen(back);
    char *text = malloc(front_bytes + count + back_bytes);
    memcpy(text, front, front_bytes);
    memset(text + front_bytes, byte, count);
    memcpy(text + front_bytes + count, back, back_bytes);
    return (struct weir_slice){text, front_bytes + count + back_bytes};
}

#endif
