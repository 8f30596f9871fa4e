/* SPDX-License-Identifier: MIT */
/* The rows of keys.def and type.def, as arrays. */
#include "config/schema.h"

#include "base/check.h"
#include "base/slice.h"
#include "http/head.h"

#include <stddef.h>

const struct schema_section schema_sections[SECTION_COUNT] = {
#define SECTION(SECTION, where, one, text) [SECTION_##SECTION] = {where, one, text},
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
};

#define VALUES_ROOT struct root_values
#define VALUES_ADMIN struct root_values
#define VALUES_SERVICE struct service_values
#define VALUES_LISTENER struct listener_values
#define VALUES_LISTENER_TLS struct listener_values
#define VALUES_CERTIFICATE struct certificate_values
#define VALUES_ROUTE struct route_values
#define VALUES_AUTH_REQUEST struct route_values
#define VALUES_MIRROR struct route_values
#define VALUES_UPSTREAM_TLS struct upstream_values
#define VALUES_UPSTREAM_PROXY struct upstream_values
#define VALUES_UPSTREAM struct upstream_values
#define VALUES_SERVER struct server_values
#define VALUES_RESOLVER struct root_values
#define VALUES_HEALTH struct upstream_values
#define VALUES_TCP struct upstream_values
#define VALUES_KEEPALIVE struct upstream_values
#define VALUES_RETRY struct upstream_values
#define VALUES_QUEUE struct upstream_values
#define VALUES_H2 struct upstream_values

/* What stands in the column `fallback` when it is no value: whether the key must be there. */
#define REQUIRED "", .is_required = true
#define ABSENT ""

const struct schema_key schema_keys[] = {
#define SECTION(...)
#define CHOICE(...)
#define KEY(SECTION, key, TYPE, field, default_text, lowest, highest, text)                        \
    {.section = SECTION_##SECTION,                                                                 \
     .name = #key,                                                                                 \
     .type = TYPE_##TYPE,                                                                          \
     .low = lowest,                                                                                \
     .high = highest,                                                                              \
     .help = text,                                                                                 \
     .offset = offsetof(VALUES_##SECTION, field),                                                  \
     .bytes = sizeof(((VALUES_##SECTION *)NULL)->field),                                           \
     .fallback = default_text},
#define PART(SECTION, key, TYPE, INNER, default_text, most, text)                                  \
    {.section = SECTION_##SECTION,                                                                 \
     .name = #key,                                                                                 \
     .type = TYPE_##TYPE,                                                                          \
     .low = "",                                                                                    \
     .high = "",                                                                                   \
     .help = text,                                                                                 \
     .inner = SECTION_##INNER,                                                                     \
     .count_max = most,                                                                            \
     .fallback = default_text},
#define LATER(SECTION, key)                                                                        \
    {.section = SECTION_##SECTION,                                                                 \
     .name = #key,                                                                                 \
     .is_later = true,                                                                             \
     .fallback = "",                                                                               \
     .low = "",                                                                                    \
     .high = "",                                                                                   \
     .help = ""},
#include "config/keys.def"
#undef SECTION
#undef KEY
#undef CHOICE
#undef PART
#undef LATER
};
const unsigned schema_key_count = COUNT_OF(schema_keys);

const struct schema_choice schema_choices[] = {
#define SECTION(...)
#define KEY(...)
#define PART(...)
#define LATER(...)
#define CHOICE(key, word, value) {#key, word, value},
#include "config/keys.def"
#undef SECTION
#undef KEY
#undef CHOICE
#undef PART
#undef LATER
};
const unsigned schema_choice_count = COUNT_OF(schema_choices);

static const struct {
    const char *name, *expected;
} types[] = {
#define X(TYPE, type_name, what) [TYPE_##TYPE] = {type_name, what},
#include "config/type.def"
#undef X
};

const char *schema_type_name(enum key_type type)
{
    return types[type].name;
}

const char *schema_type_expected(enum key_type type)
{
    return types[type].expected;
}

bool schema_is_extension(struct weir_slice key)
{
    return slice_starts(key, SLICE("x-"));
}
