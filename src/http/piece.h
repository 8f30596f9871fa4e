/* SPDX-License-Identifier: MIT */
#ifndef HTTP_PIECE_H
#define HTTP_PIECE_H

/* A piece of a body: views of received bytes, none empty. Who hands it out says how long they live.
 */

#include "http/field.h"

enum { PIECE_SLICES = 12 };

struct http_piece {
    struct weir_slice slices[PIECE_SLICES];
    unsigned count;
    size_t bytes;
    bool last;                     /* nothing of the body follows; count may be 0 */
    const struct fields *trailers; /* with the last piece, if there are any; else NULL */
};

#endif
