/* SPDX-License-Identifier: MIT */
#include "config/schema.h"

#include "base/check.h"
#include "base/slice.h"
#include "config/address.h"
#include "config/suggest.h"
#include "config/value.h"

#include <stdio.h>
#include <string.h>

/* One reading of one value. */
struct reading {
    struct report *report;
    struct memory *memory;
    const struct schema_key *key;
    const struct yaml_node *node;
    void *field;
};

static void reject(const struct reading *reading, const char *expected)
{
    char found[YAML_DESCRIPTION_SIZE];
    report_error(reading->report, reading->node->position, "'%s' must be %s, not %s",
                 reading->key->name, expected, yaml_describe(reading->node, found));
}

/* The numbers that values of a type stand for: counts, seconds, nanoseconds or bytes. */
static bool parse_amount(enum key_type type, struct weir_slice text, uint64_t *ret_amount)
{
    struct weir_span span;
    switch (type) {
    case TYPE_COUNT:
    case TYPE_COUNT_OR_NONE:
    case TYPE_SECONDS:
        return slice_to_u64(text, ret_amount);
    case TYPE_SIZE:
    case TYPE_SIZE_OR_NONE:
        return value_size(text, ret_amount);
    case TYPE_PERCENT:
        return value_percent(text, ret_amount);
    default:
        if (!value_span(text, &span))
            return false;
        *ret_amount = (uint64_t)span.ns;
        return true;
    }
}

static void store(const struct reading *reading, uint64_t number)
{
    unsigned small = (unsigned)number;
    if (reading->key->bytes == sizeof number) {
        memcpy(reading->field, &number, sizeof number);
    } else {
        must(reading->key->bytes == sizeof small && number <= UINT32_MAX);
        memcpy(reading->field, &small, sizeof small);
    }
}

static bool is_in_range(const struct schema_key *key, uint64_t amount)
{
    uint64_t low, high;
    must(parse_amount(key->type, slice_str(key->low), &low));
    must(parse_amount(key->type, slice_str(key->high), &high));
    return amount >= low && amount <= high;
}

static void read_amount(const struct reading *reading, bool may_be_none)
{
    const struct schema_key *key = reading->key;
    struct weir_slice text = reading->node->text;
    bool is_span = key->type == TYPE_SPAN || key->type == TYPE_SPAN_OR_NONE;
    uint64_t amount;
    if (may_be_none && slice_equal(text, SLICE("none"))) {
        store(reading, is_span ? (uint64_t)INT64_MAX : 0);
    } else if (!parse_amount(key->type, text, &amount)) {
        uint64_t ignored;
        bool no_unit = is_span && slice_to_u64(text, &ignored);
        reject(reading, no_unit ? "a duration with its unit such as 500ms, 5s or 1h"
                                : schema_type_expected(key->type));
    } else if (!is_in_range(key, amount)) {
        char range[96];
        if (strcmp(key->low, key->high) == 0)
            snprintf(range, sizeof range, "%s", key->low);
        else
            snprintf(range, sizeof range, "from %s to %s", key->low, key->high);
        reject(reading, range);
    } else {
        store(reading, key->type == TYPE_SECONDS ? amount * 1000000000 : amount);
    }
}

static void read_bool(const struct reading *reading)
{
    if (!value_bool(reading->node->text, reading->field))
        reject(reading, schema_type_expected(TYPE_BOOL));
}

static void reject_choice(const struct reading *reading)
{
    char words[128];
    size_t length = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < schema_choice_count; i++) {
        const struct schema_choice *choice = &schema_choices[i];
        if (strcmp(choice->key, reading->key->name) != 0)
            continue;
        int more = snprintf(words + length, sizeof words - length, "%s%s", count++ ? " or " : "",
                            choice->word);
        length += (size_t)more;
        must(length < sizeof words);
    }
    reject(reading, words);
}

static void read_choice(const struct reading *reading)
{
    for (unsigned i = 0; i < schema_choice_count; i++) {
        const struct schema_choice *choice = &schema_choices[i];
        if (strcmp(choice->key, reading->key->name) != 0 ||
            !slice_equal(slice_str(choice->word), reading->node->text))
            continue;
        store(reading, (uint64_t)choice->value);
        return;
    }
    reject_choice(reading);
}

/* Whether a text is what its type asks for. */
static bool is_good_text(enum key_type type, struct weir_slice text)
{
    switch (type) {
    case TYPE_NAME:
        return value_is_name(text);
    case TYPE_PREFIX:
        return text.len > 0 && text.at[0] == '/' && slice_find(text, '\0') == text.len;
    default:
        return text.len > 0 && slice_find(text, '\0') == text.len;
    }
}

static bool is_host(enum key_type type)
{
    return type == TYPE_HOST || type == TYPE_NAME_OF_HOST;
}

/* One of a route may be a wildcard. */
static bool is_good_host(enum key_type type, struct weir_slice text, char *ret_host)
{
    return value_host(text, ret_host) && (type == TYPE_HOST || text.at[0] != '*');
}

