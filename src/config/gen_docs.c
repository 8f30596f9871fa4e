/* SPDX-License-Identifier: MIT */
/*
 * Makes docs/configuration.md, docs/weir.schema.json and docs/man/weir.yaml.5 from the tables of
 * the configuration.
 *
 *     gen_docs write ROOT   writes them below ROOT
 *     gen_docs check ROOT   fails when one of them is not what would be written
 */
#include "config/gen_docs.h"

#include "base/slice.h"

#include <stdio.h>
#include <string.h>

static const char intro[] =
    "<!-- Made from src/config/keys.def by `meson compile -C build config-docs`; do not edit. -->\n"
    "# Configuration\n\n"
    "weir reads one YAML file: `weir -c FILE`, or without `-c` the first of `./weir.yaml` and\n"
    "`/etc/weir/weir.yaml`. `weir -t -c FILE` checks it and ends. Every mistake is told, in one\n"
    "run, with file, line and column. A key that is not in these tables is a mistake, except that\n"
    "keys which begin with `x-` are ignored wherever they stand; anchors, aliases and merge keys\n"
    "(`<<`) make use of them.\n\n"
    "* A **duration** is a number with its unit: `500ms`, `5s`, `10m`, `1h`, `7d`; 0 needs none.\n"
    "* A **size** is in bytes, or has a unit: `512`, `512B`, `64KiB`, `8MiB`, `1GiB`.\n"
    "* An **address** is `host:port`, `[::1]:port` or `unix:/path`; listeners also take `:port`.\n"
    "  A listener's name is looked up once, at start, a server's again and again.\n"
    "* `none` means that there is no limit, or no such thing.\n\n"
    "Editors that know JSON Schema can use [weir.schema.json](weir.schema.json).\n\n"
    "## A whole example\n\n";

bool gen_is_shown(const struct schema_key *key, enum section section)
{
    return key->section == section && !key->is_later;
}

void gen_print_choices(struct buf *out, const struct schema_key *key, const char *between,
                       const char *quote)
{
    const char *before = "";
    for (unsigned i = 0; i < schema_choice_count; i++) {
        const struct schema_choice *choice = &schema_choices[i];
        if (strcmp(choice->key, key->name) != 0)
            continue;
        buf_printf(out, "%s%s%s%s", before, quote, choice->word, quote);
        before = between;
    }
}

bool gen_has_choices(const struct schema_key *key)
{
    if (key->type != TYPE_CHOICE && key->type != TYPE_LIST)
        return false;
    for (unsigned i = 0; i < schema_choice_count; i++)
        if (strcmp(schema_choices[i].key, key->name) == 0)
            return true;
    return false;
}

bool gen_section_has_keys(enum section section)
{
    for (unsigned i = 0; i < schema_key_count; i++)
        if (gen_is_shown(&schema_keys[i], section))
            return true;
    return false;
}

/* --- docs/configuration.md */

static void print_range(struct buf *out, const struct schema_key *key)
{
    if (gen_has_choices(key))
        gen_print_choices(out, key, ", ", "`");
    else if (key->count_max > 1)
        buf_printf(out, "1 to %u entries", key->count_max);
    else if (key->low[0] && strcmp(key->low, key->high) == 0)
        buf_printf(out, "%s", key->low);
    else if (key->low[0])
        buf_printf(out, "%s to %s", key->low, key->high);
}

static void print_key(struct buf *out, const struct schema_key *key)
{
    buf_printf(out, "| `%s` | %s | ", key->name, schema_type_name(key->type));
    if (key->is_required)
        buf_printf(out, "required");
    else if (key->fallback[0])
        buf_printf(out, "`%s`", key->fallback);
    buf_printf(out, " | ");
    print_range(out, key);
    buf_printf(out, " | %s |\n", key->help);
}

static void print_section(struct buf *out, enum section section)
{
    const struct schema_section *row = &schema_sections[section];
    if (!gen_section_has_keys(section))
        return;
    if (row->path[0])
        buf_printf(out, "\n## `%s`\n\n", row->path);
    else
        buf_printf(out, "\n## The top of the file\n\n");
    buf_printf(out, "%s\n\n| key | type | default | range | |\n|---|---|---|---|---|\n", row->help);
    for (unsigned i = 0; i < schema_key_count; i++)
        if (gen_is_shown(&schema_keys[i], section))
            print_key(out, &schema_keys[i]);
}

static void print_markdown(struct buf *out, struct weir_slice example)
{
    buf_printf(out, "%s```yaml\n", intro);
    buf_append(out, example);
    buf_printf(out, "```\n");
    for (enum section section = 0; section < SECTION_COUNT; section++)
        print_section(out, section);
}

/* --- docs/weir.schema.json */

static void print_string(struct buf *out, const char *text)
{
    buf_append_byte(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_append_byte(out, '\\');
        buf_append_byte(out, *text);
    }
    buf_append_byte(out, '"');
}

