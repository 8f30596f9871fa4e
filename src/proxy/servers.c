/* SPDX-License-Identifier: MIT */
#include "proxy/servers.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "proxy/service.h"

#include <stdlib.h>

/* --- One server ------------------------------------------------------------------------------ */

/* The addresses take turns with the source addresses of their family. False: there is none of it.
 */
static bool choose_source(const struct upstream_options *options, const struct addr *addr,
                          unsigned turn, struct addr *ret_source)
{
    *ret_source = (struct addr){0};
    for (unsigned i = 0; i < options->bind_to_count; i++) {
        const struct addr *source = &options->bind_to[(turn + i) % options->bind_to_count];
        if (source->any.sa_family == addr->any.sa_family) {
            *ret_source = *source;
            return true;
        }
    }
    return options->bind_to_count == 0 || addr_is_local(addr);
}

static bool counts_active(const struct upstream_options *options)
{
    return options->balance == BALANCE_LEAST_CONNECTIONS || options->balance == BALANCE_RANDOM;
}

/* Any of these will do, of the family of what is connected to. */
static void set_sources(const struct service_options *options, const struct addr *hop,
                        struct peer_options *peer)
{
    if (hop->any.sa_family == AF_INET) {
        peer->sources = options->client_bind_v4;
        peer->source_count = options->client_bind_v4_count;
    } else if (hop->any.sa_family == AF_INET6) {
        peer->sources = options->client_bind_v6;
        peer->source_count = options->client_bind_v6_count;
    }
}

/* What the certificate of one of a name's addresses should say is the name. */
static const char *tls_name(const struct upstream_options *options,
                            const struct server_options *server)
{
    if (options->sni)
        return options->sni;
    return server->host ? server->host : server->name;
}

bool servers_peer_options(const struct service_options *service, unsigned upstream,
                          const struct roster_entry *entry, unsigned turn,
                          struct peer_options *ret_options)
{
    const struct upstream_options *options = &service->upstreams[upstream];
    const struct addr *hop = options->proxy ? &options->proxy->addr : &entry->addr;
    peer_options_init(ret_options);
    ret_options->upstream = options->name;
    ret_options->upstream_number = upstream;
    ret_options->addr = entry->addr;
    ret_options->transport = options->servers[entry->server].transport;
    ret_options->transport_address = options->servers[entry->server].transport_address;
    set_sources(service, hop, ret_options);
    ret_options->protocol = options->protocol;
    ret_options->tls = options->tls;
    ret_options->tls_name = tls_name(options, &options->servers[entry->server]);
    ret_options->proxy = options->proxy;
    ret_options->preface = options->preface;
    ret_options->group_key = options->group_key;
    ret_options->limits = options->limits;
    /* What is one client's does not outlive the client's own rest. */
    if (options->preface != PREFACE_NONE &&
        service->client.keepalive_timeout.ns < options->limits.idle_timeout.ns)
        ret_options->limits.idle_timeout = service->client.keepalive_timeout;
    ret_options->tcp = options->tcp;
    ret_options->h2 = options->h2;
    ret_options->counts_active = counts_active(options);
    return choose_source(options, hop, turn, &ret_options->source);
}

static void free_peer(struct peer *peer)
{
    free(peer);
}

enum weir_err servers_new_peer(struct pool *pool, const struct peer_options *options,
                               struct peer **ret_peer)
{
    struct peer *peer = malloc(sizeof *peer);
    if (!peer)
        return WEIR_E_NO_MEMORY;
    peer_init(peer, options);
    peer->unused = free_peer;
    enum weir_err err = pool_adopt_peer(pool, peer);
    if (err)
        free(peer);
    else
        *ret_peer = peer;
    return err;
}

/* --- All of an upstream ---------------------------------------------------------------------- */

static struct balance_server *find(const struct balance *balance, unsigned number,
                                   const struct addr *addr)
{
    for (unsigned i = 0; i < balance->count; i++) {
        struct balance_server *server = &balance->servers[i];
        if (server->number == number && addr_equal(&server->peer->options.addr, addr))
            return server;
    }
    return NULL;
}

/* As it was before, or new. One that cannot be reached from any source address is left out. */
static enum weir_err add(struct service *service, unsigned upstream,
                         const struct roster_entry *entry, struct balance *next)
{
    const struct upstream_options *options = &service->options->upstreams[upstream];
    const struct balance_server *before =
        find(&service->upstreams[upstream].balance, entry->server, &entry->addr);
    struct balance_server *server = &next->servers[next->count];
    struct peer_options peer_options;
    char text[ADDR_TEXT_SIZE];
    if (before) {
        *server = *before;
    } else if (servers_peer_options(service->options, upstream, entry, next->count,
                                    &peer_options)) {
        *server = (struct balance_server){
            .number = entry->server,
            .weight = options->servers[entry->server].weight,
        };
        TRY(servers_new_peer(&service->pool, &peer_options, &server->peer));
        if (peer_options.counts_active)
            server->active = &gate_of(server->peer->known)->active;
    } else {
        LOG_LIMITED(LOG_WARN, "upstream %s: no address of bind_to is of the same kind as %s",
                    options->name, addr_print(&entry->addr, text));
        return WEIR_OK;
    }
    server->unwell = entry->unwell;
    next->count++;
    return WEIR_OK;
}

