/* SPDX-License-Identifier: MIT */
/* What the origin answers with, whatever the protocol: by the size that was asked for. */
#ifndef WEIR_BENCH_RESPONSES_H
#define WEIR_BENCH_RESPONSES_H

#include <stddef.h>

/* `size` counts the HTTP/1 head too, which comes first in `bytes`. Over HTTP/2 the same body goes
   out under a head of its own, with the same type and length. */
struct response {
    size_t size;
    size_t head_bytes;
    char body_length[24]; /* as text */
    char *bytes;          /* NULL: such a size cannot be made */
};

#define RESPONSE_TYPE "text/plain"

/* The response of that size, made on first use and kept; NULL if there cannot be one. */
const struct response *response_find(size_t size);

#endif
