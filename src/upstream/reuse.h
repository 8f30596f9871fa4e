/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_REUSE_H
#define UPSTREAM_REUSE_H

/*
 * May a connection be kept after an exchange, and for how long? Pure: what happened goes in as
 * facts, the first reason not to keep comes out.
 */

#include <weir/time.h>

#include <stdbool.h>
#include <stdint.h>

/* Timeouts beyond a year are as good as none, and do not overflow. */
#define KEEP_TIMEOUT_S_MAX ((uint64_t)31536000)

enum keep {
    KEEP,
#define X(NAME, name, text) KEEP_NOT_##NAME,
#include "upstream/keep.def"
#undef X
    KEEP_COUNT
};

/* Each `true` is a reason not to keep; keep.def tells what each means, in the order of its rows. */
struct keep_facts {
    bool upgraded;
    bool request_incomplete;
    bool response_incomplete;
    bool close_delimited;
    bool excess_body;
    bool doubtful_framing;
    bool http10_transfer_encoding;
    bool sent_close;
    bool response_close;
    bool http10_no_keepalive;
    bool has_keepalive_timeout, has_keepalive_max;
    uint64_t keepalive_timeout_s;    /* of the response's Keep-Alive field */
    uint64_t keepalive_max;          /* more requests that the server allows */
    uint64_t requests, max_requests; /* max 0: none */
    uint64_t learned_max_requests;   /* 0: none */
    struct weir_span age, max_age;
    bool is_private;
    bool service_draining;
    bool peer_drained;
    bool peer_ended;
    bool unexpected_data;
    bool at_limit;
    struct weir_span idle_timeout; /* 0: pooling is off */
    uint32_t pool_size;
};

enum keep keep_decide(const struct keep_facts *facts);

/*
 * How long it may rest: the least of idle_timeout and the server's Keep-Alive timeout less a margin
 * of one second or a tenth, the larger. WEIR_FOREVER without either.
 */
struct weir_span keep_rest(const struct keep_facts *facts);

/* The label of a reason, and a sentence. */
const char *keep_name(enum keep keep);
const char *keep_text(enum keep keep);

#endif
