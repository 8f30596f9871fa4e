/* SPDX-License-Identifier: MIT */
#ifndef PROXY_KEPT_H
#define PROXY_KEPT_H

/*
 * A copy of a body on its way, up to a limit: for a mirror, and for a subrequest that gets what the
 * one before it has sent. What is beyond the limit is not kept, and the copy says that it is
 * truncated, so that nobody takes a part for the whole.
 */

#include "base/buf.h"
#include "base/list.h"
#include "http/piece.h"

#include <stdint.h>

struct kept {
    struct list link; /* in the list of the exchange that owns it */
    struct buf bytes;
    uint64_t limit_bytes;
    bool truncated; /* there was more than the limit */
    bool complete;  /* the body came to its end */
};

void kept_init(struct kept *kept, uint64_t limit_bytes);
void kept_fini(struct kept *kept);

/* Keeps what fits; memory that is out counts as a limit that is reached. */
void kept_add(struct kept *kept, const struct http_piece *piece);

#endif
