/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

/*
 * keys.def as a table, and the reading of one mapping by it: every key known, every value of its
 * type and in its range, every required key there. Lists and what hangs together over several keys
 * are left to build.c.
 */

#include "config/snapshot.h"
#include "config/yaml.h"

enum section {
#define SECTION(section, path, noun, help) SECTION_##section,
#define KEY(...)
#define CHOICE(...)
#define PART(...)
#define LATER(...)
#include "config/keys.def"
#undef SECTION
#undef KEY
#undef CHOICE
#undef PART
#undef LATER
    SECTION_COUNT
};

enum key_type {
#define X(TYPE, name, expected) TYPE_##TYPE,
#include "config/type.def"
#undef X
    TYPE_COUNT_OF_TYPES
};

struct schema_section {
    const char *path, *noun, *help;
};

struct schema_key {
    enum section section;
    const char *name;
    enum key_type type;
    bool is_required;
    bool is_later;          /* nothing but the name is known */
    const char *fallback;   /* "": there is nothing */
    const char *low, *high; /* "": no limit */
    const char *help;
    enum section inner;     /* of a GROUP, LIST, MAP or ONE */
    unsigned count_max;     /* of a LIST or MAP */
    unsigned offset, bytes; /* of the field */
};

struct schema_choice {
    const char *key, *word;
    int value;
};

extern const struct schema_section schema_sections[SECTION_COUNT];
extern const struct schema_key schema_keys[];
extern const unsigned schema_key_count;
extern const struct schema_choice schema_choices[];
extern const unsigned schema_choice_count;

const char *schema_type_name(enum key_type type);
const char *schema_type_expected(enum key_type type);

/* Whether a key is for notes of the user's own: it begins with "x-". */
bool schema_is_extension(struct weir_slice key);

/* What each section is read into. Groups are read into what the section around them is. */
struct root_values {
    unsigned version;
    unsigned pool_size;
    unsigned max_retries;
    struct resolver_options resolver;
    const char *ca_file;
    struct snapshot snapshot;
};
struct service_values {
    struct service_options options;
};
struct listener_values {
    struct addr address;
    struct listener_options options;
    const char *cert, *key;
    struct tls_server_options tls;
};
struct certificate_values {
    const char *cert_file, *key_file;
};
struct route_values {
    const char *host, *path, *upstream;
    const char *auth_upstream, *mirror_upstream;
    struct auth_options auth;
    struct mirror_options mirror;
};
struct upstream_values {
    struct upstream_options options;
    const char *sni;
    struct tls_client_options tls;
    struct peer_proxy proxy;
};
struct server_values {
    struct server_options options;
};

/*
 * Reads a mapping of `section` and the groups in it into `values`, one of the structs above, filled
 * with defaults. What is wrong goes to `report` and leaves its field as it was; strings are of
 * `memory`.
 */
void schema_read(struct report *report, struct memory *memory, enum section section,
                 const struct yaml_node *mapping, void *values);

/*
 * The value of `name` in `mapping`, if it is there and has the shape that its row says: a list, a
 * mapping, or whatever it is for ONE. NULL otherwise, and a wrong shape or too many entries are
 * told.
 */
const struct yaml_node *schema_part(struct report *report, enum section section,
                                    const struct yaml_node *mapping, const char *name);

/* Reads one value of a key; for tests, and for values that stand alone. */
void schema_read_value(struct report *report, struct memory *memory, const struct schema_key *key,
                       const struct yaml_node *node, void *values);

#endif
