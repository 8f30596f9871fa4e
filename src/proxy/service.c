/* SPDX-License-Identifier: MIT */
#include "proxy/service.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdlib.h>

static void upstream_part_fini(struct upstream_part *part)
{
    for (unsigned i = 0; i < part->balance.count; i++)
        free(part->balance.servers[i].peer);
    free(part->balance.servers);
    hash_ring_fini(&part->balance.ring);
}

/* The servers take turns with the source addresses of their family. */
static struct addr source_for(const struct upstream_options *options, unsigned server)
{
    sa_family_t family = options->servers[server].addr.any.sa_family;
    struct addr none = {0};
    for (unsigned i = 0; i < options->bind_to_count; i++) {
        const struct addr *source = &options->bind_to[(server + i) % options->bind_to_count];
        if (source->any.sa_family == family)
            return *source;
    }
    return none;
}

static bool counts_active(const struct upstream_options *options)
{
    return options->balance == BALANCE_LEAST_CONNECTIONS || options->balance == BALANCE_RANDOM;
}

/* Any of these will do, of the server's family. */
static void set_sources(const struct service_options *options, struct peer_options *peer)
{
    if (peer->addr.any.sa_family == AF_INET) {
        peer->sources = options->client_bind_v4;
        peer->source_count = options->client_bind_v4_count;
    } else if (peer->addr.any.sa_family == AF_INET6) {
        peer->sources = options->client_bind_v6;
        peer->source_count = options->client_bind_v6_count;
    }
}

static struct peer *new_peer(const struct service_options *service, unsigned number,
                             unsigned server)
{
    const struct upstream_options *options = &service->upstreams[number];
    struct peer_options peer_options;
    struct peer *peer = malloc(sizeof *peer);
    if (!peer)
        return NULL;
    peer_options_init(&peer_options);
    peer_options.upstream = options->name;
    peer_options.upstream_number = number;
    peer_options.addr = options->servers[server].addr;
    peer_options.source = source_for(options, server);
    set_sources(service, &peer_options);
    peer_options.protocol = options->protocol;
    peer_options.group_key = options->group_key;
    peer_options.limits = options->limits;
    peer_options.tcp = options->tcp;
    peer_options.counts_active = counts_active(options);
    peer_init(peer, &peer_options);
    return peer;
}

static enum weir_err add_servers(struct service *service, struct upstream_part *part,
                                 unsigned number)
{
    const struct upstream_options *options = part->options;
    for (unsigned i = 0; i < options->server_count; i++) {
        struct balance_server *server = &part->balance.servers[i];
        server->peer = new_peer(service->options, number, i);
        if (!server->peer)
            return WEIR_E_NO_MEMORY;
        part->balance.count++;
        server->weight = options->servers[i].weight;
        struct pool_key *key = pool_key_of(&service->pool, server->peer);
        if (!key)
            return WEIR_E_NO_MEMORY;
        if (counts_active(options))
            server->active = &gate_of(key)->active;
    }
    return WEIR_OK;
}

static enum weir_err make_ring(struct balance *balance, const struct upstream_options *options)
{
    unsigned weights = 0;
    for (unsigned i = 0; i < options->server_count; i++)
        weights += options->servers[i].weight;
    if (!hash_ring_init(&balance->ring, weights))
        return WEIR_E_NO_MEMORY;
    for (unsigned i = 0; i < options->server_count; i++)
        hash_ring_add(&balance->ring, i, slice_str(options->servers[i].text),
                      options->servers[i].weight);
    hash_ring_sort(&balance->ring);
    return WEIR_OK;
}

static enum weir_err upstream_part_init(struct service *service, struct upstream_part *part,
                                        unsigned number)
{
    const struct upstream_options *options = &service->options->upstreams[number];
    part->options = options;
    part->balance.policy = options->balance;
    rand_init(&part->balance.rand, rand_seed_from_kernel());
    budget_init(&part->budget, options->retry.budget_percent);
    part->balance.servers = calloc(options->server_count, sizeof *part->balance.servers);
    if (!part->balance.servers)
        return WEIR_E_NO_MEMORY;
    TRY(add_servers(service, part, number));
    return options->balance == BALANCE_CONSISTENT_HASH ? make_ring(&part->balance, options)
                                                       : WEIR_OK;
}

static enum weir_err init_upstreams(struct service *service)
{
    const struct service_options *options = service->options;
    service->upstreams = calloc(options->upstream_count, sizeof *service->upstreams);
    service->upstream_stats = calloc(options->upstream_count, sizeof *service->upstream_stats);
    if (!service->upstreams || !service->upstream_stats)
        return WEIR_E_NO_MEMORY;
    for (unsigned i = 0; i < options->upstream_count; i++)
        TRY(upstream_part_init(service, &service->upstreams[i], i));
    return WEIR_OK;
}

static void init_pool(struct service *service, const struct service_parts *parts)
{
    struct pool_options options = {
        .loop = parts->loop,
        .streams = parts->streams,
        .commons = parts->commons,
        .family = parts->family,
        .worker = parts->worker,
        .stats = service->upstream_stats,
        .seed = rand_seed_from_kernel(),
    };
    pool_init(&service->pool, &options);
}

static void init_downstream(struct service *service, const struct service_parts *parts)
{
    struct downstream_options options = {
        .loop = parts->loop,
        .streams = parts->streams,
        .client = &service->options->client,
        .handler = serve,
        .owner = service,
    };
    downstream_init(&service->downstream, &options);
}

enum weir_err service_open(const struct service_options *options, const struct service_parts *parts,
                           struct service **ret_service)
{
    struct service *service = calloc(1, sizeof *service);
    if (!service)
        return WEIR_E_NO_MEMORY;
    service->options = options;
    service->loop = parts->loop;
    service->log = parts->log;
    service->log_owner = parts->log_owner;
    init_pool(service, parts);
    init_downstream(service, parts);
    enum weir_err err = init_upstreams(service);
    service->pool.stats = service->upstream_stats;
    if (!err && parts->worker == 0)
        err = warm_start(&service->warm, service);
    if (err)
        service_close(&service);
    else
        *ret_service = service;
    return err;
}

void service_close(struct service **service)
{
    struct service *closing = *service;
    *service = NULL;
    if (!closing)
        return;
    warm_stop(&closing->warm);
    downstream_fini(&closing->downstream);
    pool_fini(&closing->pool);
    for (unsigned i = 0; closing->upstreams && i < closing->options->upstream_count; i++)
        upstream_part_fini(&closing->upstreams[i]);
    free(closing->upstreams);
    free(closing->upstream_stats);
    free(closing);
}

void service_drain(struct service *service)
{
    warm_stop(&service->warm);
    downstream_drain(&service->downstream);
    pool_drain(&service->pool);
}

bool service_has_ended(const struct service *service)
{
    return downstream_is_empty(&service->downstream) && pool_is_quiet(&service->pool);
}
