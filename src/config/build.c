/* SPDX-License-Identifier: MIT */
#include "config/build.h"

#include "base/slice.h"
#include "client/trust.h"
#include "config/address.h"
#include "config/build_route.h"
#include "config/build_tls.h"
#include "http/head.h"

#include <string.h>

/* A name or an address that only one may have, and where it is. */
struct claim {
    struct claim *next;
    struct position position;
    const char *name;
    struct addr addr;
};

static void claim_add(struct building *building, struct claim **claims, struct claim claim)
{
    struct claim *copy = memory_alloc(building->memory, sizeof *copy);
    if (!copy)
        return;
    *copy = claim;
    copy->next = *claims;
    *claims = copy;
}

static void claim_name(struct building *building, const struct yaml_node *node, const char *name)
{
    for (const struct claim *at = building->names; at; at = at->next)
        if (strcmp(at->name, name) == 0) {
            report_error(building->report, node->position,
                         "a service called '%s' is in line %u already", name, at->position.line);
            return;
        }
    claim_add(building, &building->names, (struct claim){.position = node->position, .name = name});
}

/* Port 0 is another port each time, so it may be there as often as one likes. */
static void claim_address(struct building *building, struct position position,
                          const struct addr *addr)
{
    char text[ADDR_TEXT_SIZE];
    if (addr->len == 0 || (!addr_is_local(addr) && addr_port(addr) == 0))
        return;
    for (const struct claim *at = building->addresses; at; at = at->next)
        if (addr_equal(&at->addr, addr)) {
            report_error(building->report, position, "%s is listened on in line %u already",
                         addr_print(addr, text), at->position.line);
            return;
        }
    claim_add(building, &building->addresses, (struct claim){.position = position, .addr = *addr});
}

/* Only what is in the list, where there is one. */
static void build_protocols(struct building *building, const struct yaml_node *listener,
                            struct listener_options *options)
{
    static const struct schema_key word = {
        .name = "protocols", .type = TYPE_CHOICE, .bytes = sizeof(enum http_protocol)};
    const struct yaml_node *list =
        schema_part(building->report, SECTION_LISTENER, listener, "protocols");
    bool speaks[HTTP_PROTOCOL_COUNT] = {false};
    if (!list)
        return;
    for (const struct yaml_entry *at = list->entries; at; at = at->next) {
        enum http_protocol protocol = HTTP_PROTOCOL_COUNT;
        schema_read_value(building->report, building->memory, &word, at->value, &protocol);
        if (protocol == HTTP_PROTOCOL_COUNT)
            continue;
        if (speaks[protocol])
            report_error(building->report, at->value->position, "'%s' stands here twice",
                         http_protocol_name(protocol));
        speaks[protocol] = true;
    }
    options->speaks_h1 = speaks[HTTP_1];
    options->speaks_h2 = speaks[HTTP_2];
}

static void build_listeners(struct building *building, const struct yaml_node *list,
                            struct service_options *options)
{
    struct listener_options *listeners =
        memory_array(building->memory, list->entry_count, sizeof *listeners);
    if (!listeners)
        return;
    options->listen = listeners;
    for (const struct yaml_entry *at = list->entries; at; at = at->next) {
        struct listener_values values = {.cert = NULL};
        listener_options_init(&values.options);
        tls_server_options_init(&values.tls);
        if (at->value->type == YAML_SCALAR)
            address_read_listen(building->report, at->value->position, at->value->text,
                                &values.address);
        else
            schema_read(building->report, building->memory, SECTION_LISTENER, at->value, &values);
        if (at->value->type == YAML_MAPPING) {
            build_protocols(building, at->value, &values.options);
            build_listener_tls(building, at->value, &values);
        }
        claim_address(building, at->value->position, &values.address);
        values.options.addr = values.address;
        listeners[options->listen_count++] = values.options;
    }
}

static void build_upstreams(struct building *building, const struct yaml_node *map,
                            struct service_options *options)
{
    struct upstream_options *upstreams =
        memory_array(building->memory, map->entry_count, sizeof *upstreams);
    if (!upstreams)
        return;
    options->upstreams = upstreams;
    const struct schema_key name_key = {.name = "the name of an upstream", .type = TYPE_NAME};
    for (const struct yaml_entry *at = map->entries; at; at = at->next) {
        if (schema_is_extension(at->key->text))
            continue;
        const char *name = "";
        schema_read_value(building->report, building->memory, &name_key, at->key, &name);
        build_upstream(building, name, at->value, &upstreams[options->upstream_count++]);
    }
}

/* `upstream`, the short way to say that everything goes to one place. */
static void build_only_upstream(struct building *building, const struct yaml_node *node,
                                struct service_options *options)
{
    struct upstream_options *upstream = memory_alloc(building->memory, sizeof *upstream);
    struct route_options *route = memory_alloc(building->memory, sizeof *route);
    if (!upstream || !route)
        return;
    build_upstream(building, BUILD_ONLY_UPSTREAM, node, upstream);
    options->upstreams = upstream;
    options->routes = route;
    options->upstream_count = options->route_count = 1;
}

static void build_targets(struct building *building, const struct yaml_node *service,
                          struct service_options *options)
{
    struct report *report = building->report;
    const struct yaml_entry *only = yaml_find(service, SLICE("upstream"));
    const struct yaml_node *routes = schema_part(report, SECTION_SERVICE, service, "routes");
    const struct yaml_node *upstreams = schema_part(report, SECTION_SERVICE, service, "upstreams");
    bool has_routes = yaml_find(service, SLICE("routes"));
    bool has_upstreams = yaml_find(service, SLICE("upstreams"));

