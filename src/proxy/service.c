/* SPDX-License-Identifier: MIT */
#include "proxy/service.h"

#include "base/check.h"
#include "proxy/servers.h"
#include "proxy/subrequest.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[SUBREQUEST_KINDS] = {"waited_for", "piped", "background"};
static const char *const verdict_names[AUTH_VERDICTS] = {"allowed", "denied", "undecided"};
static const char *const mirror_names[MIRROR_RESULTS] = {"sent", "too_large", "incomplete",
                                                         "refused"};

const char *subrequest_kind_name(enum subrequest_kind kind)
{
    must((unsigned)kind < SUBREQUEST_KINDS);
    return kind_names[kind];
}

const char *auth_verdict_name(enum auth_verdict verdict)
{
    must((unsigned)verdict < AUTH_VERDICTS);
    return verdict_names[verdict];
}

const char *mirror_result_name(enum mirror_result result)
{
    must((unsigned)result < MIRROR_RESULTS);
    return mirror_names[result];
}

static enum weir_err upstream_part_init(struct service *service, struct upstream_part *part,
                                        unsigned number)
{
    const struct upstream_options *options = &service->options->upstreams[number];
    part->options = options;
    part->balance.policy = options->balance;
    wait_queue_init(&part->changed);
    rand_init(&part->balance.rand, rand_seed_from_kernel());
    budget_init(&part->budget, options->retry.budget_percent);
    struct roster *roster = roster_of_options(options);
    enum weir_err err = roster ? servers_follow(service, number, roster) : WEIR_E_NO_MEMORY;
    roster_unref(&roster);
    return err;
}

/* The servers that a program picks by itself have no roster. */
static void program_part_init(struct service *service)
{
    unsigned number = service->options->upstream_count;
    struct upstream_part *part = &service->upstreams[number];
    struct peers_options options = {.pool = &service->pool,
                                    .upstream = service->options->program.name,
                                    .upstream_number = number,
                                    .resolver = service->options->resolver};
    part->options = &service->options->program;
    wait_queue_init(&part->changed);
    budget_init(&part->budget, part->options->retry.budget_percent);
    peers_init(&service->peers, &options);
    connector_init(&service->connector, &service->peers);
}

static enum weir_err init_upstreams(struct service *service)
{
    const struct service_options *options = service->options;
    service->upstreams = calloc(options->upstream_count + 1, sizeof *service->upstreams);
    service->upstream_stats = calloc(options->upstream_count + 1, sizeof *service->upstream_stats);
    if (!service->upstreams || !service->upstream_stats)
        return WEIR_E_NO_MEMORY;
    service->pool.stats = service->upstream_stats;
    program_part_init(service);
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

/* Whether any server is told of the client's connection. */
static bool tells_servers(const struct service_options *options)
{
    for (unsigned i = 0; i < options->upstream_count; i++)
        if (options->upstreams[i].preface != PREFACE_NONE)
            return true;
    return false;
}

static void init_downstream(struct service *service, const struct service_parts *parts)
{
    struct downstream_options options = {
        .loop = parts->loop,
        .streams = parts->streams,
        .client = &service->options->client,
        .handler = serve,
        .owner = service,
        .wants_local = tells_servers(service->options),
    };
    downstream_init(&service->downstream, &options);
}

static bool asks_clients(const struct service_options *options)
{
    for (unsigned i = 0; i < options->listen_count; i++) {
        const struct tls_server *tls = options->listen[i].tls;
        if (tls && tls->options.client_cert != CLIENT_CERT_NONE)
            return true;
    }
    return false;
}

enum weir_err service_open(const struct service_options *options, const struct service_parts *parts,
                           struct service **ret_service)
{
    struct service *service = calloc(1, sizeof *service);
    if (!service)
        return WEIR_E_NO_MEMORY;
    service->options = options;
    service->loop = parts->loop;
    service->asks_clients = asks_clients(options);
    service->log = parts->log;
    service->log_owner = parts->log_owner;
    init_pool(service, parts);
    init_downstream(service, parts);
    scope_init(&service->background);
    slab_init(&service->subrequest_slab, "subrequest", sizeof(struct subrequest));
    enum weir_err err = init_upstreams(service);
    if (!err && parts->worker == 0) {
        warm_start(&service->warm, service);
        err = lookout_start(service, &service->lookout);
    }
    if (err)
        service_close(&service);
    else
        *ret_service = service;
    return err;
}

static void close_program_part(struct service *service)
{
    if (!service->upstreams || !service->upstream_stats)
        return;
    connector_fini(&service->connector, service->options->name);
    peers_fini(&service->peers);
}

void service_close(struct service **service)
{
    struct service *closing = *service;
    *service = NULL;
    if (!closing)
        return;
    warm_stop(&closing->warm);
    lookout_close(&closing->lookout);
    downstream_fini(&closing->downstream);
    pool_drain(&closing->pool);
    must(scope_is_empty(&closing->background));
    slab_fini(&closing->subrequest_slab);
    close_program_part(closing);
    for (unsigned i = 0; closing->upstreams && i < closing->options->upstream_count; i++)
        servers_clear(closing, i);
    pool_fini(&closing->pool);
    free(closing->upstreams);
    free(closing->upstream_stats);
    free(closing);
}

void service_drain(struct service *service)
{
    warm_stop(&service->warm);
    lookout_stop(service->lookout);
    downstream_drain(&service->downstream);
    pool_drain(&service->pool);
}

void service_cancel(struct service *service)
{
    service->canceled = true;
    downstream_cancel(&service->downstream);
    scope_cancel(&service->background);
}

int service_find_upstream(const struct service_options *options, const char *name)
{
    for (unsigned i = 0; i < options->upstream_count; i++)
        if (strcmp(options->upstreams[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool service_has_ended(const struct service *service)
{
    return scope_is_empty(&service->background) && downstream_is_empty(&service->downstream) &&
           pool_is_quiet(&service->pool) && lookout_has_ended(service->lookout);
}
