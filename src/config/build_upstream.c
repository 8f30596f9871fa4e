/* SPDX-License-Identifier: MIT */
#include "config/build.h"

#include "base/slice.h"
#include "config/address.h"
#include "config/build_tls.h"
#include "http/field.h"

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
    if (server->scheme == SCHEME_H2C)
        options->protocol = PEER_HTTP2;
}

/* h2c:// says it of all servers: HTTP/2, and no TLS. */
static void check_schemes(struct building *building, const struct yaml_node *node,
                          const struct yaml_node *list, struct upstream_options *options)
{
    const struct server_options *first = options->servers, *server = first;
    const struct yaml_entry *tls = yaml_find(node, SLICE("tls"));
    const struct yaml_entry *protocol = yaml_find(node, SLICE("protocol"));
    for (const struct yaml_entry *at = list->entries; server && at; at = at->next, server++)
        if (server->scheme != first->scheme && build_was_read(server) && build_was_read(first))
            report_error(building->report, at->value->position,
                         "'%s': of the servers of an upstream all are h2c://, or none is",
                         server->text);
    if (!first || first->scheme != SCHEME_H2C)
        return;
    if (tls)
        report_error(building->report, tls->key->position,
                     "'tls' cannot be with servers that are h2c://: that is HTTP/2 without TLS");
    if (protocol && options->protocol != PEER_HTTP2)
        report_error(building->report, protocol->value->position,
                     "'protocol' must be http2 with servers that are h2c://");
    options->protocol = PEER_HTTP2;
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
    for (unsigned i = 0; i < options->server_count; i++) {
        const struct addr *server = &options->servers[i].addr;
        if (!has_source_for(options, options->proxy ? &options->proxy->addr : server))
            report_error(building->report, sources->position,
                         "none of these addresses is of the same kind as the server '%s'",
                         options->servers[i].text);
    }
}

/* What the CONNECT says for itself. */
static bool is_own_field(struct weir_slice name)
{
    return slice_equal_nocase(name, SLICE("Host")) ||
           slice_equal_nocase(name, SLICE("Content-Length")) ||
           slice_equal_nocase(name, SLICE("Transfer-Encoding"));
}

static void read_proxy_field(struct building *building, const struct yaml_entry *entry,
                             struct peer_proxy_field *ret_field)
{
    struct report *report = building->report;
    if (entry->value->type != YAML_SCALAR)
        report_error(report, entry->value->position, "a field has a text as its value");
    else if (!field_is_name(entry->key->text) || !field_is_value(entry->value->text))
        report_error(report, entry->key->position, "not a field of HTTP");
    else if (is_own_field(entry->key->text))
        report_error(report, entry->key->position, "this field is not yours to set");
    ret_field->name = entry->key->text.at;
    ret_field->value = entry->value->text.at;
}

/* Names of servers are the proxy's to resolve. */
static void leave_names_to_proxy(struct building *building, const struct yaml_node *node,
                                 struct upstream_options *options)
{
    for (unsigned i = 0; i < options->server_count; i++) {
        struct server_options *server = &options->servers[i];
        if (addr_is_local(&server->addr) || custom_is_any(&server->transport))
            report_error(building->report, node->position,
                         "the server '%s' cannot be reached through a proxy", server->text);
        if (!server->host)
            continue;
        if (addr_of_name(slice_str(server->host), server->port, &server->addr) != WEIR_OK)
            report_error(building->report, node->position,
                         "the name '%s' is too long to be reached through a proxy", server->host);
        server->name = server->host;
        server->host = NULL;
    }
}