static const char *const section_names[SECTION_COUNT] = {
#define SECTION(SECTION, path, noun, help) [SECTION_##SECTION] = #SECTION,
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

/* The name of a section, in small letters. */
static void print_name(struct buf *out, enum section section)
{
    for (const char *at = section_names[section]; *at; at++)
        buf_append_byte(out, (char)slice_lower(*at));
}

/* Whether what stands there is a text, and no mapping. */
static bool is_text(enum section section)
{
    return section == SECTION_SOURCE || section == SECTION_NAME_SERVER ||
           section == SECTION_PROXY_HEADER || section == SECTION_PROTOCOL ||
           section == SECTION_COPY_HEADER;
}

/* What may stand in place of a mapping, as text; NULL: nothing. */
static const char *short_form(enum section section)
{
    switch (section) {
    case SECTION_LISTENER:
    case SECTION_SERVER:
        return "{\"type\": \"string\", \"pattern\": \":\"}";
    case SECTION_UPSTREAM:
        return "{\"type\": \"string\", \"pattern\": \"^((https?|h2c)://.|unix:/)\"}";
    default:
        return NULL;
    }
}

static void print_link(struct buf *out, enum section section)
{
    buf_printf(out, "{\"$ref\": \"#/$defs/");
    print_name(out, section);
    buf_printf(out, "\"}");
}

static void print_reference(struct buf *out, enum section section)
{
    const char *text = short_form(section);
    if (is_text(section)) {
        buf_printf(out, "{\"type\": \"string\"}");
        return;
    }
    if (text)
        buf_printf(out, "{\"anyOf\": [%s, ", text);
    print_link(out, section);
    if (text)
        buf_printf(out, "]}");
}

static void print_enum(struct buf *out, const struct schema_key *key)
{
    buf_printf(out, "\"enum\": [");
    gen_print_choices(out, key, ", ", "\"");
    buf_printf(out, "]");
}

static void print_part(struct buf *out, const struct schema_key *key)
{
    if (key->type == TYPE_LIST && gen_has_choices(key)) {
        buf_printf(out,
                   "\"type\": \"array\", \"minItems\": 1, \"uniqueItems\": true, \"items\": {");
        print_enum(out, key);
        buf_printf(out, "}");
    } else if (key->type == TYPE_LIST) {
        buf_printf(out, "\"type\": \"array\", \"minItems\": 1, \"maxItems\": %u, \"items\": ",
                   key->count_max);
        print_reference(out, key->inner);
    } else if (key->type == TYPE_MAP) {
        buf_printf(out,
                   "\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": %u, "
                   "\"propertyNames\": {\"pattern\": \"^[A-Za-z0-9._-]{1,64}$\"}, "
                   "\"patternProperties\": {\"^x-\": true}, \"additionalProperties\": ",
                   key->count_max);
        print_reference(out, key->inner);
    } else {
        buf_printf(out, "\"allOf\": [");
        print_reference(out, key->inner);
        buf_printf(out, "]");
    }
}

static void print_integer(struct buf *out, const struct schema_key *key)
{
    buf_printf(out, "\"type\": \"integer\", \"minimum\": %s, \"maximum\": %s", key->low, key->high);
}

/* Units as src/config/value.c reads them. */
static void print_type(struct buf *out, const struct schema_key *key)
{
    switch (key->type) {
    case TYPE_COUNT:
    case TYPE_SECONDS:
        print_integer(out, key);
        break;
    case TYPE_COUNT_OR_NONE:
        buf_printf(out, "\"anyOf\": [{");
        print_integer(out, key);
        buf_printf(out, "}, {\"const\": \"none\"}]");
        break;
    case TYPE_SPAN:
        buf_printf(out, "\"anyOf\": [{\"const\": 0}, "
                        "{\"type\": \"string\", \"pattern\": \"^[0-9]+(ms|s|m|h|d)$\"}]");
        break;
    case TYPE_SPAN_OR_NONE:
        buf_printf(out, "\"anyOf\": [{\"const\": 0}, "
                        "{\"type\": \"string\", \"pattern\": \"^(none|[0-9]+(ms|s|m|h|d))$\"}]");
        break;
    case TYPE_SIZE:
        buf_printf(out, "\"anyOf\": [{\"type\": \"integer\", \"minimum\": 0}, "
                        "{\"type\": \"string\", \"pattern\": \"^[0-9]+(B|[KMG]iB)$\"}]");
        break;
    case TYPE_SIZE_OR_NONE:
        buf_printf(out, "\"anyOf\": [{\"type\": \"integer\", \"minimum\": 0}, "
                        "{\"type\": \"string\", \"pattern\": \"^(none|[0-9]+(B|[KMG]iB))$\"}]");
        break;
    case TYPE_PERCENT:
        buf_printf(out, "\"type\": \"string\", \"pattern\": \"^[0-9]+%%$\"");
        break;
    case TYPE_BOOL:
        buf_printf(out, "\"type\": \"boolean\"");
        break;
    case TYPE_CHOICE:
        print_enum(out, key);
        break;
    case TYPE_NAME:
        buf_printf(out, "\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9._-]{1,64}$\"");
        break;
    case TYPE_PREFIX:
        buf_printf(out, "\"type\": \"string\", \"pattern\": \"^/\"");
        break;
    case TYPE_GROUP:
    case TYPE_LIST:
    case TYPE_MAP:
    case TYPE_ONE:
        print_part(out, key);
        break;
    default:
        buf_printf(out, "\"type\": \"string\", \"minLength\": 1");
    }
}

/* A number stands for itself in JSON, the rest as it is written. */
static void print_default(struct buf *out, const struct schema_key *key)
{
    uint64_t ignored;
    bool as_is = slice_to_u64(slice_str(key->fallback), &ignored) || key->type == TYPE_BOOL;
    if (key->fallback[0] == '\0')
        return;
    buf_printf(out, ", \"default\": ");
    if (as_is)
        buf_printf(out, "%s", key->fallback);
    else
        print_string(out, key->fallback);
}

static void print_properties(struct buf *out, enum section section)
{
    const char *before = "";
    for (unsigned i = 0; i < schema_key_count; i++) {
        const struct schema_key *key = &schema_keys[i];
        if (!gen_is_shown(key, section))
            continue;
        buf_printf(out, "%s\n        \"%s\": {\"description\": ", before, key->name);
        print_string(out, key->help);
        buf_printf(out, ", ");
        print_type(out, key);
        print_default(out, key);
        buf_printf(out, "}");
        before = ",";
    }
}

static void print_required(struct buf *out, enum section section)
{
    const char *before = "";
    buf_printf(out, "\"required\": [");
    for (unsigned i = 0; i < schema_key_count; i++) {
        if (schema_keys[i].section != section || !schema_keys[i].is_required)
            continue;
        buf_printf(out, "%s\"%s\"", before, schema_keys[i].name);
        before = ", ";
    }
    buf_printf(out, "]");
}

static void print_schema(struct buf *out)
{
    const char *before = "";
    buf_printf(out, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
                    "  \"title\": \"The configuration of weir\",\n"
                    "  \"$ref\": \"#/$defs/root\",\n  \"$defs\": {");
    for (enum section section = 0; section < SECTION_COUNT; section++) {
        if (is_text(section))
            continue;
        buf_printf(out, "%s\n    \"", before);
        print_name(out, section);
        buf_printf(out, "\": {\n      \"description\": ");
        print_string(out, schema_sections[section].help);
        buf_printf(out, ",\n      \"type\": \"object\",\n      ");
        print_required(out, section);
        buf_printf(out, ",\n      \"properties\": {");
        print_properties(out, section);
        buf_printf(out, "\n      },\n      \"patternProperties\": {\"^x-\": true},\n"
                        "      \"additionalProperties\": false\n    }");
        before = ",";
    }
    buf_printf(out, "\n  }\n}\n");
}

/* --- Files */

static bool read_file(const char *root, const char *name, struct buf *out)
{
    AUTO(buf_fini) struct buf path;
    buf_init(&path);
    buf_printf(&path, "%s/%s", root, name);
    FILE *file = fopen(path.at, "r");
    if (!file)
        return false;
    for (int byte; (byte = getc(file)) != EOF;)
        buf_append_byte(out, (char)byte);
    return fclose(file) == 0;
}

static bool write_file(const char *root, const char *name, const struct buf *text)
{
    AUTO(buf_fini) struct buf path;
    buf_init(&path);
    buf_printf(&path, "%s/%s", root, name);
    FILE *file = fopen(path.at, "w");
    if (!file)
        return false;
    bool good = fwrite(text->at, 1, text->len, file) == text->len;
    return fclose(file) == 0 && good;
}

static bool finish(const char *task, const char *root, const char *name, const struct buf *text)
{
    if (strcmp(task, "write") == 0) {
        if (write_file(root, name, text))
            return true;
        fprintf(stderr, "%s/%s cannot be written\n", root, name);
        return false;
    }
    AUTO(buf_fini) struct buf there;
    buf_init(&there);
    if (read_file(root, name, &there) && slice_equal(buf_slice(&there), buf_slice(text)))
        return true;
    fprintf(stderr, "%s is behind src/config/keys.def: meson compile -C build config-docs\n", name);
    return false;
}

int main(int argc, char **argv)
{
    AUTO(buf_fini) struct buf example, markdown, schema, man;
    buf_init(&example);
    buf_init(&markdown);
    buf_init(&schema);
    buf_init(&man);
    if (argc != 3 || !read_file(argv[2], "src/config/example.yaml", &example)) {
        fprintf(stderr, "usage: gen_docs write|check ROOT\n");
        return 2;
    }
    print_markdown(&markdown, buf_slice(&example));
    print_schema(&schema);
    gen_print_man(&man, buf_slice(&example));
    if (markdown.failed || schema.failed || man.failed)
        return 1;
    bool good = finish(argv[1], argv[2], "docs/configuration.md", &markdown);
    good &= finish(argv[1], argv[2], "docs/weir.schema.json", &schema);
    good &= finish(argv[1], argv[2], "docs/man/weir.yaml.5", &man);
    return good ? 0 : 1;
}
