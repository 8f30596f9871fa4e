/* SPDX-License-Identifier: MIT */
#include "config/build.h"

#include "base/slice.h"
#include "config/address.h"

static void build_server(struct building *building, const struct yaml_node *node,
                         struct server_options *ret_server)
{
    struct server_values values = {.options = {.weight = 1}};
    const struct yaml_node *address = node;
    if (node->type == YAML_SCALAR) {
        address_read_server(building->report, building->memory, node->position, node->text,
                            &values.options);
    } else {
        schema_read(building->report, building->memory, SECTION_SERVER, node, &values);
        const struct yaml_entry *entry = yaml_find(node, SLICE("address"));
        address = entry ? entry->value : node;
    }
    values.options.text = address->text.at;
    *ret_server = values.options;
}

static void build_servers(struct building *building, const struct yaml_node *list,
                          struct upstream_options *options)
{
    struct server_options *servers =
        memory_array(building->memory, list->entry_count, sizeof *servers);
    if (!servers)
        return;
    options->servers = servers;
    for (const struct yaml_entry *at = list->entries; at; at = at->next)
        build_server(building, at->value, &servers[options->server_count++]);
}

/* The short form: one server, by its URL. */
static void build_url(struct building *building, const struct yaml_node *node,
                      struct upstream_options *options)
{
    struct server_options *server = memory_alloc(building->memory, sizeof *server);
    if (!server)
        return;
    *server = (struct server_options){.text = node->text.at, .weight = 1};
    address_read_url(building->report, building->memory, node->position, node->text, server);
    options->servers = server;
    options->server_count = 1;
}

void build_addresses(struct building *building, const struct yaml_node *list, enum section section,
                     void (*read)(struct report *report, struct position position,
                                  struct weir_slice text, struct addr *ret_addr),
                     const struct addr **ret_addrs, unsigned *ret_count)
{
    struct addr *addrs = memory_array(building->memory, list->entry_count, sizeof *addrs);
    char found[YAML_DESCRIPTION_SIZE];
    unsigned count = 0;
    if (!addrs)
        return;
    for (const struct yaml_entry *at = list->entries; at; at = at->next) {
        if (at->value->type == YAML_SCALAR)
            read(building->report, at->value->position, at->value->text, &addrs[count++]);
        else
            report_error(building->report, at->value->position, "%s must be an IP, not %s",
                         schema_sections[section].noun, yaml_describe(at->value, found));
    }
    *ret_addrs = addrs;
    *ret_count = count;
}

/* What could not be read fits everything: it has been told already. */
static bool has_source_for(const struct upstream_options *options, const struct addr *server)
{
    for (unsigned i = 0; i < options->bind_to_count; i++)
        if (options->bind_to[i].len == 0 ||
            options->bind_to[i].any.sa_family == server->any.sa_family)
            return true;
    return options->bind_to_count == 0 || server->len == 0 || addr_is_local(server);
}

/* IPv4 cannot be reached from an IPv6 address, nor the other way round. */
static void check_sources(struct building *building, const struct yaml_node *sources,
                          const struct upstream_options *options)
{
    for (unsigned i = 0; i < options->server_count; i++)
        if (!has_source_for(options, &options->servers[i].addr))
            report_error(building->report, sources->position,
                         "none of these addresses is of the same kind as the server '%s'",
                         options->servers[i].text);
}

void build_upstream(struct building *building, const char *name, const struct yaml_node *node,
                    struct upstream_options *ret_options)
{
    struct upstream_values values = {0};
    upstream_options_init(&values.options);
    values.options.name = name;
    values.options.retry.attempts = building->max_retries;
    if (node->type == YAML_SCALAR) {
        build_url(building, node, &values.options);
        *ret_options = values.options;
        return;
    }
    schema_read(building->report, building->memory, SECTION_UPSTREAM, node, &values);
    const struct yaml_node *servers =
        schema_part(building->report, SECTION_UPSTREAM, node, "servers");
    const struct yaml_node *sources =
        schema_part(building->report, SECTION_UPSTREAM, node, "bind_to");
    if (servers)
        build_servers(building, servers, &values.options);
    if (sources) {
        build_addresses(building, sources, SECTION_SOURCE, address_read_ip, &values.options.bind_to,
                        &values.options.bind_to_count);
        check_sources(building, sources, &values.options);
    }
    *ret_options = values.options;
}
