/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H

/*
 * YAML 1.2 as a tree of our own nodes, each of which knows where it was written. The parser is
 * libfyaml's; nothing outside yaml.c sees it.
 *
 * Anchors, aliases and merge keys ("<<") work. An aliased node is shared, not copied, and counts
 * towards the limit as often as it is used, so that a small file cannot become a huge tree.
 */

#include "config/report.h"

#include <weir/err.h>
#include <weir/slice.h>

#include <stdbool.h>
#include <stddef.h>

enum {
    YAML_BYTES_MAX = 1 << 20,
    YAML_DEPTH_MAX = 32,
    YAML_NODES_MAX = 1 << 18,
    YAML_ENTRIES_MAX = 1 << 13, /* of one list or mapping */
};

enum yaml_type {
    YAML_EMPTY, /* nothing, ~ or null */
    YAML_SCALAR,
    YAML_LIST,
    YAML_MAPPING,
};

struct yaml_node {
    enum yaml_type type;
    struct position position;
    struct weir_slice text; /* of a scalar; a NUL follows */
    struct yaml_entry *entries;
    unsigned entry_count;
    size_t node_count; /* itself and all in it, aliases followed */
};

struct yaml_entry {
    struct yaml_entry *next;
    const struct yaml_node *key; /* a scalar; NULL in a list */
    const struct yaml_node *value;
};

/*
 * Reads one document. What is wrong goes to `report`; WEIR_E_CONFIG when there is no tree, while
 * mistakes that leave a tree (a key that is there twice) give WEIR_OK. `file` is what positions
 * say; it must live as long as the memory, `text` need not.
 */
enum weir_err yaml_read(const char *file, struct weir_slice text, struct memory *memory,
                        struct report *report, const struct yaml_node **ret_root);

/* The entry of a mapping with that key; NULL when there is none or the node is no mapping. */
const struct yaml_entry *yaml_find(const struct yaml_node *mapping, struct weir_slice key);

enum { YAML_DESCRIPTION_SIZE = LOG_ESCAPED_SIZE + 8 };
/* What a node is, in words: "a list", "'text'", "empty". Returns its argument. */
const char *yaml_describe(const struct yaml_node *node,
                          char ret_text[static YAML_DESCRIPTION_SIZE]);

#endif