static void read_text(const struct reading *reading)
{
    enum key_type type = reading->key->type;
    struct weir_slice text = reading->node->text;
    char *copy = memory_string(reading->memory, text);
    const char *value = copy;
    if (type == TYPE_TEXT_OR_NONE && slice_equal(text, SLICE("none")))
        value = NULL;
    if (!copy)
        return;
    if (is_host(type) ? !is_good_host(type, text, copy) : !is_good_text(type, text))
        reject(reading, schema_type_expected(type));
    else
        memcpy(reading->field, &value, sizeof value);
}

void schema_read_value(struct report *report, struct memory *memory, const struct schema_key *key,
                       const struct yaml_node *node, void *values)
{
    struct reading reading = {report, memory, key, node, (char *)values + key->offset};
    if (node->type != YAML_SCALAR && key->type == TYPE_CHOICE) {
        reject_choice(&reading);
        return;
    }
    if (node->type != YAML_SCALAR) {
        reject(&reading, schema_type_expected(key->type));
        return;
    }
    switch (key->type) {
    case TYPE_COUNT:
    case TYPE_SECONDS:
    case TYPE_SPAN:
    case TYPE_SIZE:
    case TYPE_PERCENT:
        read_amount(&reading, false);
        break;
    case TYPE_COUNT_OR_NONE:
    case TYPE_SPAN_OR_NONE:
    case TYPE_SIZE_OR_NONE:
        read_amount(&reading, true);
        break;
    case TYPE_BOOL:
        read_bool(&reading);
        break;
    case TYPE_CHOICE:
        read_choice(&reading);
        break;
    case TYPE_LISTEN_ADDRESS:
        address_read_listen(report, node->position, node->text, reading.field);
        break;
    case TYPE_SERVER_ADDRESS:
        address_read_server(report, memory, node->position, node->text, reading.field);
        break;
    default:
        read_text(&reading);
    }
}

static const struct schema_key *find_key(enum section section, struct weir_slice name)
{
    for (unsigned i = 0; i < schema_key_count; i++)
        if (schema_keys[i].section == section && slice_equal(slice_str(schema_keys[i].name), name))
            return &schema_keys[i];
    return NULL;
}

static void report_unknown(struct report *report, enum section section,
                           const struct yaml_node *name)
{
    char escaped[LOG_ESCAPED_SIZE], meant[SUGGEST_TEXT_SIZE];
    struct suggestion suggestion;
    suggest_init(&suggestion, name->text);
    for (unsigned i = 0; i < schema_key_count; i++)
        if (schema_keys[i].section == section && !schema_keys[i].is_later)
            suggest_look(&suggestion, slice_str(schema_keys[i].name));
    report_error(report, name->position, "unknown key '%s'%s", log_escape(name->text, escaped),
                 suggest_print(&suggestion, meant));
}

static void report_missing(struct report *report, enum section section,
                           const struct yaml_node *mapping)
{
    for (unsigned i = 0; i < schema_key_count; i++)
        if (schema_keys[i].section == section && schema_keys[i].is_required &&
            !yaml_find(mapping, slice_str(schema_keys[i].name)))
            report_error(report, mapping->position, "%s needs the key '%s'",
                         schema_sections[section].noun, schema_keys[i].name);
}

void schema_read(struct report *report, struct memory *memory, enum section section,
                 const struct yaml_node *mapping, void *values)
{
    if (mapping->type != YAML_MAPPING) {
        char found[YAML_DESCRIPTION_SIZE];
        report_error(report, mapping->position, "%s must be a mapping, not %s",
                     schema_sections[section].noun, yaml_describe(mapping, found));
        return;
    }
    for (const struct yaml_entry *at = mapping->entries; at; at = at->next) {
        const struct schema_key *key = find_key(section, at->key->text);
        if (schema_is_extension(at->key->text))
            continue;
        if (!key)
            report_unknown(report, section, at->key);
        else if (key->is_later)
            report_error(report, at->key->position, "key '%s' is not supported by this version",
                         key->name);
        else if (key->type == TYPE_GROUP)
            schema_read(report, memory, key->inner, at->value, values);
        else if (key->type < TYPE_GROUP)
            schema_read_value(report, memory, key, at->value, values);
    }
    report_missing(report, section, mapping);
}

const struct yaml_node *schema_part(struct report *report, enum section section,
                                    const struct yaml_node *mapping, const char *name)
{
    const struct yaml_entry *entry = yaml_find(mapping, slice_str(name));
    const struct schema_key *key = find_key(section, slice_str(name));
    must(key);
    if (!entry)
        return NULL;
    const struct yaml_node *node = entry->value;
    struct reading reading = {.report = report, .key = key, .node = node};
    if ((key->type == TYPE_LIST && node->type != YAML_LIST) ||
        (key->type == TYPE_MAP && node->type != YAML_MAPPING)) {
        reject(&reading, schema_type_expected(key->type));
        return NULL;
    }
    if (key->type != TYPE_ONE && node->entry_count == 0)
        report_error(report, node->position, "'%s' has no entries", name);
    if (key->type != TYPE_ONE && node->entry_count > key->count_max) {
        report_error(report, node->position, "'%s' has %u entries, at most %u are possible", name,
                     node->entry_count, key->count_max);
        return NULL;
    }
    return node;
}
