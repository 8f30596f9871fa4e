/* SPDX-License-Identifier: MIT */
#include "upstream/peer.h"

#include "base/check.h"

#include <stdlib.h>

void peer_options_init(struct peer_options *options)
{
    *options = (struct peer_options){
        .upstream = "",
        .protocol = PEER_HTTP1,
        .limits =
            {
                .connection_timeout = weir_span_s(5),
                .total_connection_timeout = weir_span_s(10),
                .read_timeout = weir_span_s(60),
                .write_timeout = weir_span_s(60),
                .idle_timeout = weir_span_s(60),
                .max_connection_age = weir_span_s(3600),
                .max_requests_per_connection = 0,
                .learn = true,
                .max_connections = 0,
                .max_dials = 64,
                .min_idle = 0,
                .fail_timeout = weir_span_s(1),
                .queue_size = 1024,
                .queue_timeout = weir_span_s(1),
            },
        .tcp =
            {
                .keepalive_idle = weir_span_s(45),
                .keepalive_interval = weir_span_s(5),
                .keepalive_count = 3,
                .user_timeout = WEIR_FOREVER,
            },
        .h2 =
            {
                .max_streams = 100,
                .stream_window = 8 << 20,
                .connection_window = 8 << 20,
                .ping_interval = WEIR_FOREVER,
                .ping_timeout = weir_span_s(5),
            },
    };
}

static void free_variety(struct peer *peer)
{
    struct peer *base = peer->base;
    free(peer);
    peer_unref(base);
}

void peer_unref(struct peer *peer)
{
    must(peer->references > 0);
    if (--peer->references > 0)
        return;
    if (peer->base)
        free_variety(peer);
    else if ((peer->drained || peer->disowned) && peer->unused)
        peer->unused(peer);
}

struct peer *peer_new_for(struct peer *base, const struct addr *client,
                          const struct addr *destination, uint64_t client_number)
{
    struct peer_options options = base->options;
    struct peer *peer = malloc(sizeof *peer);
    must(!base->base);
    if (!peer)
        return NULL;
    options.preface_source = *client;
    options.preface_destination = *destination;
    options.preface_client = client_number;
    peer_init(peer, &options);
    peer->base = peer_ref(base);
    return peer_ref(peer);
}

void peer_init(struct peer *peer, const struct peer_options *options)
{
    *peer = (struct peer){0};
    list_init(&peer->sibling);
    peer->options = *options;
    key_make(options, &peer->key);
    addr_print(&options->addr, peer->address_text);
    addr_print_ip(&options->addr, peer->ip_text);
}
