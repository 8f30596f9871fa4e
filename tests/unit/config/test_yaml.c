/* SPDX-License-Identifier: MIT */
#include "config/yaml.h"

#include "base/check.h"
#include "base/slice.h"
#include "tests/check.h"

#include <stdlib.h>

static struct memory *memory;
static struct buf messages;

/* Reads `text` as file "f"; `messages` says what was found. NULL when there is no tree. */
static const struct yaml_node *read_slice(struct weir_slice text)
{
    struct report report;
    const struct yaml_node *root = NULL;
    memory = memory_new();
    buf_init(&messages);
    report_init(&report, memory);
    enum weir_err err = yaml_read("f", text, memory, &report, &root);
    CHECK((err == WEIR_OK) == (root != NULL));
    CHECK(err == WEIR_OK || err == WEIR_E_CONFIG);
    CHECK(err == WEIR_OK || report.error_count > 0);
    report_write(&report, &messages);
    return root;
}

static const struct yaml_node *read_text(const char *text)
{
    return read_slice(slice_str(text));
}

static void end(void)
{
    buf_fini(&messages);
    memory_free(&memory);
}

static const struct yaml_node *at(const struct yaml_node *mapping, const char *key)
{
    const struct yaml_entry *entry = yaml_find(mapping, slice_str(key));
    return entry ? entry->value : NULL;
}

static void check_node(const struct yaml_node *node, enum yaml_type type, unsigned line,
                       unsigned column)
{
    if (!CHECK(node))
        return;
    CHECK_EQ(type, node->type);
    CHECK_EQ(line, node->position.line);
    CHECK_EQ(column, node->position.column);
}

TEST(nodes_know_where_they_are)
{
    const struct yaml_node *root = read_text("a: one\n"
                                             "b:\n"
                                             "  - x\n"
                                             "  - {k: \"y\\tz\", e: , n: ~}\n"
                                             "c:\n"
                                             "  d: 'it''s'\n"
                                             "empty: ''\n");
    CHECK_SLICE(buf_slice(&messages), "");
    check_node(root, YAML_MAPPING, 1, 1);
    CHECK_EQ(4, root->entry_count);
    check_node(at(root, "a"), YAML_SCALAR, 1, 4);
    CHECK_SLICE(at(root, "a")->text, "one");
    check_node(root->entries->next->key, YAML_SCALAR, 2, 1);
    const struct yaml_node *list = at(root, "b");
    check_node(list, YAML_LIST, 3, 3);
    CHECK_EQ(2, list->entry_count);
    check_node(list->entries->value, YAML_SCALAR, 3, 5);
    const struct yaml_node *flow = list->entries->next->value;
    check_node(flow, YAML_MAPPING, 4, 5);
    check_node(at(flow, "k"), YAML_SCALAR, 4, 9);
    CHECK_SLICE(at(flow, "k")->text, "y\tz");
    check_node(at(flow, "e"), YAML_EMPTY, 4, 17);
    check_node(at(flow, "n"), YAML_EMPTY, 4, 25);
    CHECK_SLICE(at(at(root, "c"), "d")->text, "it's");
    check_node(at(root, "empty"), YAML_SCALAR, 7, 8);
    CHECK(!at(root, "z"));
    CHECK(!at(list, "k"));
    CHECK_EQ(19, root->node_count);
    end();
}

TEST(columns_count_characters)
{
    const struct yaml_node *root = read_text("{\xc3\xa9: x}\n");
    check_node(at(root, "\xc3\xa9"), YAML_SCALAR, 1, 5);
    end();
}

TEST(a_file_without_content_is_empty)
{
    static const char *const texts[] = {"", "\n", "# nothing\n", "---\n", "~"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        const struct yaml_node *root = read_text(texts[i]);
        CHECK_SLICE(buf_slice(&messages), "");
        if (CHECK(root))
            CHECK_EQ(YAML_EMPTY, root->type);
        end();
    }
}

