/* SPDX-License-Identifier: MIT */
#ifndef SIM_LONG_TEXT_H
#define SIM_LONG_TEXT_H

/* Text of any length whose every byte tells where it stands. */

#include "base/check.h"
#include <weir/slice.h>

#include <stdlib.h>

/* Byte `at` of every long text. */
static inline char text_byte(size_t at)
{
    return (char)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static inline char *long_text(size_t len)
{
    char *text = malloc(len);
    must(text);
    for (size_t i = 0; i < len; i++)
        text[i] = text_byte(i);
    return text;
}

/* Whether these are the bytes from `at` on. */
static inline bool is_long_text(struct weir_slice bytes, size_t at)
{
    bool same = true;
    for (size_t i = 0; i < bytes.len; i++)
        same &= bytes.at[i] == text_byte(at + i);
    return same;
}

#endif
