/* SPDX-License-Identifier: MIT */
#include "proxy/replay.h"

#include "base/check.h"

void replay_init(struct replay *replay, struct arena *arena, uint64_t limit_bytes)
{
    *replay = (struct replay){.arena = arena, .limit_bytes = limit_bytes, .whole = true};
}

void replay_drop(struct replay *replay)
{
    replay->whole = false;
    replay->first = replay->last = NULL;
}

static bool keep_slice(struct replay *replay, struct weir_slice slice)
{
    struct replay_part *part = arena_alloc(replay->arena, sizeof *part);
    if (!part)
        return false;
    part->next = NULL;
    part->bytes = arena_copy(replay->arena, slice);
    if (!part->bytes.at)
        return false;
    if (replay->last)
        replay->last->next = part;
    else
        replay->first = part;
    replay->last = part;
    return true;
}

void replay_keep(struct replay *replay, const struct http_piece *piece)
{
    replay->complete = piece->last;
    if (!replay->whole)
        return;
    replay->bytes += piece->bytes;
    /* Trailers view a buffer that will be gone: a body that has some is not replayed. */
    if (replay->bytes > replay->limit_bytes || piece->trailers) {
        replay_drop(replay);
        return;
    }
    for (unsigned i = 0; i < piece->count; i++) {
        if (!keep_slice(replay, piece->slices[i])) {
            replay_drop(replay);
            return;
        }
    }
}
