/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "http/field.h"
#include "http/scan.h"

_Static_assert(FIELD_COUNT <= 64, "struct fields keeps a bit for each id");

/*
 * A perfect hash over length and outer letters. A new row of field.def that collides is refused by
 * the compiler (an initializer given twice): choose other factors then.
 */
enum { SLOT_COUNT = 128 };
#define SLOT(length, first, last) (((length) + 9u * (first) + 36u * (last)) % SLOT_COUNT)

static const uint8_t slots[SLOT_COUNT] = {
#define X(NAME, name, wire_name, first, last) [SLOT(sizeof(name) - 1, first, last)] = FIELD_##NAME,
#include "http/field.def"
#undef X
};

static const struct weir_slice names[FIELD_COUNT] = {
#define X(NAME, name, wire_name, first, last) [FIELD_##NAME] = {name, sizeof(name) - 1},
#include "http/field.def"
#undef X
};

static const struct weir_slice wire_names[FIELD_COUNT] = {
#define X(NAME, name, wire_name, first, last) [FIELD_##NAME] = {wire_name, sizeof(wire_name) - 1},
#include "http/field.def"
#undef X
};

enum field_id field_id_of(struct weir_slice name)
{
    if (name.len == 0)
        return FIELD_OTHER;
    unsigned first = (unsigned char)name.at[0] | 0x20u;
    unsigned last = (unsigned char)name.at[name.len - 1] | 0x20u;
    enum field_id id = slots[SLOT(name.len, first, last)];
    /* nearly all who write in HTTP/1 spell as we do, and equal bytes are compared faster */
    if (slice_equal(name, wire_names[id]) || slice_equal_nocase(name, names[id]))
        return id;
    return FIELD_OTHER;
}

struct weir_slice field_name(enum field_id id)
{
    must(id > FIELD_OTHER && id < FIELD_COUNT);
    return names[id];
}

bool field_is_name(struct weir_slice name)
{
    return name.len > 0 && scan_name(name.at, name.at + name.len) == name.at + name.len;
}

bool field_is_value(struct weir_slice value)
{
    return value.len == 0 || scan_value(value.at, value.at + value.len) == value.at + value.len;
}

void fields_init(struct fields *fields)
{
    fields->count = 0;
    fields->present = 0;
}

bool fields_put(struct fields *fields, struct field field)
{
    if (fields->count == FIELDS_MAX)
        return false;
    fields->at[fields->count++] = field;
    fields->present |= UINT64_C(1) << field.id;
    return true;
}

bool fields_add(struct fields *fields, struct weir_slice name, struct weir_slice value)
{
    must(name.len > 0);
    return fields_put(fields, (struct field){name, value, field_id_of(name), false});
}

bool fields_add_known(struct fields *fields, enum field_id id, struct weir_slice value)
{
    must(id > FIELD_OTHER && id < FIELD_COUNT);
    return fields_put(fields, (struct field){wire_names[id], value, id, false});
}

const struct field *fields_find(const struct fields *fields, enum field_id id)
{
    if (!fields_have(fields, id))
        return NULL;
    fields_each (field, fields)
        if (field->id == id)
            return field;
    return NULL;
}

const struct field *fields_find_name(const struct fields *fields, struct weir_slice name)
{
    enum field_id id = field_id_of(name);
    if (id != FIELD_OTHER)
        return fields_find(fields, id);
    fields_each (field, fields)
        if (field->id == FIELD_OTHER && slice_equal_nocase(field->name, name))
            return field;
    return NULL;
}

void fields_remove(struct fields *fields, enum field_id id)
{
    if (!fields_have(fields, id))
        return;
    for (uint32_t i = 0; i < fields->count; i++)
        if (fields->at[i].id == id)
            fields->at[i].name.len = 0;
    fields->present &= ~(UINT64_C(1) << id);
}

void fields_remove_at(struct fields *fields, uint32_t index)
{
    must(index < fields->count);
    enum field_id id = fields->at[index].id;
    fields->at[index].name.len = 0;
    fields_each (field, fields)
        if (field->id == id)
            return;
    fields->present &= ~(UINT64_C(1) << id);
}

/* Where the member at the front of `list` ends: at a comma outside of quotes, or at the end. */
static size_t member_length(struct weir_slice list)
{
    bool quoted = false;
    for (size_t i = 0; i < list.len; i++) {
        if (list.at[i] == '"')
            quoted = !quoted;
        else if (quoted && list.at[i] == '\\')
            i++;
        else if (!quoted && list.at[i] == ',')
            return i;
    }
    return list.len;
}

bool field_list_next(struct weir_slice *rest, struct weir_slice *ret_member)
{
    while (rest->len > 0) {
        size_t length = member_length(*rest);
        struct weir_slice member = slice_trim(slice_of(rest->at, length));
        *rest = slice_skip(*rest, length < rest->len ? length + 1 : length);
        if (member.len > 0) {
            *ret_member = member;
            return true;
        }
    }
    return false;
}

bool fields_list_has(const struct fields *fields, enum field_id id, struct weir_slice token)
{
    if (!fields_have(fields, id))
        return false;
    fields_each (field, fields) {
        struct weir_slice rest = field->value, member;
        if (field->id != id)
            continue;
        while (field_list_next(&rest, &member))
            if (slice_equal_nocase(member, token))
                return true;
    }
    return false;
}
