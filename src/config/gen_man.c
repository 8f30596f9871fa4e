/* SPDX-License-Identifier: MIT */
/* Makes docs/man/weir.yaml.5; man(7) tells what the lines that begin with a dot mean. */
#include "config/gen_docs.h"

#include <string.h>

static const char intro[] =
    ".\\\" SPDX-License-Identifier: MIT\n"
    ".\\\" Made from src/config/keys.def by `meson compile -C build config-docs`; do not edit.\n"
    ".TH WEIR.YAML 5 \"\" \"weir\" \"File Formats\"\n"
    ".SH NAME\n"
    "weir.yaml \\- configuration of weir\n"
    ".SH DESCRIPTION\n"
    ".B weir\n"
    "reads one YAML file.\n"
    ".B weir \\-t\n"
    "checks it and ends.\n"
    "Every mistake is told, in one run, with file, line and column.\n"
    "A key that is not in this page is a mistake, except that keys which begin with\n"
    ".B x\\-\n"
    "are ignored wherever they stand; anchors, aliases and merge keys make use of them.\n"
    ".PP\n"
    "A duration is a number with its unit (500ms, 5s, 10m, 1h, 7d; 0 needs none).\n"
    "A size is in bytes, or has a unit (512B, 64KiB, 8MiB, 1GiB).\n"
    "An address is host:port, [::1]:port or unix:/path; listeners also take :port.\n"
    ".B none\n"
    "means that there is no limit, or no such thing.\n";

static const char outro[] = ".SH FILES\n"
                            ".IR ./weir.yaml ,\n"
                            ".I /etc/weir/weir.yaml\n"
                            ".SH SEE ALSO\n"
                            ".BR weir (1)\n";

/* How a character is written that troff takes for its own, or shows as another one. */
static const char *escape(char byte)
{
    switch (byte) {
    case '\\':
        return "\\e";
    case '-':
        return "\\-";
    case '\'':
        return "\\(aq";
    case '`':
        return "\\(ga";
    case '^':
        return "\\(ha";
    case '~':
        return "\\(ti";
    default:
        return NULL;
    }
}

static void print_byte(struct buf *out, char byte)
{
    const char *escaped = escape(byte);
    if (escaped)
        buf_printf(out, "%s", escaped);
    else
        buf_append_byte(out, byte);
}

/* What stands between backquotes is bold. */
static void print_text(struct buf *out, const char *text)
{
    bool bold = false;
    for (; *text; text++) {
        if (*text != '`') {
            print_byte(out, *text);
            continue;
        }
        bold = !bold;
        buf_printf(out, "%s", bold ? "\\fB" : "\\fR");
    }
}

/* "default 5s, 1ms to 1h", as far as there is any of it. */
static void print_limits(struct buf *out, const struct schema_key *key)
{
    if (key->is_required)
        buf_printf(out, ", required");
    if (key->fallback[0] && !key->is_required) {
        buf_printf(out, ", default ");
        print_text(out, key->fallback);
    }
    if (gen_has_choices(key)) {
        buf_printf(out, "; one of: ");
        gen_print_choices(out, key, ", ", "");
    } else if (key->count_max > 1) {
        buf_printf(out, "; 1 to %u entries", key->count_max);
    } else if (key->low[0] && strcmp(key->low, key->high) != 0) {
        buf_printf(out, "; %s to %s", key->low, key->high);
    }
}

static void print_key(struct buf *out, const struct schema_key *key)
{
    buf_printf(out, ".TP\n\\fB%s\\fR (", key->name);
    print_text(out, schema_type_name(key->type));
    print_limits(out, key);
    buf_printf(out, ")\n");
    print_text(out, key->help);
    buf_printf(out, "\n");
}

static void print_section(struct buf *out, enum section section)
{
    const struct schema_section *row = &schema_sections[section];
    if (!gen_section_has_keys(section))
        return;
    buf_printf(out, ".SS \"%s\"\n", row->path[0] ? row->path : "The top of the file");
    print_text(out, row->help);
    buf_printf(out, "\n");
    for (unsigned i = 0; i < schema_key_count; i++)
        if (gen_is_shown(&schema_keys[i], section))
            print_key(out, &schema_keys[i]);
}

/* A dot that begins a line would be troff's. */
static void print_example(struct buf *out, struct weir_slice example)
{
    bool begins = true;
    buf_printf(out, ".SH EXAMPLES\n.EX\n");
    for (size_t i = 0; i < example.len; i++) {
        if (begins && example.at[i] == '.')
            buf_printf(out, "\\&");
        print_byte(out, example.at[i]);
        begins = example.at[i] == '\n';
    }
    buf_printf(out, ".EE\n");
}

void gen_print_man(struct buf *out, struct weir_slice example)
{
    buf_printf(out, "%s.SH KEYS\n", intro);
    for (enum section section = 0; section < SECTION_COUNT; section++)
        print_section(out, section);
    print_example(out, example);
    buf_printf(out, "%s", outro);
}