TEST(syntax_errors)
{
    static const char *const rows[][2] = {
        {"a: [1, 2\n", "f:2:1: error: flow sequence without a closing bracket\n"},
        {"a:\n\tb: 1\n", "f:2:1: error: tab character may not be used as indentation\n"},
        {"a:\n  b: 1\n c: 2\n", "f:3:2: error: invalid indentation in mapping\n"},
        {"a: b: c\n", "f:1:5: error: invalid nested block mapping on the same line\n"},
        {"a: \"x\n", "f:1:5: error: double-quoted scalar without closing quote\n"},
        {"a: 1\n- b\n", "f:2:1: error: did not find expected key\n"},
        {"a: @x\n", "f:1:4: error: plain scalar cannot start with '@'\n"},
        {"a: 1\n---\nb: 1\n", "f:2:1: error: a second document; one file holds one\n"},
        {"a: \x01\n", "f:1:4: error: byte 0x01 is not text in UTF-8\n"},
        {"a: 1\nb: \xc3\xa9\xff\n", "f:2:5: error: byte 0xff is not text in UTF-8\n"},
        {"a: *b\n", "f:1:4: error: no anchor '&b' before this alias\n"},
        {"a: &a [*a]\n", "f:1:8: error: no anchor '&a' before this alias\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CHECK(!read_text(rows[i][0]));
        CHECK_SLICE(buf_slice(&messages), rows[i][1]);
        end();
    }
}

TEST(mistakes_that_leave_a_tree)
{
    const struct yaml_node *root = read_text("a: 1\n"
                                             "b: {c: 1, c: 2}\n"
                                             "a: 2\n"
                                             "[x]: 3\n"
                                             "t: !tag 4\n");
    CHECK_SLICE(buf_slice(&messages),
                "f:2:11: error: key 'c' is there twice, the first time in line 2\n"
                "f:3:1: error: key 'a' is there twice, the first time in line 1\n"
                "f:4:1: error: a key must be text\n"
                "f:5:9: error: tags ('!...') have no meaning here\n");
    if (CHECK(root)) {
        CHECK_EQ(3, root->entry_count);
        CHECK_SLICE(at(root, "a")->text, "1");
    }
    end();
}

TEST(aliases)
{
    const struct yaml_node *root = read_text("x: &a one\n"
                                             "y: *a\n"
                                             "l: &l [1, 2]\n"
                                             "m: *l\n"
                                             "z: &a two\n"
                                             "v: *a\n");
    CHECK_SLICE(buf_slice(&messages), "");
    CHECK_SLICE(at(root, "y")->text, "one");
    check_node(at(root, "y"), YAML_SCALAR, 2, 4);
    check_node(at(root, "m"), YAML_LIST, 4, 4);
    check_node(at(root, "m")->entries->value, YAML_SCALAR, 3, 8);
    CHECK_SLICE(at(root, "v")->text, "two");
    end();
}

TEST(merge_keys)
{
    const struct yaml_node *root = read_text("a: &a {p: 1, q: 2}\n"
                                             "b: &b {q: 3, r: 4}\n"
                                             "one:\n"
                                             "  <<: *a\n"
                                             "  p: 9\n"
                                             "two:\n"
                                             "  <<: [*b, *a]\n"
                                             "bad:\n"
                                             "  <<: 5\n");
    CHECK_SLICE(buf_slice(&messages),
                "f:9:7: error: '<<' takes a mapping or a list of mappings, by alias\n");
    const struct yaml_node *one = at(root, "one"), *two = at(root, "two");
    CHECK_EQ(2, one->entry_count);
    CHECK_SLICE(at(one, "p")->text, "9");
    CHECK_SLICE(at(one, "q")->text, "2");
    CHECK_EQ(3, two->entry_count);
    CHECK_SLICE(at(two, "p")->text, "1");
    CHECK_SLICE(at(two, "q")->text, "3");
    CHECK_SLICE(at(two, "r")->text, "4");
    end();
}

TEST(aliases_do_not_explode)
{
    struct buf text;
    buf_init(&text);
    buf_printf(&text, "a0: &a0 [x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 30; i++) {
        buf_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 8; j++)
            buf_printf(&text, "*a%d, ", i - 1);
        buf_printf(&text, "]\n");
    }
    CHECK(!read_slice(buf_slice(&text)));
    CHECK_SLICE(buf_slice(&messages),
                "f:6:35: error: more than 262144 values, those behind aliases counted as often "
                "as they are used\n");
    end();
    buf_fini(&text);
}

static void check_limit(struct buf *text, const char *want)
{
    CHECK(!read_slice(buf_slice(text)));
    CHECK_SLICE(buf_slice(&messages), want);
    end();
    buf_fini(text);
}

TEST(limits)
{
    struct buf text;
    buf_init(&text);
    for (int i = 0; i < 100000; i++)
        buf_append_byte(&text, '[');
    check_limit(&text, "f:1:33: error: nested deeper than 32 levels\n");
    for (int i = 0; i < 20000; i++)
        buf_printf(&text, "- x\n");
    check_limit(&text, "f:8193:3: error: more than 8192 entries in a list\n");
    for (int i = 0; i <= YAML_BYTES_MAX; i++)
        buf_append_byte(&text, '#');
    check_limit(&text, "f: error: larger than 1048576 bytes\n");
}

TEST(descriptions)
{
    char found[YAML_DESCRIPTION_SIZE];
    const struct yaml_node *root = read_text("{s: \"a\\e[1m\", e: , l: [], m: {}}");
    CHECK_SLICE(slice_str(yaml_describe(at(root, "s"), found)), "'a\\x1b[1m'");
    CHECK_SLICE(slice_str(yaml_describe(at(root, "e"), found)), "empty");
    CHECK_SLICE(slice_str(yaml_describe(at(root, "l"), found)), "a list");
    CHECK_SLICE(slice_str(yaml_describe(at(root, "m"), found)), "a mapping");
    end();
}

CHECK_MAIN
