/* SPDX-License-Identifier: MIT */
#ifndef HTTP_FIELD_H
#define HTTP_FIELD_H

/*
 * The fields of a head (RFC 9110 section 5). Names and values are views of the bytes they were read
 * from or of an arena; the owner of those bytes decides how long a list lives.
 *
 * A removed field stays in its place with an empty name, so that indexes hold while a list is
 * edited; writers and fields_each() step over it.
 */

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum field_id {
    FIELD_OTHER,
#define X(NAME, name, wire_name, first, last) FIELD_##NAME,
#include "http/field.def"
#undef X
    FIELD_COUNT
};

enum { FIELDS_MAX = 128 };

struct field {
    struct weir_slice name;
    struct weir_slice value;
    enum field_id id;
    bool never_index; /* it is secret: HPACK must not remember it (RFC 7541 section 7.1.3) */
};

struct fields {
    uint32_t count;
    uint64_t present; /* bit `id` is set when a field of that id is in the list */
    struct field at[FIELDS_MAX];
};

/* The number of a name in any case; FIELD_OTHER if weir does not know it. */
enum field_id field_id_of(struct weir_slice name);
/* The lower-case name of a known id. */
struct weir_slice field_name(enum field_id id);

/* What may be sent as a field (RFC 9110 sections 5.1 and 5.5): a token; no control but HTAB. */
bool field_is_name(struct weir_slice name);
bool field_is_value(struct weir_slice value);

void fields_init(struct fields *fields);

/* Adds at the end; false when the list is full. `name` and `value` must outlive the list. */
bool fields_add(struct fields *fields, struct weir_slice name, struct weir_slice value);
/* The same when its id is known already, which FIELD_OTHER is too. */
bool fields_put(struct fields *fields, struct field field);
/* The same for a known name; its spelling on the wire is "Like-This". */
bool fields_add_known(struct fields *fields, enum field_id id, struct weir_slice value);

static inline bool fields_have(const struct fields *fields, enum field_id id)
{
    return (fields->present >> id) & 1;
}

/* The first field of that id, NULL if there is none. */
const struct field *fields_find(const struct fields *fields, enum field_id id);
/* The first field of that name in any case, NULL if there is none. */
const struct field *fields_find_name(const struct fields *fields, struct weir_slice name);

/* Removes all fields of that id, or one by its index. */
void fields_remove(struct fields *fields, enum field_id id);
void fields_remove_at(struct fields *fields, uint32_t index);

/* Every field that is still there, in order. */
#define fields_each(field, fields)                                                                 \
    for (const struct field *field = (fields)->at; field < (fields)->at + (fields)->count;         \
         field++)                                                                                  \
        if (field->name.len != 0)

/*
 * Walks the members of a comma-separated list (RFC 9110 section 5.6.1): each call trims and gives
 * the next non-empty member and shortens *rest; false at the end. Commas in quoted strings do not
 * separate.
 */
bool field_list_next(struct weir_slice *rest, struct weir_slice *ret_member);

/* Whether any field of that id has `token` (any case) as a member of its list. */
bool fields_list_has(const struct fields *fields, enum field_id id, struct weir_slice token);

#endif