static void build_proxy(struct building *building, const struct yaml_node *node,
                        struct upstream_values *values)
{
    const struct yaml_entry *entry = yaml_find(node, SLICE("proxy"));
    if (!entry || entry->value->type != YAML_MAPPING)
        return;
    const struct yaml_node *map =
        schema_part(building->report, SECTION_UPSTREAM_PROXY, entry->value, "headers");
    struct peer_proxy *proxy = memory_alloc(building->memory, sizeof *proxy);
    struct peer_proxy_field *fields =
        memory_array(building->memory, map ? map->entry_count : 0, sizeof *fields);
    if (!proxy || !fields)
        return;
    *proxy = values->proxy;
    if (proxy->addr.len > 0 && !addr_is_local(&proxy->addr) && addr_port(&proxy->addr) == 0)
        report_error(building->report, yaml_find(entry->value, SLICE("address"))->value->position,
                     "a port is a number from 1 to 65535");
    proxy->fields = fields;
    for (const struct yaml_entry *at = map ? map->entries : NULL; at; at = at->next)
        read_proxy_field(building, at, &fields[proxy->field_count++]);
    leave_names_to_proxy(building, entry->value, &values->options);
    values->options.proxy = proxy;
}

/* A connection that tells of one client cannot be made ahead for others. */
static void check_preface(struct building *building, const struct yaml_node *node,
                          const struct upstream_options *options)
{
    if (options->preface != PREFACE_NONE && options->limits.min_idle > 0)
        report_error(building->report, yaml_find(node, SLICE("min_idle"))->value->position,
                     "min_idle cannot be with proxy_protocol: each connection is one client's");
}

/* What makes no sense where a server is reached by a transport. */
static void reject_with_transport(struct building *building, const struct yaml_node *node,
                                  const char *key, const struct server_options *server,
                                  const char *why)
{
    const struct yaml_entry *entry = yaml_find(node, slice_str(key));
    if (entry)
        report_error(building->report, entry->key->position, "'%s' cannot be with '%s': %s", key,
                     server->text, why);
}

/* The servers of an upstream that a transport reaches have no socket of weir's; a session transport
 * leaves no bytes to weir either. */
static void check_transports(struct building *building, const struct yaml_node *node,
                             const struct upstream_options *options)
{
    for (unsigned i = 0; i < options->server_count; i++) {
        const struct server_options *server = &options->servers[i];
        if (custom_is_any(&server->transport))
            reject_with_transport(building, node, "tcp", server, "it is no socket");
        if (!server->transport.sessions)
            continue;
        reject_with_transport(building, node, "tls", server, "its transport has its own way");
        reject_with_transport(building, node, "protocol", server, "its transport has its own");
        reject_with_transport(building, node, "proxy_protocol", server,
                              "its transport has its own way");
    }
}

/* Without TLS nobody picks. */
static void settle_protocol(struct building *building, const struct yaml_node *node,
                            struct upstream_options *options)
{
    const struct yaml_entry *h2 = yaml_find(node, SLICE("h2"));
    if (options->protocol == PEER_AUTO && !options->tls)
        options->protocol = PEER_HTTP1;
    if (h2 && options->protocol == PEER_HTTP1)
        report_warning(building->report, h2->key->position,
                       "h2 does nothing where HTTP/2 is not spoken, see 'protocol'");
}

void build_upstream(struct building *building, const char *name, const struct yaml_node *node,
                    struct upstream_options *ret_options)
{
    struct upstream_values values = {.sni = NULL};
    upstream_options_init(&values.options);
    tls_client_options_init(&values.tls);
    values.options.name = name;
    values.options.retry.attempts = building->max_retries;
    if (node->type == YAML_SCALAR) {
        build_url(building, node, &values.options);
        build_upstream_tls(building, node, &values);
        *ret_options = values.options;
        return;
    }
    schema_read(building->report, building->memory, SECTION_UPSTREAM, node, &values);
    const struct yaml_node *servers =
        schema_part(building->report, SECTION_UPSTREAM, node, "servers");
    const struct yaml_node *sources =
        schema_part(building->report, SECTION_UPSTREAM, node, "bind_to");
    if (servers) {
        build_servers(building, servers, &values.options);
        check_schemes(building, node, servers, &values.options);
    }
    if (sources)
        build_addresses(building, sources, SECTION_SOURCE, address_read_ip, &values.options.bind_to,
                        &values.options.bind_to_count);
    build_proxy(building, node, &values);
    if (sources)
        check_sources(building, sources, &values.options);
    check_preface(building, node, &values.options);
    check_transports(building, node, &values.options);
    build_upstream_tls(building, node, &values);
    settle_protocol(building, node, &values.options);
    *ret_options = values.options;
}
