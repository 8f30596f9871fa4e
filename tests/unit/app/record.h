/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_APP_RECORD_H
#define TESTS_UNIT_APP_RECORD_H

/* What serve() tells of an exchange: a GET answered with 200 over a reused connection. */

#include "base/slice.h"
#include "downstream/exchange.h"
#include "proxy/service.h"

static uint64_t record_sent_bytes(const struct exchange *exchange)
{
    (void)exchange;
    return 345;
}

static const struct exchange_ops record_ops = {.sent_bytes = record_sent_bytes};

struct record {
    struct service_options options;
    struct service service;
    struct http_request request;
    struct exchange exchange;
    struct access_record access;
};

/* `record` is large and points into itself: static, and never moved. */
static inline void record_init(struct record *record)
{
    *record = (struct record){
        .options = {.name = "edge"},
        .request = {.method = METHOD_GET,
                    .minor = 1,
                    .method_text = SLICE("GET"),
                    .authority = SLICE("example.com:80"),
                    .path = SLICE("/a?b")},
        .exchange = {.ops = &record_ops, .received_bytes = 12, .status = 200},
        .access = {.duration = weir_span_ns(1234567),
                   .upstream = "web",
                   .peer = "10.0.0.1:8080",
                   .connected = true,
                   .story = {.source = SOURCE_REUSED,
                             .connection_id = 17,
                             .connection_requests = 40,
                             .connection_age = weir_span_ms(5120),
                             .connection_idle = weir_span_ms(12)},
                   .attempts = 1},
    };
    (void)addr_parse(SLICE("127.0.0.1:5000"), &record->exchange.client);
    record->service.options = &record->options;
    record->exchange.request = &record->request;
    record->access.service = &record->service;
    record->access.exchange = &record->exchange;
}

#endif
