/* SPDX-License-Identifier: MIT */
#include "proxy/kept.h"

void kept_init(struct kept *kept, uint64_t limit_bytes)
{
    *kept = (struct kept){.limit_bytes = limit_bytes};
    list_init(&kept->link);
    buf_init(&kept->bytes);
}

void kept_fini(struct kept *kept)
{
    list_remove(&kept->link);
    buf_fini(&kept->bytes);
}

void kept_add(struct kept *kept, const struct http_piece *piece)
{
    for (unsigned i = 0; i < piece->count && !kept->truncated; i++) {
        struct weir_slice slice = piece->slices[i];
        uint64_t room = kept->limit_bytes - kept->bytes.len;
        kept->truncated = slice.len > room;
        slice.len = kept->truncated ? (size_t)room : slice.len;
        buf_append(&kept->bytes, slice);
        kept->truncated |= kept->bytes.failed;
    }
    kept->complete |= piece->last;
}