/* A name's addresses each have a place of their own on it. */
static enum weir_err make_ring(const struct upstream_options *options, struct balance *balance)
{
    uint64_t weights = 0;
    if (balance->policy != BALANCE_CONSISTENT_HASH)
        return WEIR_OK;
    for (unsigned i = 0; i < balance->count; i++)
        weights += balance->servers[i].weight;
    if (!hash_ring_init(&balance->ring, balance->count, weights))
        return WEIR_E_NO_MEMORY;
    for (unsigned i = 0; i < balance->count; i++) {
        const struct balance_server *server = &balance->servers[i];
        const struct server_options *written = &options->servers[server->number];
        hash_ring_add(&balance->ring, i,
                      slice_str(written->host ? server->peer->address_text : written->text),
                      server->weight);
    }
    hash_ring_sort(&balance->ring);
    return WEIR_OK;
}

/* The addresses of one name are siblings, in the order of the roster, while they are well. */
static void link_siblings(struct balance *balance)
{
    const struct balance_server *before = NULL;
    for (unsigned i = 0; i < balance->count; i++) {
        struct balance_server *server = &balance->servers[i];
        list_remove(&server->peer->sibling);
        if (server->unwell)
            continue;
        if (before && before->number == server->number)
            list_insert(&before->peer->sibling, &server->peer->sibling);
        before = server;
    }
}

/* How many servers these are addresses of. */
static unsigned count_servers(const struct balance *balance)
{
    unsigned count = 0;
    for (unsigned i = 0; i < balance->count; i++)
        count += i == 0 || balance->servers[i].number != balance->servers[i - 1].number;
    return count;
}

static void free_balance(struct balance *balance)
{
    hash_ring_fini(&balance->ring);
    free(balance->servers);
}

/* Closes the servers of `left` that `other` has not, and frees the rest of it. */
static void leave(struct service *service, struct balance *left, const struct balance *other)
{
    for (unsigned i = 0; i < left->count; i++)
        if (!find(other, left->servers[i].number, &left->servers[i].peer->options.addr))
            pool_drain_peer(&service->pool, left->servers[i].peer);
    free_balance(left);
}

static enum weir_err fill(struct service *service, unsigned upstream, const struct roster *roster,
                          struct balance *next)
{
    next->servers = calloc(roster->count + 1, sizeof *next->servers);
    if (!next->servers)
        return WEIR_E_NO_MEMORY;
    for (unsigned i = 0; i < roster->count; i++)
        TRY(add(service, upstream, &roster->entries[i], next));
    return make_ring(&service->options->upstreams[upstream], next);
}

/* One worker tells for all of them. */
static void tell_stats(struct service *service, unsigned upstream)
{
    const struct balance *balance = &service->upstreams[upstream].balance;
    struct upstream_stats *stats = &service->upstream_stats[upstream];
    unsigned unwell = 0;
    if (service->pool.worker > 0)
        return;
    for (unsigned i = 0; i < balance->count; i++)
        unwell += balance->servers[i].unwell;
    stat_set(&stats->servers, balance->count);
    stat_set(&stats->unwell_servers, unwell);
}

/* Only who is well may differ, which is what most changes are. */
static bool has_same_addresses(const struct balance *balance, const struct roster *roster)
{
    if (balance->count == 0 || balance->count != roster->count)
        return false;
    for (unsigned i = 0; i < balance->count; i++)
        if (balance->servers[i].number != roster->entries[i].server ||
            !addr_equal(&balance->servers[i].peer->options.addr, &roster->entries[i].addr))
            return false;
    return true;
}

static enum weir_err replace(struct service *service, unsigned upstream,
                             const struct roster *roster)
{
    struct upstream_part *part = &service->upstreams[upstream];
    struct balance before = part->balance, next = before;
    next.servers = NULL;
    next.count = 0;
    next.ring = (struct hash_ring){0};
    enum weir_err err = fill(service, upstream, roster, &next);
    if (err) {
        leave(service, &next, &before);
        return err;
    }
    leave(service, &before, &next);
    next.server_count = count_servers(&next);
    part->balance = next;
    return WEIR_OK;
}

enum weir_err servers_follow(struct service *service, unsigned upstream,
                             const struct roster *roster)
{
    struct upstream_part *part = &service->upstreams[upstream];
    if (!has_same_addresses(&part->balance, roster))
        TRY(replace(service, upstream, roster));
    else
        for (unsigned i = 0; i < roster->count; i++)
            part->balance.servers[i].unwell = roster->entries[i].unwell;
    link_siblings(&part->balance);
    part->pending = roster->pending;
    part->err = roster->err;
    tell_stats(service, upstream);
    wait_wake_all(&part->changed);
    return WEIR_OK;
}

void servers_clear(struct service *service, unsigned upstream)
{
    static const struct balance nobody;
    struct balance *balance = &service->upstreams[upstream].balance;
    leave(service, balance, &nobody);
    *balance = nobody;
}

enum weir_err servers_await(struct upstream_part *part, struct weir_time deadline)
{
    while (part->balance.count == 0) {
        if (!part->pending)
            return part->err ? part->err : WEIR_E_UNAVAILABLE;
        enum weir_err err = wait_on(&part->changed, deadline);
        if (err)
            return err == WEIR_E_TIMEOUT ? WEIR_E_DNS_TIMEOUT : err;
    }
    return WEIR_OK;
}
