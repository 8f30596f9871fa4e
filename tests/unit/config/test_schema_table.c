/* SPDX-License-Identifier: MIT */
#include "config/schema.h"

#include "base/check.h"
#include "tests/unit/config/load.h"

static bool is_value(const struct schema_key *key)
{
    return !key->is_later && key->type < TYPE_GROUP;
}

/* A configuration that says only what it must. */
static struct snapshot *load_least(void)
{
    return LOAD(UPSTREAM_HEAD "      servers: [127.0.0.1:1]\n");
}

/* What a section was read into, as far as options were made of it; NULL: nothing is left of it. */
static const void *values_of(struct snapshot *snapshot, enum section section,
                             struct upstream_values *upstream, struct listener_values *listener,
                             struct route_values *route)
{
    *upstream = (struct upstream_values){.options = snapshot->services[0].upstreams[0]};
    *listener = (struct listener_values){.options = snapshot->services[0].listen[0]};
    tls_client_options_init(&upstream->tls);
    tls_server_options_init(&listener->tls);
    *route = (struct route_values){.host = NULL};
    mirror_options_init(&route->mirror);
    switch (section) {
    case SECTION_ROOT:
    case SECTION_RESOLVER:
        return container_of(snapshot, struct root_values, snapshot);
    case SECTION_SERVICE:
        return &snapshot->services[0];
    case SECTION_UPSTREAM:
    case SECTION_TCP:
    case SECTION_KEEPALIVE:
    case SECTION_RETRY:
    case SECTION_QUEUE:
    case SECTION_HEALTH:
    case SECTION_H2:
    case SECTION_UPSTREAM_TLS:
        return upstream;
    case SECTION_LISTENER:
    case SECTION_LISTENER_TLS:
        return listener;
    case SECTION_MIRROR:
        return route;
    case SECTION_SERVER:
        return &snapshot->services[0].upstreams[0].servers[0];
    default:
        return NULL;
    }
}

static bool is_text(const struct schema_key *key)
{
    return key->type == TYPE_TEXT || key->type == TYPE_TEXT_OR_NONE;
}

static bool has_same(const struct schema_key *key, const void *a, const void *b)
{
    const char *left, *right;
    if (!is_text(key))
        return memcmp((const char *)a + key->offset, (const char *)b + key->offset, key->bytes) ==
               0;
    memcpy(&left, (const char *)a + key->offset, sizeof left);
    memcpy(&right, (const char *)b + key->offset, sizeof right);
    return left && right ? strcmp(left, right) == 0 : left == right;
}

/* What the documentation calls the default is what holds when a key is absent. */
TEST(the_defaults_are_what_they_are_said_to_be)
{
    struct memory *memory = memory_new();
    struct report report;
    struct snapshot *snapshot = load_least();
    unsigned compared = 0;
    report_init(&report, memory);
    if (!CHECK(snapshot))
        return;
    for (unsigned i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];
        struct upstream_values upstream;
        struct listener_values listener;
        struct route_values route;
        const void *held = values_of(snapshot, key->section, &upstream, &listener, &route);
        if (!is_value(key) || key->fallback[0] == '\0')
            continue;
        union {
            struct root_values root;
            struct service_values service;
            struct upstream_values upstream;
            struct listener_values listener;
            struct server_values server;
            struct route_values route;
        } said;
        struct yaml_node node = {.type = YAML_SCALAR,
                                 .position = {"keys.def", i + 1, 1},
                                 .text = slice_str(key->fallback)};
        memset(&said, 0xa5, sizeof said);
        schema_read_value(&report, memory, key, &node, &said);
        if (!CHECK(held && has_same(key, held, &said)))
            printf("# %s: '%s' is not what holds\n", key->name, key->fallback);
        compared++;
    }
    CHECK_EQ(0, report.error_count);
    CHECK(compared > 30);
    snapshot_unref(&snapshot);
    memory_free(&memory);
}

TEST(every_row_is_whole)
{
    for (unsigned i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];
        bool has_help = key->is_later || key->help[0];
        bool is_good = has_help && key->section < SECTION_COUNT &&
                       (!key->low[0]) == (!key->high[0]) &&
                       (key->type < TYPE_GROUP || key->is_later || key->count_max > 0);
        for (unsigned j = 0; j < i; j++)
            is_good &= schema_keys[j].section != key->section ||
                       strcmp(schema_keys[j].name, key->name) != 0;
        if (!CHECK(is_good))
            printf("# row of %s\n", key->name);
    }
    for (unsigned i = 0; i < TYPE_COUNT_OF_TYPES; i++)
        CHECK(schema_type_name(i) && schema_type_expected(i));
    for (unsigned i = 0; i < SECTION_COUNT; i++)
        CHECK(schema_sections[i].noun && schema_sections[i].path);
}

/* Keys of one name have the same choices, wherever they stand. */
TEST(every_choice_belongs_to_a_key)
{
    for (unsigned i = 0; i < schema_choice_count; i++) {
        unsigned keys = 0;
        for (unsigned j = 0; j < schema_key_count; j++)
            keys += (schema_keys[j].type == TYPE_CHOICE || schema_keys[j].type == TYPE_LIST) &&
                    strcmp(schema_keys[j].name, schema_choices[i].key) == 0;
        CHECK(keys > 0);
    }
}

TEST(extensions)
{
    CHECK(schema_is_extension(SLICE("x-")));
    CHECK(schema_is_extension(SLICE("x-a")));
    CHECK(!schema_is_extension(SLICE("x")));
    CHECK(!schema_is_extension(SLICE("X-a")));
}

CHECK_MAIN
