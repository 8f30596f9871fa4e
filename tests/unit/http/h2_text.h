/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_HTTP_H2_TEXT_H
#define TESTS_UNIT_HTTP_H2_TEXT_H

/* Heads of HTTP/2 as text: "name: value\n"; a '!' in front of a name is for never_index. */

#include "http/h2_head.h"
#include "tests/check.h"

static char h2_text[64 * 1024];

__attribute__((unused)) static void h2_text_add(struct h2_head *head, const char *lines)
{
    struct weir_slice rest = slice_str(lines);
    while (rest.len > 0) {
        struct weir_slice line = slice_of(rest.at, slice_find(rest, '\n'));
        rest = slice_skip(rest, line.len + 1);
        bool secret = line.at[0] == '!';
        if (secret)
            line = slice_skip(line, 1);
        size_t colon = 1 + slice_find(slice_skip(line, 1), ':');
        h2_head_add(head, slice_of(line.at, colon), slice_skip(line, colon + 2), secret);
    }
}

static void h2_text_print(size_t *at, bool secret, struct weir_slice name, struct weir_slice value)
{
    *at += (size_t)snprintf(h2_text + *at, sizeof h2_text - *at, "%s%.*s: %.*s\n",
                            secret ? "!" : "", SLICE_ARGS(name), SLICE_ARGS(value));
}

/* Both are good until the next call. */
__attribute__((unused)) static struct weir_slice h2_text_fields(const struct fields *fields)
{
    size_t length = 0;
    fields_each (field, fields) {
        CHECK_EQ(field_id_of(field->name), field->id);
        h2_text_print(&length, field->never_index, field->name, field->value);
    }
    return slice_of(h2_text, length);
}

__attribute__((unused)) static struct weir_slice h2_text_lines(const struct h2_lines *lines)
{
    size_t length = 0;
    for (size_t i = 0; i < lines->count; i++) {
        const nghttp2_nv *line = &lines->at[i];
        h2_text_print(&length, line->flags & NGHTTP2_NV_FLAG_NO_INDEX,
                      slice_of((const char *)line->name, line->namelen),
                      slice_of((const char *)line->value, line->valuelen));
    }
    return slice_of(h2_text, length);
}

#endif
