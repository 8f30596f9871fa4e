/* SPDX-License-Identifier: MIT */
#include "http/h2_frames.h"

#include <nghttp2/nghttp2.h>

enum { PRIORITY_BYTES = 5 };

void h2_frames_init(struct h2_frames *frames, bool has_preface)
{
    *frames = (struct h2_frames){.preface_left = has_preface ? H2_PREFACE_BYTES : 0};
}

static uint32_t number(const uint8_t *at, unsigned count)
{
    uint32_t result = 0;
    for (unsigned i = 0; i < count; i++)
        result = result << 8 | at[i];
    return result;
}

static bool is_padded(const struct h2_frames *frames)
{
    return frames->head[3] == NGHTTP2_DATA && (frames->head[4] & NGHTTP2_FLAG_PADDED) &&
           number(frames->head, 3) > 0;
}

/* The stream that a PRIORITY depends on, and the length of padding, are taken with the head. */
static unsigned wanted(const struct h2_frames *frames)
{
    if (frames->head_len < H2_FRAME_HEAD_BYTES)
        return H2_FRAME_HEAD_BYTES;
    if (frames->head[3] == NGHTTP2_PRIORITY && number(frames->head, 3) == PRIORITY_BYTES)
        return H2_FRAME_HEAD_BYTES + 4;
    return H2_FRAME_HEAD_BYTES + (is_padded(frames) ? 1 : 0);
}

static void skip(uint32_t *left, size_t len, size_t *at)
{
    size_t count = *left < len - *at ? *left : len - *at;
    *left -= (uint32_t)count;
    *at += count;
}

static void read(struct h2_frames *frames, struct h2_frame *frame)
{
    unsigned extra = frames->head_len - H2_FRAME_HEAD_BYTES;
    frame->length = number(frames->head, 3);
    frame->type = frames->head[3];
    frame->flags = frames->head[4];
    frame->id = (int32_t)(number(frames->head + 5, 4) & INT32_MAX);
    frame->padding = extra == 1 ? frames->head[9] + 1u : 0;
    frame->depends_on = extra == 4 ? (int32_t)(number(frames->head + 9, 4) & INT32_MAX) : -1;
    frames->left = frame->length - extra;
    frames->head_len = 0;
    if (frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_CONTINUATION) {
        frames->in_head = true;
        frames->ends_head = frame->flags & NGHTTP2_FLAG_END_HEADERS;
    }
}

bool h2_frames_next(struct h2_frames *frames, struct weir_slice bytes, size_t *at,
                    struct h2_frame *ret_frame)
{
    skip(&frames->preface_left, bytes.len, at);
    skip(&frames->left, bytes.len, at);
    if (frames->left == 0 && frames->ends_head)
        frames->in_head = frames->ends_head = false;
    ret_frame->at = *at;
    while (*at < bytes.len) {
        frames->head[frames->head_len++] = (uint8_t)bytes.at[(*at)++];
        if (frames->head_len >= H2_FRAME_HEAD_BYTES && frames->head_len == wanted(frames)) {
            read(frames, ret_frame);
            return true;
        }
    }
    return false;
}

/* --- Streams that are over ------------------------------------------------------------------- */

static uint64_t bit_of(const struct h2_past *past, int32_t id)
{
    unsigned steps = (unsigned)(past->last - id) / 2;
    return steps < 64 ? UINT64_C(1) << steps : 0;
}

static void begin(struct h2_past *past, int32_t id)
{
    unsigned steps = (unsigned)(id - past->last) / 2;
    past->begun = steps < 64 ? past->begun << steps : 0;
    past->ended = steps < 64 ? past->ended << steps : 0;
    past->begun |= 1;
    past->last = id;
}

static uint32_t check(const struct h2_past *past, const struct h2_frame *frame)
{
    uint64_t bit = bit_of(past, frame->id);
    if (frame->type != NGHTTP2_DATA && frame->type != NGHTTP2_HEADERS)
        return NGHTTP2_NO_ERROR;
    if (past->ended & bit)
        return NGHTTP2_STREAM_CLOSED;
    return bit && !(past->begun & bit) ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_NO_ERROR;
}

uint32_t h2_past_note(struct h2_past *past, const struct h2_frame *frame)
{
    bool carries = frame->type == NGHTTP2_DATA || frame->type == NGHTTP2_HEADERS;
    if (frame->id % 2 == 0) /* the connection's; a server's are none of ours */
        return NGHTTP2_NO_ERROR;
    if (frame->id > past->last) {
        if (frame->type != NGHTTP2_HEADERS)
            return NGHTTP2_NO_ERROR; /* nghttp2 knows what is wrong with it */
        begin(past, frame->id);
    } else {
        uint32_t code = check(past, frame);
        if (code)
            return code;
    }
    if (frame->type == NGHTTP2_RST_STREAM || (carries && (frame->flags & NGHTTP2_FLAG_END_STREAM)))
        past->ended |= bit_of(past, frame->id);
    return NGHTTP2_NO_ERROR;
}
