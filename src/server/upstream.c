/* SPDX-License-Identifier: MIT */
/* Upstreams of a program's: each server is read as the peer of its URL would be. */
#include "server/server.h"

#include "base/check.h"
#include "client/peer.h"

#include <string.h>

enum { WEIGHT_MAX = 1000 };

/* What is being added; the public options, and what comes of them. */
struct adding {
    struct weir_service *service;
    const struct weir_upstream_options *given;
    char *why;
    struct upstream_options options;
    struct server_options *servers; /* options.servers */
};

static void free_peer(void *peer)
{
    struct weir_peer *freed = peer;
    weir_peer_free(&freed);
}

static enum weir_err check(const struct adding *adding)
{
    const struct weir_upstream_options *given = adding->given;
    if (!given->name || given->count == 0)
        return server_tell(WEIR_E_CONFIG, adding->why, "an upstream has a name and a URL at least");
    for (unsigned i = 0; i < adding->service->options.upstream_count; i++)
        if (strcmp(adding->service->upstreams[i].name, given->name) == 0)
            return server_tell(WEIR_E_CONFIG, adding->why, "there is an upstream %s already",
                               given->name);
    for (unsigned i = 0; given->weights && i < given->count; i++)
        if (given->weights[i] == 0 || given->weights[i] > WEIGHT_MAX)
            return server_tell(WEIR_E_CONFIG, adding->why, "%s: a weight is 1 to %u",
                               given->urls[i], (unsigned)WEIGHT_MAX);
    if (given->health_path && (given->health_path[0] != '/' || given->health_interval.ns <= 0))
        return server_tell(WEIR_E_CONFIG, adding->why,
                           "health_path begins with '/', and health_interval is not 0");
    return WEIR_OK;
}

/* What holds for all servers is as the first one's peer has it, which stays for it. */
static void take_first(struct adding *adding, struct weir_peer *peer)
{
    struct weir_server *server = adding->service->server;
    struct upstream_options *options = &adding->options;
    memory_own(server->memory, peer, free_peer);
    options->protocol = peer->options.protocol;
    options->group_key = peer->options.group_key;
    options->limits = peer->options.limits;
    options->tcp = peer->options.tcp;
    options->h2 = peer->options.h2;
    options->tls = peer->options.tls;
    options->sni = peer->given.sni;
    if (peer->options.source.len > 0) {
        options->bind_to = &peer->options.source;
        options->bind_to_count = 1;
    }
}

static enum weir_err check_like_first(const struct adding *adding, const struct weir_peer *peer)
{
    const struct upstream_options *options = &adding->options;
    if (options->protocol == peer->options.protocol && !options->tls == !peer->options.tls)
        return WEIR_OK;
    return server_tell(WEIR_E_CONFIG, adding->why, "%s and %s do not go together",
                       adding->servers[0].text, peer->given.url);
}

static enum weir_err read_server(struct adding *adding, unsigned number)
{
    struct weir_server *server = adding->service->server;
    struct weir_peer_options given = adding->given->peer;
    struct weir_peer *peer = NULL;
    given.url = adding->given->urls[number];
    TRY(weir_peer_new(&given, adding->why, &peer));
    adding->servers[number] = (struct server_options){
        .text = server_copy(server, given.url),
        .host = server_copy(server, peer->host),
        .port = peer->port,
        .addr = peer->options.addr,
        .transport = peer->options.transport,
        .transport_address = server_copy(server, peer->options.transport_address),
        .weight = adding->given->weights ? adding->given->weights[number] : 1,
    };
    if (number == 0) {
        take_first(adding, peer);
        return WEIR_OK;
    }
    enum weir_err err = check_like_first(adding, peer);
    weir_peer_free(&peer);
    return err;
}

static enum weir_err read_servers(struct adding *adding)
{
    struct weir_server *server = adding->service->server;
    adding->servers = memory_array(server->memory, adding->given->count, sizeof *adding->servers);
    TRY(server_memory(server, adding->why));
    for (unsigned i = 0; i < adding->given->count; i++)
        TRY(read_server(adding, i));
    adding->options.servers = adding->servers;
    adding->options.server_count = adding->given->count;
    return WEIR_OK;
}

static void fill(struct adding *adding)
{
    struct upstream_options *options = &adding->options;
    options->name = server_copy(adding->service->server, adding->given->name);
    options->balance = (enum balance_policy)adding->given->balance;
    options->retry.attempts = adding->service->retries;
    options->health.path = server_copy(adding->service->server, adding->given->health_path);
    options->health.interval = adding->given->health_interval;
}

/* The first one is where everything goes of which nobody says where. */
static enum weir_err append(struct adding *adding)
{
    struct weir_service *service = adding->service;
    struct memory *memory = service->server->memory;
    unsigned count = service->options.upstream_count;
    struct upstream_options *upstreams = memory_array(memory, count + 1, sizeof *upstreams);
    struct route_options *route = memory_alloc(memory, sizeof *route);
    TRY(server_memory(service->server, adding->why));
    if (count > 0)
        memcpy(upstreams, service->upstreams, count * sizeof *upstreams);
    upstreams[count] = adding->options;
    service->upstreams = upstreams;
    service->options.upstreams = upstreams;
    service->options.upstream_count = count + 1;
    service->options.routes = route;
    service->options.route_count = 1;
    return WEIR_OK;
}

enum weir_err weir_service_add_upstream(struct weir_service *service,
                                        const struct weir_upstream_options *options,
                                        char ret_why[WEIR_WHY_BYTES])
{
    struct adding adding = {.service = service, .given = options, .why = ret_why};
    must(!service->server->runs);
    upstream_options_init(&adding.options);
    TRY(check(&adding));
    TRY(read_servers(&adding));
    fill(&adding);
    return append(&adding);
}
