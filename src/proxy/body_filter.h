/* SPDX-License-Identifier: MIT */
#ifndef PROXY_BODY_FILTER_H
#define PROXY_BODY_FILTER_H

/*
 * What a body passes on its way where somebody may change it. Received pieces have many slices; a
 * filter sees one at a time.
 */

#include "http/framing.h"
#include "http/piece.h"
#include <weir/message.h>
#include <weir/suspends.h>

struct body_filter {
    /* As a proxy's body filters (weir/proxy.h). */
    WEIR_SUSPENDS enum weir_err (*change)(void *owner, struct weir_piece *piece);
    void *owner;
    bool counted; /* the head said how long the body is, and that stays true */
    uint64_t left_bytes;
};

/* After the head: `framing` is what it said. */
void body_filter_start(struct body_filter *filter, const struct http_framing *framing);

/*
 * How often filter_piece() is to be called for a piece: once for each slice, and once where there
 * is none but the end.
 */
static inline unsigned body_filter_turns(const struct http_piece *piece)
{
    return piece->count > 0 ? piece->count : piece->last;
}

/*
 * Turn `turn` of a piece: *ret_piece is what goes on, maybe nothing. Errors of the filter;
 * WEIR_E_BODY_LENGTH when it broke its promise about the length.
 */
WEIR_SUSPENDS enum weir_err body_filter_piece(struct body_filter *filter,
                                              const struct http_piece *piece, unsigned turn,
                                              struct http_piece *ret_piece);

/* Nothing of it goes on. */
static inline bool piece_is_nothing(const struct http_piece *piece)
{
    return piece->count == 0 && !piece->last;
}

#endif
