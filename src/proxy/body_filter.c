/* SPDX-License-Identifier: MIT */
#include "proxy/body_filter.h"

#include "base/check.h"

void body_filter_start(struct body_filter *filter, const struct http_framing *framing)
{
    filter->counted = framing->body == BODY_LENGTH;
    filter->left_bytes = framing->length;
}

static enum weir_err count(struct body_filter *filter, const struct weir_piece *piece)
{
    if (!filter->counted)
        return WEIR_OK;
    if (piece->bytes.len > filter->left_bytes)
        return WEIR_E_BODY_LENGTH;
    filter->left_bytes -= piece->bytes.len;
    return piece->last && filter->left_bytes > 0 ? WEIR_E_BODY_LENGTH : WEIR_OK;
}

enum weir_err body_filter_piece(struct body_filter *filter, const struct http_piece *piece,
                                unsigned turn, struct http_piece *ret_piece)
{
    bool last = piece->last && turn + 1 >= piece->count;
    struct weir_piece changed = {.last = last};
    if (turn < piece->count)
        changed.bytes = piece->slices[turn];
    TRY(filter->change(filter->owner, &changed));
    changed.last = last;
    TRY(count(filter, &changed));
    *ret_piece = (struct http_piece){.last = last, .trailers = last ? piece->trailers : NULL};
    if (changed.bytes.len > 0) {
        ret_piece->slices[0] = changed.bytes;
        ret_piece->count = 1;
        ret_piece->bytes = changed.bytes.len;
    }
    return WEIR_OK;
}