    if (only && (has_routes || has_upstreams))
        report_error(report, only->key->position,
                     "'upstream' stands in place of 'routes' and 'upstreams', not beside them");
    else if (!only && !has_routes)
        report_error(report, service->position, "a service needs 'routes' or 'upstream'");
    else if (!only && !has_upstreams)
        report_error(report, service->position, "'routes' need 'upstreams' to name");

    if (upstreams)
        build_upstreams(building, upstreams, options);
    if (routes && upstreams)
        build_routes(building, routes, options);
    if (routes && upstreams && options->routes && options->upstreams)
        build_warn_of_unused(building, upstreams, options);
    if (only && !has_routes && !has_upstreams)
        build_only_upstream(building, only->value, options);
}

static void build_service(struct building *building, const struct yaml_node *node,
                          struct service_options *ret_options)
{
    struct service_values values = {0};
    service_options_init(&values.options);
    values.options.name = NULL;
    values.options.upstream_keepalive_pool_size = building->pool_size;
    values.options.client_bind_v4 = building->shared.client_bind_v4;
    values.options.client_bind_v4_count = building->shared.client_bind_v4_count;
    values.options.client_bind_v6 = building->shared.client_bind_v6;
    values.options.client_bind_v6_count = building->shared.client_bind_v6_count;
    values.options.resolver = building->shared.resolver;
    schema_read(building->report, building->memory, SECTION_SERVICE, node, &values);
    if (node->type != YAML_MAPPING)
        return;
    if (values.options.name)
        claim_name(building, yaml_find(node, SLICE("name"))->value, values.options.name);
    const struct yaml_node *listen = schema_part(building->report, SECTION_SERVICE, node, "listen");
    if (listen)
        build_listeners(building, listen, &values.options);
    build_targets(building, node, &values.options);
    *ret_options = values.options;
}

/* Source addresses of one family, for all services. */
static void build_client_sources(struct building *building, const struct yaml_node *root,
                                 const char *key, sa_family_t family,
                                 const struct addr **ret_sources, unsigned *ret_count)
{
    const struct yaml_node *list = schema_part(building->report, SECTION_ROOT, root, key);
    if (!list)
        return;
    build_addresses(building, list, SECTION_SOURCE, address_read_ip, ret_sources, ret_count);
    const struct yaml_entry *at = list->entries;
    for (unsigned i = 0; i < *ret_count; i++, at = at->next)
        if ((*ret_sources)[i].len > 0 && (*ret_sources)[i].any.sa_family != family)
            report_error(building->report, at->value->position, "not an IPv%d address",
                         family == AF_INET ? 4 : 6);
}

/* Who is asked for names, for all services. */
static void build_name_servers(struct building *building, const struct yaml_node *root)
{
    struct resolver_options *resolver = &building->shared.resolver;
    const struct yaml_entry *group = yaml_find(root, SLICE("resolver"));
    const struct yaml_node *list = NULL;
    if (group && group->value->type == YAML_MAPPING)
        list = schema_part(building->report, SECTION_RESOLVER, group->value, "nameservers");
    if (list)
        build_addresses(building, list, SECTION_NAME_SERVER, address_read_ip_port,
                        &resolver->servers, &resolver->server_count);
}

static void build_services(struct building *building, const struct yaml_node *list,
                           struct snapshot *snapshot)
{
    struct service_options *services =
        memory_array(building->memory, list->entry_count, sizeof *services);
    if (!services)
        return;
    snapshot->services = services;
    for (const struct yaml_entry *at = list->entries; at; at = at->next)
        build_service(building, at->value, &services[snapshot->service_count++]);
}

void build_defaults(struct root_values *values)
{
    struct upstream_options upstream;
    struct service_options service;
    upstream_options_init(&upstream);
    service_options_init(&service);
    values->version = 1;
    values->pool_size = service.upstream_keepalive_pool_size;
    values->max_retries = upstream.retry.attempts;
    values->resolver = service.resolver;
    values->ca_file = TRUST_FILE;
    struct snapshot *snapshot = &values->snapshot;
    snapshot->references = 1;
    snapshot->io = IO_AUTO;
    snapshot->error_log = "stderr";
    snapshot->access_log = "stdout";
    snapshot->grace_period = weir_span_s(300);
    snapshot->shutdown_timeout = weir_span_s(5);
}

struct snapshot *build_snapshot(struct report *report, struct memory *memory,
                                const struct yaml_node *root)
{
    struct root_values *values = memory_alloc(memory, sizeof *values);
    if (!values)
        return NULL;
    build_defaults(values);
    struct snapshot *snapshot = &values->snapshot;
    snapshot->memory = memory;
    schema_read(report, memory, SECTION_ROOT, root, values);

    struct building building = {
        .report = report,
        .memory = memory,
        .pool_size = values->pool_size,
        .max_retries = values->max_retries,
        .ca_file = values->ca_file,
    };
    const struct yaml_entry *admin = yaml_find(root, SLICE("admin"));
    if (admin) {
        const struct yaml_entry *listen = yaml_find(admin->value, SLICE("listen"));
        snapshot->has_admin = true;
        if (listen)
            claim_address(&building, listen->value->position, &snapshot->admin_listen);
    }
    build_client_sources(&building, root, "client_bind_to_ipv4", AF_INET,
                         &building.shared.client_bind_v4, &building.shared.client_bind_v4_count);
    build_client_sources(&building, root, "client_bind_to_ipv6", AF_INET6,
                         &building.shared.client_bind_v6, &building.shared.client_bind_v6_count);
    building.shared.resolver = values->resolver;
    build_name_servers(&building, root);
    const struct yaml_node *services = schema_part(report, SECTION_ROOT, root, "services");
    if (services)
        build_services(&building, services, snapshot);
    return snapshot;
}
