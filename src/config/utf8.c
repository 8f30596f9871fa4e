/* SPDX-License-Identifier: MIT */
#include "config/utf8.h"

#include <stdbool.h>
#include <stdint.h>

/* The length of the sequence that a first byte begins, and the least code point that needs it. */
static size_t sequence_length(unsigned char first, uint32_t *ret_least)
{
    if (first < 0x80)
        return *ret_least = 0, 1;
    if (first >= 0xc2 && first < 0xe0)
        return *ret_least = 0x80, 2;
    if (first >= 0xe0 && first < 0xf0)
        return *ret_least = 0x800, 3;
    if (first >= 0xf0 && first < 0xf5)
        return *ret_least = 0x10000, 4;
    return 0;
}

static bool is_printable(uint32_t code)
{
    if (code < 0x20)
        return code == '\t' || code == '\n' || code == '\r';
    if (code < 0xa0)
        return code < 0x7f || code == 0x85;
    return code < 0xd800 || (code >= 0xe000 && code < 0xfffe) ||
           (code >= 0x10000 && code <= 0x10ffff);
}

/* The length of the character that `text` begins with; 0 when it is not a good one. */
static size_t character_length(struct weir_slice text)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned char first = (unsigned char)text.at[0];
    uint32_t least = 0;
    size_t length = sequence_length(first, &least);
    if (length == 0 || length > text.len)
        return 0;
    uint32_t code = first & first_bits[length];
    for (size_t i = 1; i < length; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if ((byte & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (byte & 0x3f);
    }
    return code >= least && is_printable(code) ? length : 0;
}

size_t utf8_printable(struct weir_slice text)
{
    size_t good = 0;
    while (good < text.len) {
        struct weir_slice rest = {text.at + good, text.len - good};
        size_t length = character_length(rest);
        if (length == 0)
            break;
        good += length;
    }
    return good;
}
