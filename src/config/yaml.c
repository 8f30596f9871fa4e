/* SPDX-License-Identifier: MIT */
#include "config/yaml.h"

#include "base/check.h"
#include "base/slice.h"
#include "config/utf8.h"

#include <libfyaml.h>
#include <stdio.h>
#include <string.h>

struct anchor {
    struct anchor *next;
    struct weir_slice name;
    const struct yaml_node *node;
};

/* Stands on one event of the parser; NULL: there is none any more. */
struct reader {
    const char *file;
    struct memory *memory;
    struct report *report;
    struct fy_parser *parser;
    struct fy_event *event;
    struct anchor *anchors;   /* the latest first: a name may be given anew */
    struct position position; /* of what was read last */
    size_t node_count;
    unsigned depth;
};

static struct yaml_node *read_node(struct reader *reader);

static bool is_at(const struct reader *reader, enum fy_event_type type)
{
    return reader->event && reader->event->type == type;
}

/* The parser's mark stands behind the quote or the asterisk; we point at that. */
static unsigned opening_width(const struct reader *reader)
{
    if (is_at(reader, FYET_ALIAS))
        return 1;
    if (!is_at(reader, FYET_SCALAR))
        return 0;
    enum fy_scalar_style style = fy_token_scalar_style(reader->event->scalar.value);
    return style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED ? 1 : 0;
}

static void advance(struct reader *reader)
{
    fy_parser_event_free(reader->parser, reader->event);
    reader->event = fy_parser_parse(reader->parser);
    const struct fy_mark *mark = reader->event ? fy_event_start_mark(reader->event) : NULL;
    if (mark)
        reader->position = (struct position){reader->file, (unsigned)mark->line + 1,
                                             (unsigned)mark->column + 1 - opening_width(reader)};
}

static struct weir_slice token_text(struct fy_token *token)
{
    size_t length = 0;
    const char *text = token ? fy_token_get_text(token, &length) : NULL;
    return slice_of(text ? text : "", text ? length : 0);
}

/* A node of what the reader stands on; NULL when memory is out or there are too many. */
static struct yaml_node *node_new(struct reader *reader, enum yaml_type type)
{
    struct yaml_node *node = memory_alloc(reader->memory, sizeof *node);
    if (!node)
        return NULL;
    *node = (struct yaml_node){.type = type, .position = reader->position, .node_count = 1};
    return node;
}

/* Everything below this node is in the tree once more. */
static bool count_nodes(struct reader *reader, size_t more)
{
    reader->node_count += more;
    if (reader->node_count <= YAML_NODES_MAX)
        return true;
    report_error(reader->report, reader->position,
                 "more than %d values, those behind aliases counted as often as they are used",
                 YAML_NODES_MAX);
    return false;
}

static struct yaml_node *read_scalar(struct reader *reader)
{
    struct fy_token *token = reader->event->scalar.value;
    struct weir_slice text = token_text(token);
    bool is_plain = fy_token_scalar_style(token) == FYSS_PLAIN;
    bool is_empty = is_plain && (text.len == 0 || slice_equal(text, SLICE("~")) ||
                                 slice_equal(text, SLICE("null")));
    struct yaml_node *node = node_new(reader, is_empty ? YAML_EMPTY : YAML_SCALAR);
    char *copy = memory_string(reader->memory, text);
    if (!node || !copy || !count_nodes(reader, 1))
        return NULL;
    node->text = slice_of(copy, text.len);
    return node;
}

/* The node that an alias names, as if it stood here. */
static struct yaml_node *read_alias(struct reader *reader)
{
    char escaped[LOG_ESCAPED_SIZE];
    struct weir_slice name = token_text(reader->event->alias.anchor);
    const struct anchor *anchor = reader->anchors;
    while (anchor && !slice_equal(anchor->name, name))
        anchor = anchor->next;
    if (!anchor) {
        report_error(reader->report, reader->position, "no anchor '&%s' before this alias",
                     log_escape(name, escaped));
        return NULL;
    }
    struct yaml_node *node = node_new(reader, anchor->node->type);
    if (!node || !count_nodes(reader, anchor->node->node_count))
        return NULL;
    *node = *anchor->node;
    node->position = reader->position;
    return node;
}

/* Adds to the end, `*end` being the place of the next entry; false when the node is full. */
static bool append(struct reader *reader, struct yaml_node *node, struct yaml_entry ***end,
                   const struct yaml_node *key, const struct yaml_node *value)
{
    struct yaml_entry *entry = memory_alloc(reader->memory, sizeof *entry);
    if (!entry)
        return false;
    if (node->entry_count >= YAML_ENTRIES_MAX) {
        report_error(reader->report, reader->position, "more than %d entries in %s",
                     YAML_ENTRIES_MAX, key ? "a mapping" : "a list");
        return false;
    }
    *entry = (struct yaml_entry){NULL, key, value};
    **end = entry;
    *end = &entry->next;
    node->entry_count++;
    node->node_count += value->node_count + (key ? 1 : 0);
    return true;
}

