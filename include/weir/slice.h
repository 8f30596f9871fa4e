/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SLICE_H
#define WEIR_SLICE_H

/* A view of bytes that someone else owns. It does not end in NUL, and may be empty with any
 * pointer. */

#include <stddef.h>

struct weir_slice {
    const char *at;
    size_t len;
};

#endif
