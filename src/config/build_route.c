/* SPDX-License-Identifier: MIT */
#include "config/build_route.h"

#include "base/slice.h"
#include "config/suggest.h"
#include "http/message.h"
#include "http/scan.h"

#include <string.h>

/* The index of the upstream that a mapping names under `upstream`. */
static unsigned find_upstream(struct building *building, const struct service_options *options,
                              const struct yaml_node *mapping, const char *name)
{
    const struct yaml_entry *entry = yaml_find(mapping, SLICE("upstream"));
    struct suggestion suggestion;
    char meant[SUGGEST_TEXT_SIZE];
    suggest_init(&suggestion, slice_str(name));
    for (unsigned i = 0; i < options->upstream_count; i++) {
        if (strcmp(options->upstreams[i].name, name) == 0)
            return i;
        suggest_look(&suggestion, slice_str(options->upstreams[i].name));
    }
    report_error(building->report, entry->value->position, "there is no upstream '%s'%s", name,
                 suggest_print(&suggestion, meant));
    return 0;
}

static bool matches_everything(const struct yaml_node *route)
{
    const struct yaml_entry *path = yaml_find(route, SLICE("path"));
    return route->type == YAML_MAPPING && !yaml_find(route, SLICE("host")) &&
           (!path || slice_equal(path->value->text, SLICE("/")));
}

/* The mapping of a route's group, which schema_read() has read. */
static const struct yaml_node *group_of(const struct yaml_node *route, const char *name)
{
    const struct yaml_entry *entry = yaml_find(route, slice_str(name));
    return entry && entry->value->type == YAML_MAPPING ? entry->value : NULL;
}

static void check_target(struct building *building, const struct yaml_node *group, const char *path)
{
    const char *end = path + strlen(path);
    if (scan_target(path, end) != end)
        report_error(building->report, yaml_find(group, SLICE("path"))->value->position,
                     "'path' has a character that is written as %%XX");
}

static void read_field_name(struct building *building, const struct yaml_node *node,
                            const char **ret_name)
{
    struct report *report = building->report;
    enum field_id id = field_id_of(node->text);
    if (node->type != YAML_SCALAR || !field_is_name(node->text))
        report_error(report, node->position, "not the name of a field");
    else if (message_is_reserved(id) || id == FIELD_EXPECT)
        report_error(report, node->position, "this field is not yours to set");
    *ret_name = node->text.at;
}

static void build_copied(struct building *building, const struct yaml_node *group,
                         struct auth_options *auth)
{
    const struct yaml_node *list =
        schema_part(building->report, SECTION_AUTH_REQUEST, group, "copy_headers");
    if (!list)
        return;
    const char **names = memory_array(building->memory, list->entry_count, sizeof *names);
    if (!names)
        return;
    auth->copy = names;
    for (const struct yaml_entry *at = list->entries; at; at = at->next)
        read_field_name(building, at->value, &names[auth->copy_count++]);
}

static void build_auth(struct building *building, const struct service_options *options,
                       const struct yaml_node *node, const struct route_values *values,
                       struct route_options *route)
{
    const struct yaml_node *group = group_of(node, "auth_request");
    struct auth_options *auth = group ? memory_alloc(building->memory, sizeof *auth) : NULL;
    if (!auth)
        return;
    *auth = values->auth;
    if (values->auth_upstream)
        auth->upstream = find_upstream(building, options, group, values->auth_upstream);
    if (auth->path)
        check_target(building, group, auth->path);
    build_copied(building, group, auth);
    route->auth = auth;
}

static void build_mirror(struct building *building, const struct service_options *options,
                         const struct yaml_node *node, const struct route_values *values,
                         struct route_options *route)
{
    const struct yaml_node *group = group_of(node, "mirror");
    struct mirror_options *mirror = group ? memory_alloc(building->memory, sizeof *mirror) : NULL;
    if (!mirror)
        return;
    *mirror = values->mirror;
    if (values->mirror_upstream)
        mirror->upstream = find_upstream(building, options, group, values->mirror_upstream);
    route->mirror = mirror;
}

static void build_route(struct building *building, const struct service_options *options,
                        const struct yaml_node *node, struct route_options *ret_route)
{
    struct route_values values = {.host = NULL};
    mirror_options_init(&values.mirror);
    schema_read(building->report, building->memory, SECTION_ROUTE, node, &values);
    *ret_route = (struct route_options){.host = values.host, .path = values.path};
    if (values.upstream)
        ret_route->upstream = find_upstream(building, options, node, values.upstream);
    build_auth(building, options, node, &values, ret_route);
    build_mirror(building, options, node, &values, ret_route);
}

void build_routes(struct building *building, const struct yaml_node *list,
                  struct service_options *options)
{
    struct route_options *routes =
        memory_array(building->memory, list->entry_count, sizeof *routes);
    if (!routes)
        return;
    options->routes = routes;
    const struct yaml_node *last = NULL; /* the route that leaves nothing to those after it */
    for (const struct yaml_entry *at = list->entries; at; at = at->next) {
        build_route(building, options, at->value, &routes[options->route_count++]);
        if (last)
            report_warning(building->report, at->value->position,
                           "never used: the route in line %u takes everything",
                           last->position.line);
        else if (matches_everything(at->value))
            last = at->value;
    }
}

/* By what the requests are for, by who decides on them, or by who gets copies of them. */
static bool is_named(const struct route_options *route, unsigned upstream)
{
    return route->upstream == upstream || (route->auth && route->auth->upstream == upstream) ||
           (route->mirror && route->mirror->upstream == upstream);
}

void build_warn_of_unused(struct building *building, const struct yaml_node *map,
                          const struct service_options *options)
{
    unsigned index = 0;
    for (const struct yaml_entry *at = map->entries; at; at = at->next) {
        if (schema_is_extension(at->key->text))
            continue;
        const char *name = options->upstreams[index].name;
        bool is_used = *name == '\0'; /* a wrong name has been told already */
        for (unsigned i = 0; i < options->route_count; i++)
            is_used |= is_named(&options->routes[i], index);
        if (!is_used)
            report_warning(building->report, at->key->position, "no route names the upstream '%s'",
                           name);
        index++;
    }
}