static struct yaml_node *read_list(struct reader *reader)
{
    struct yaml_node *list = node_new(reader, YAML_LIST);
    if (!list || !count_nodes(reader, 1))
        return NULL;
    struct yaml_entry **end = &list->entries;
    for (advance(reader); !is_at(reader, FYET_SEQUENCE_END); advance(reader)) {
        const struct yaml_node *value = read_node(reader);
        if (!value || !append(reader, list, &end, NULL, value))
            return NULL;
    }
    return list;
}

/* False for a key that cannot stand: it is told, and left out with its value. */
static bool key_is_good(struct reader *reader, const struct yaml_node *mapping,
                        const struct yaml_node *key)
{
    char escaped[LOG_ESCAPED_SIZE];
    if (key->type != YAML_SCALAR) {
        report_error(reader->report, key->position, "a key must be text");
        return false;
    }
    const struct yaml_entry *first = yaml_find(mapping, key->text);
    if (first)
        report_error(reader->report, key->position,
                     "key '%s' is there twice, the first time in line %u",
                     log_escape(key->text, escaped), first->key->position.line);
    return !first;
}

/* Takes over the entries of another mapping whose keys are not there (the merge key of YAML 1.1).
 */
static bool merge(struct reader *reader, struct yaml_node *mapping, struct yaml_entry ***end,
                  const struct yaml_node *from)
{
    if (from->type != YAML_MAPPING) {
        report_error(reader->report, from->position,
                     "'<<' takes a mapping or a list of mappings, by alias");
        return true;
    }
    for (const struct yaml_entry *at = from->entries; at; at = at->next)
        if (!yaml_find(mapping, at->key->text) && !append(reader, mapping, end, at->key, at->value))
            return false;
    return true;
}

static bool merge_all(struct reader *reader, struct yaml_node *mapping, struct yaml_entry ***end,
                      const struct yaml_node *from)
{
    if (from->type != YAML_LIST)
        return merge(reader, mapping, end, from);
    for (const struct yaml_entry *at = from->entries; at; at = at->next)
        if (!merge(reader, mapping, end, at->value))
            return false;
    return true;
}

static struct yaml_node *read_mapping(struct reader *reader)
{
    struct yaml_node *mapping = node_new(reader, YAML_MAPPING);
    if (!mapping || !count_nodes(reader, 1))
        return NULL;
    struct yaml_entry **end = &mapping->entries;
    const struct yaml_node *merged = NULL;
    for (advance(reader); !is_at(reader, FYET_MAPPING_END); advance(reader)) {
        const struct yaml_node *key = read_node(reader);
        if (!key)
            return NULL;
        /* A value that is not there has no position of its own: it is told at its key. */
        reader->position = key->position;
        advance(reader);
        const struct yaml_node *value = read_node(reader);
        if (!value)
            return NULL;
        if (slice_equal(key->text, SLICE("<<")) && !merged)
            merged = value;
        else if (key_is_good(reader, mapping, key) && !append(reader, mapping, &end, key, value))
            return NULL;
    }
    if (merged && !merge_all(reader, mapping, &end, merged))
        return NULL;
    return mapping;
}

static struct yaml_node *read_collection(struct reader *reader)
{
    if (reader->depth >= YAML_DEPTH_MAX) {
        report_error(reader->report, reader->position, "nested deeper than %d levels",
                     YAML_DEPTH_MAX);
        return NULL;
    }
    reader->depth++;
    struct yaml_node *node =
        is_at(reader, FYET_SEQUENCE_START) ? read_list(reader) : read_mapping(reader);
    reader->depth--;
    return node;
}

/* Under which name a node can be meant from here on: only once it is whole, so never by itself. */
static bool set_anchor(struct reader *reader, struct weir_slice name, const struct yaml_node *node)
{
    struct anchor *anchor = memory_alloc(reader->memory, sizeof *anchor);
    if (!anchor)
        return false;
    *anchor = (struct anchor){reader->anchors, name, node};
    reader->anchors = anchor;
    return true;
}

/*
 * What begins at the event that the reader stands on, which then is the last of it. NULL when the
 * rest cannot be read; then it has been reported, or the parser knows what is wrong.
 */
static struct yaml_node *read_node(struct reader *reader)
{
    if (is_at(reader, FYET_ALIAS))
        return read_alias(reader);
    bool is_scalar = is_at(reader, FYET_SCALAR);
    if (!is_scalar && !is_at(reader, FYET_SEQUENCE_START) && !is_at(reader, FYET_MAPPING_START))
        return NULL;
    if (fy_event_get_tag_token(reader->event))
        report_error(reader->report, reader->position, "tags ('!...') have no meaning here");
    struct weir_slice name = token_text(fy_event_get_anchor_token(reader->event));
    char *name_copy = memory_string(reader->memory, name);
    struct yaml_node *node = is_scalar ? read_scalar(reader) : read_collection(reader);
    if (!node || !name_copy)
        return NULL;
    if (name.len > 0 && !set_anchor(reader, slice_str(name_copy), node))
        return NULL;
    return node;
}

