/* SPDX-License-Identifier: MIT */
#include "proxy/options.h"

void mirror_options_init(struct mirror_options *options)
{
    *options = (struct mirror_options){.body_limit = 64 * 1024};
}

void upstream_options_init(struct upstream_options *options)
{
    struct peer_options peer;
    peer_options_init(&peer);
    *options = (struct upstream_options){
        .protocol = peer.protocol,
        .group_key = peer.group_key,
        .limits = peer.limits,
        .tcp = peer.tcp,
        .h2 = peer.h2,
        .retry = {.attempts = 2, .body_buffer = 64 * 1024, .budget_percent = 20},
        .balance = BALANCE_ROUND_ROBIN,
        .hash_on = HASH_ON_URI,
        .health =
            {
                .interval = weir_span_s(5),
                .timeout = weir_span_s(1),
                .rise = 2,
                .fall = 3,
            },
    };
}

void service_options_init(struct service_options *options)
{
    *options = (struct service_options){
        .upstream_keepalive_pool_size = 128,
        .resolver = {.timeout = weir_span_s(2), .tries = 3},
    };
    client_options_init(&options->client);
    upstream_options_init(&options->program);
    options->program.name = "program";
}
