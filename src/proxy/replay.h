/* SPDX-License-Identifier: MIT */
#ifndef PROXY_REPLAY_H
#define PROXY_REPLAY_H

/*
 * The part of a request's body that has been received, kept so that it can be sent again. It is
 * dropped as soon as it cannot serve: when it grows over its limit, and when a response has begun.
 */

#include "base/arena.h"
#include "http/piece.h"

struct replay_part {
    struct replay_part *next;
    struct weir_slice bytes;
    char *free; /* behind them, for what comes next */
    size_t free_bytes;
};

struct replay {
    struct arena *arena;
    uint64_t limit_bytes, bytes;
    struct replay_part *first, *last;
    bool whole;    /* all that was received is kept */
    bool complete; /* ... and it was the whole body */
};

/*
 * The arena serves it alone, because it may be used up: replay_arena_bytes() is enough. It must
 * stay until nobody sends what was kept, also after a drop.
 */
void replay_init(struct replay *replay, struct arena *arena, uint64_t limit_bytes);
size_t replay_arena_bytes(uint64_t limit_bytes);

/* Keeps a copy of what was received. */
void replay_keep(struct replay *replay, const struct http_piece *piece);

void replay_drop(struct replay *replay);

#endif
