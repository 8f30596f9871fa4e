/* SPDX-License-Identifier: MIT */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

/* What can be done with a view of bytes. Letters are ASCII; nothing here knows a locale. */

#include <weir/slice.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A slice of a string literal. */
#define SLICE(literal) ((struct weir_slice){"" literal, sizeof(literal) - 1})
/* The two arguments that "%.*s" wants. */
#define SLICE_ARGS WEIR_SLICE_ARGS

static inline struct weir_slice slice_of(const char *at, size_t len)
{
    return (struct weir_slice){at, len};
}

static inline struct weir_slice slice_str(const char *string)
{
    return (struct weir_slice){string, strlen(string)};
}

static inline bool slice_equal(struct weir_slice a, struct weir_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline char slice_lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter | 0x20) : letter;
}

/* Equal but for the case of ASCII letters. */
static inline bool slice_equal_nocase(struct weir_slice a, struct weir_slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (slice_lower(a.at[i]) != slice_lower(b.at[i]))
            return false;
    return true;
}

static inline bool slice_starts(struct weir_slice slice, struct weir_slice prefix)
{
    return slice.len >= prefix.len && memcmp(slice.at, prefix.at, prefix.len) == 0;
}

static inline struct weir_slice slice_skip(struct weir_slice slice, size_t count)
{
    return (struct weir_slice){slice.at + count, slice.len - count};
}

/* Without spaces and tabs at both ends (OWS, RFC 9110 section 5.6.3). */
static inline struct weir_slice slice_trim(struct weir_slice slice)
{
    while (slice.len > 0 && (slice.at[0] == ' ' || slice.at[0] == '\t')) {
        slice.at++;
        slice.len--;
    }
    while (slice.len > 0 && (slice.at[slice.len - 1] == ' ' || slice.at[slice.len - 1] == '\t'))
        slice.len--;
    return slice;
}

/* The position of the first `byte`, or slice.len. */
static inline size_t slice_find(struct weir_slice slice, char byte)
{
    const char *found = slice.len ? memchr(slice.at, byte, slice.len) : NULL;
    return found ? (size_t)(found - slice.at) : slice.len;
}

/*
 * Digits only, at least one, no sign, no space, and a value that fits: the numbers of HTTP. False
 * otherwise.
 */
static inline bool slice_to_u64(struct weir_slice slice, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (slice.len == 0)
        return false;
    for (size_t i = 0; i < slice.len; i++) {
        unsigned digit = (unsigned char)slice.at[i] - (unsigned)'0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

#endif
