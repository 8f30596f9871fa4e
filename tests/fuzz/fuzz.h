/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

/*
 * One program for each parser: with libFuzzer (option `fuzz`) it looks for inputs that break a
 * property that must always hold; without it (replay.c) it runs over the corpus.
 */

#include "base/check.h"
#include "base/slice.h"
#include "http/field.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A copy in memory of just its size, for the sanitizer; freed by the caller. */
static inline char *fuzz_copy(struct weir_slice text)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);
    must(copy);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    return copy;
}

/* The length of the next piece, from 1: the input itself decides, so that a crash comes again. */
static inline size_t fuzz_step(struct weir_slice text, size_t at)
{
    unsigned byte = (unsigned char)text.at[at] + (unsigned)at;
    return byte % 3 == 0 ? 1 : 1 + byte % 61;
}

static inline bool fuzz_is_inside(struct weir_slice part, struct weir_slice text)
{
    return part.at >= text.at && part.at + part.len <= text.at + text.len;
}

__attribute__((unused)) static void fuzz_fields_inside(const struct fields *fields,
                                                       struct weir_slice text)
{
    must(fields->count <= FIELDS_MAX);
    fields_each (field, fields) {
        must(fuzz_is_inside(field->name, text) && fuzz_is_inside(field->value, text));
        must(field->id == field_id_of(field->name));
        must(fields_have(fields, field->id));
        must(slice_find(field->value, '\r') == field->value.len);
        must(slice_find(field->value, '\n') == field->value.len);
    }
}

__attribute__((unused)) static void fuzz_fields_same(const struct fields *a, const struct fields *b)
{
    must(a->count == b->count && a->present == b->present);
    for (uint32_t i = 0; i < a->count; i++) {
        must(slice_equal(a->at[i].name, b->at[i].name));
        must(slice_equal(a->at[i].value, b->at[i].value));
        must(a->at[i].id == b->at[i].id);
    }
}

#endif
