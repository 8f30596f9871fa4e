/* SPDX-License-Identifier: MIT */
#include "proxy/replay.h"

#include "base/check.h"

#include <string.h>

/* Two parts with what tells of them fit into a block of the arena. */
enum { PART_BYTES = 4000 };

_Static_assert(2 * (PART_BYTES + sizeof(struct replay_part) + 16) <= ARENA_BLOCK_BYTES,
               "parts fill their blocks");

size_t replay_arena_bytes(uint64_t limit_bytes)
{
    /* At worst a part leaves half of its block unused. */
    return (size_t)limit_bytes * 2 + 2 * ARENA_BLOCK_BYTES;
}

void replay_init(struct replay *replay, struct arena *arena, uint64_t limit_bytes)
{
    *replay = (struct replay){.arena = arena, .limit_bytes = limit_bytes, .whole = true};
}

void replay_drop(struct replay *replay)
{
    replay->whole = false;
    replay->first = replay->last = NULL;
}

/* A body that comes in very small pieces must not cost many times its size. */
static bool add_part(struct replay *replay, size_t bytes)
{
    size_t room = bytes < PART_BYTES ? PART_BYTES : bytes;
    struct replay_part *part = arena_alloc(replay->arena, sizeof *part);
    char *memory = part ? arena_alloc(replay->arena, room) : NULL;
    if (!memory)
        return false;
    *part = (struct replay_part){.bytes = {memory, 0}, .free = memory, .free_bytes = room};
    if (replay->last)
        replay->last->next = part;
    else
        replay->first = part;
    replay->last = part;
    return true;
}

static struct weir_slice fill_part(struct replay_part *part, struct weir_slice slice)
{
    size_t bytes = slice.len < part->free_bytes ? slice.len : part->free_bytes;
    memcpy(part->free, slice.at, bytes);
    part->free += bytes;
    part->free_bytes -= bytes;
    part->bytes.len += bytes;
    return slice_skip(slice, bytes);
}

static bool keep_slice(struct replay *replay, struct weir_slice slice)
{
    if (replay->last)
        slice = fill_part(replay->last, slice);
    if (slice.len == 0)
        return true;
    if (!add_part(replay, slice.len))
        return false;
    fill_part(replay->last, slice);
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