/* The whole document; NULL when it cannot be read. A file without one is an empty document. */
static struct yaml_node *read_document(struct reader *reader)
{
    advance(reader);
    if (!is_at(reader, FYET_STREAM_START))
        return NULL;
    advance(reader);
    if (is_at(reader, FYET_STREAM_END)) {
        reader->position = (struct position){reader->file, 1, 1};
        return node_new(reader, YAML_EMPTY);
    }
    if (!is_at(reader, FYET_DOCUMENT_START))
        return NULL;
    advance(reader);
    struct yaml_node *root = read_node(reader);
    if (!root)
        return NULL;
    advance(reader);
    if (!is_at(reader, FYET_DOCUMENT_END))
        return NULL;
    advance(reader);
    if (is_at(reader, FYET_DOCUMENT_START))
        report_error(reader->report, reader->position, "a second document; one file holds one");
    return is_at(reader, FYET_STREAM_END) ? root : NULL;
}

static void report_parser(struct reader *reader, struct fy_diag *diag)
{
    void *state = NULL;
    for (struct fy_diag_error *at; (at = fy_diag_errors_iterate(diag, &state));) {
        struct position position = {reader->file, (unsigned)at->line, (unsigned)at->column};
        if (at->type >= FYET_ERROR)
            report_error(reader->report, position, "%s", at->msg);
        else
            report_warning(reader->report, position, "%s", at->msg);
    }
}

static enum weir_err read_text(struct reader *reader, struct weir_slice text,
                               const struct yaml_node **ret_root)
{
    struct fy_diag_cfg told;
    fy_diag_cfg_default(&told);
    told.fp = NULL;
    told.colorize = false;
    struct fy_diag *diag = fy_diag_create(&told);
    if (!diag)
        return WEIR_E_NO_MEMORY;
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg how = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE |
                                        FYPCF_DEFAULT_VERSION_1_2,
                               .diag = diag};
    enum weir_err err = WEIR_E_NO_MEMORY;
    reader->parser = fy_parser_create(&how);
    if (!reader->parser ||
        fy_parser_set_string(reader->parser, text.len ? text.at : "", text.len) != 0)
        goto out;

    const struct yaml_node *root = read_document(reader);
    report_parser(reader, diag);
    if (!root && reader->report->error_count == 0 && !reader->memory->failed)
        report_error(reader->report, reader->position, "this cannot be read as YAML");
    if (reader->memory->failed)
        goto out;
    err = root ? WEIR_OK : WEIR_E_CONFIG;
    if (root)
        *ret_root = root;
out:
    fy_parser_event_free(reader->parser, reader->event);
    fy_parser_destroy(reader->parser);
    fy_diag_destroy(diag);
    return err;
}

/* The parser would take what ends at a byte that is not text for the whole. */
static bool is_text(struct reader *reader, struct weir_slice text)
{
    size_t good = utf8_printable(text);
    if (good == text.len)
        return true;
    struct position position = {reader->file, 1, 1};
    for (size_t i = 0; i < good; i++) {
        bool is_end = text.at[i] == '\n';
        position.line += is_end;
        position.column = is_end ? 1 : position.column + ((text.at[i] & 0xc0) != 0x80);
    }
    report_error(reader->report, position, "byte 0x%02x is not text in UTF-8",
                 (unsigned char)text.at[good]);
    return false;
}

enum weir_err yaml_read(const char *file, struct weir_slice text, struct memory *memory,
                        struct report *report, const struct yaml_node **ret_root)
{
    struct reader reader = {
        .file = file, .memory = memory, .report = report, .position = {file, 1, 1}};
    if (text.len > YAML_BYTES_MAX) {
        report_error(report, (struct position){file, 0, 0}, "larger than %d bytes", YAML_BYTES_MAX);
        return WEIR_E_CONFIG;
    }
    if (!is_text(&reader, text))
        return WEIR_E_CONFIG;
    return read_text(&reader, text, ret_root);
}

const struct yaml_entry *yaml_find(const struct yaml_node *mapping, struct weir_slice key)
{
    if (mapping->type != YAML_MAPPING)
        return NULL;
    const struct yaml_entry *at = mapping->entries;
    while (at && !slice_equal(at->key->text, key))
        at = at->next;
    return at;
}

const char *yaml_describe(const struct yaml_node *node, char ret_text[static YAML_DESCRIPTION_SIZE])
{
    char escaped[LOG_ESCAPED_SIZE];
    switch (node->type) {
    case YAML_EMPTY:
        return "empty";
    case YAML_LIST:
        return "a list";
    case YAML_MAPPING:
        return "a mapping";
    case YAML_SCALAR:
        break;
    }
    snprintf(ret_text, YAML_DESCRIPTION_SIZE, "'%s'", log_escape(node->text, escaped));
    return ret_text;
}
