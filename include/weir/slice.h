/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SLICE_H
#define WEIR_SLICE_H

/* A view of bytes that someone else owns. It does not end in NUL, and may be empty with any
 * pointer. */

#include <stddef.h>
#include <string.h>

struct weir_slice {
    const char *at;
    size_t len;
};

#ifdef __cplusplus
#define WEIR_SLICE_INIT(at, len) (weir_slice{at, len})
#else
#define WEIR_SLICE_INIT(at, len) ((struct weir_slice){at, len})
#endif

/* A view of a string, without its NUL. NULL is an empty one. */
static inline struct weir_slice weir_str(const char *string)
{
    return WEIR_SLICE_INIT(string, string ? strlen(string) : 0);
}

/* What "%.*s" wants. */
#define WEIR_SLICE_ARGS(slice) (int)(slice).len, (slice).at

#endif
