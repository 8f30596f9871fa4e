/* SPDX-License-Identifier: MIT */
/* What a program's options say before it says anything: as docs/configuration.md does. */
#include "proxy/options.h"

#include <weir/server.h>

_Static_assert((int)WEIR_ROUND_ROBIN == BALANCE_ROUND_ROBIN &&
                   (int)WEIR_LEAST_CONNECTIONS == BALANCE_LEAST_CONNECTIONS &&
                   (int)WEIR_RANDOM == BALANCE_RANDOM &&
                   (int)WEIR_CONSISTENT_HASH == BALANCE_CONSISTENT_HASH,
               "one is the other");

void weir_server_options_init(struct weir_server_options *options)
{
    *options = (struct weir_server_options){
        .io = WEIR_IO_AUTO,
        .grace_period = weir_span_s(300),
    };
}

void weir_service_options_init(struct weir_service_options *options)
{
    struct service_options inner;
    struct upstream_options upstream;
    service_options_init(&inner);
    upstream_options_init(&upstream);
    *options = (struct weir_service_options){
        .name = "service",
        .pool_size = inner.upstream_keepalive_pool_size,
        .keepalive_timeout = inner.client.keepalive_timeout,
        .header_timeout = inner.client.header_timeout,
        .body_timeout = inner.client.body_timeout,
        .write_timeout = inner.client.write_timeout,
        .max_request_body = inner.client.max_request_body,
        .retries = upstream.retry.attempts,
    };
}

void weir_listen_options_init(struct weir_listen_options *options)
{
    struct listener_options inner;
    listener_options_init(&inner);
    *options = (struct weir_listen_options){
        .http1 = inner.speaks_h1,
        .http2 = inner.speaks_h2,
        .proxy_protocol = inner.expects_preface,
    };
}

void weir_upstream_options_init(struct weir_upstream_options *options)
{
    struct upstream_options inner;
    upstream_options_init(&inner);
    *options = (struct weir_upstream_options){
        .name = "default",
        .balance = (enum weir_balance)inner.balance,
        .health_interval = inner.health.interval,
    };
    weir_peer_options_init(&options->peer);
}
