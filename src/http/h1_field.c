/* SPDX-License-Identifier: MIT */
/* Field sections (RFC 9112 section 5): of heads and of trailers. */
#include "http/h1_read.h"
#include "http/scan.h"

enum h1_result h1_read_stopped(struct h1_reader *reader, const char *at, enum h1_fault otherwise)
{
    if (at == reader->end)
        return H1_MORE;
    reader->fault = otherwise;
    if (*at == '\0')
        reader->fault = H1_FAULT_NUL;
    if (*at == '\n')
        reader->fault = H1_FAULT_BARE_LF;
    if (*at == '\r') {
        if (at + 1 == reader->end)
            return H1_MORE;
        if (at[1] != '\n')
            reader->fault = H1_FAULT_BARE_CR;
    }
    return H1_BAD;
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* A line that has no name and colon at its front: the end of the section, or nothing good. */
static enum h1_result read_other_line(struct h1_reader *reader, const char *stop,
                                      struct field *ret_field)
{
    const char *line = reader->at, *end = reader->end;
    if (stop == line && end - line >= 2 && line[0] == '\r' && line[1] == '\n') {
        ret_field->name = slice_of(line, 0);
        reader->at = line + 2;
        return H1_DONE;
    }
    if (stop == end || *stop == '\r')
        return h1_read_stopped(reader, stop, H1_FAULT_NAME_ALONE);
    if (is_space(*stop))
        return h1_read_stopped(reader, stop, stop == line ? H1_FAULT_FOLD : H1_FAULT_NAME_SPACE);
    return h1_read_stopped(reader, stop, *stop == ':' ? H1_FAULT_NAME_EMPTY : H1_FAULT_NAME);
}

static inline enum h1_result read_field(struct h1_reader *reader, struct field *ret_field)
{
    const char *line = reader->at, *end = reader->end;
    const char *colon = scan_name(line, end);
    if (colon == end || colon == line || *colon != ':')
        return read_other_line(reader, colon, ret_field);

    const char *value = colon + 1;
    while (value < end && is_space(*value))
        value++;
    const char *stop = scan_value(value, end);
    if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n')
        return h1_read_stopped(reader, stop, H1_FAULT_VALUE);
    reader->at = stop + 2;
    while (stop > value && is_space(stop[-1]))
        stop--;
    ret_field->name = slice_of(line, (size_t)(colon - line));
    ret_field->value = slice_of(value, (size_t)(stop - value));
    ret_field->id = field_id_of(ret_field->name);
    ret_field->never_index = false;
    return H1_DONE;
}

enum h1_result h1_read_field(struct h1_reader *reader, struct field *ret_field)
{
    return read_field(reader, ret_field);
}

enum h1_result h1_read_fields(struct h1_reader *reader, uint32_t limit, struct fields *ret_fields)
{
    fields_init(ret_fields);
    for (;;) {
        struct field field;
        enum h1_result result = read_field(reader, &field);
        if (result != H1_DONE || field.name.len == 0)
            return result;
        if (ret_fields->count == limit) {
            reader->fault = H1_FAULT_FIELD_COUNT;
            return H1_BAD;
        }
        ret_fields->at[ret_fields->count++] = field;
        ret_fields->present |= UINT64_C(1) << field.id;
    }
}
