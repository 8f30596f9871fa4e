/* SPDX-License-Identifier: MIT */
#ifndef HTTP_SCAN_H
#define HTTP_SCAN_H

/*
 * The inner loops of the parser: each gives the first byte from `at` that is not of its kind, or
 * `end`. scan_x86_64.c has them with SSE2, which every x86_64 has; scan_any.c in plain C.
 */

#include <stdbool.h>

/* tchar (RFC 9110 section 5.6.2): methods and field names. */
const char *scan_name(const char *at, const char *end);
/* field-vchar with obs-text, SP and HTAB (RFC 9110 section 5.5): field values, reason phrases. */
const char *scan_value(const char *at, const char *end);
/* Visible ASCII but for '#', which no request target may have (RFC 9112 section 3.2). */
const char *scan_target(const char *at, const char *end);

extern const bool scan_is_name[256];
extern const bool scan_is_value[256];
extern const bool scan_is_target[256];

/* Byte by byte with one of the tables: for what is left at the end. */
static inline const char *scan_table(const bool table[static 256], const char *at, const char *end)
{
    while (at < end && table[(unsigned char)*at])
        at++;
    return at;
}

#endif
