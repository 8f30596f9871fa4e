/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H2_FRAMES_H
#define HTTP_H2_FRAMES_H

/*
 * The heads of frames in what a peer of HTTP/2 sends (RFC 9113 section 4.1), before nghttp2 sees
 * them: for what it does not tell, or does not mind. Pure.
 */

#include <weir/slice.h>

#include <stdbool.h>
#include <stdint.h>

enum { H2_FRAME_HEAD_BYTES = 9, H2_PREFACE_BYTES = 24 };

struct h2_frame {
    uint8_t type, flags;
    uint32_t length;
    int32_t id;
    int32_t depends_on; /* a PRIORITY's; -1 */
    uint32_t padding;   /* of DATA, with its own length */
    size_t at;          /* where it begins in the bytes that were given; 0: there, or before */
};

/* Where one stands in the bytes. */
struct h2_frames {
    unsigned preface_left; /* of a client's; it is not looked at */
    uint8_t head[H2_FRAME_HEAD_BYTES + 4];
    unsigned head_len;
    uint32_t left; /* of the present frame's payload */
    bool in_head;  /* of a message: it has begun and not ended */
    bool ends_head;
};

void h2_frames_init(struct h2_frames *frames, bool has_preface);

/*
 * The next head that is whole, in `bytes` from *at on, which moves behind it. False: no more in
 * these bytes.
 */
bool h2_frames_next(struct h2_frames *frames, struct weir_slice bytes, size_t *at,
                    struct h2_frame *ret_frame);

/* The streams that a client began last: bit 0 is the last one, bit 1 would be the one before. */
struct h2_past {
    int32_t last;
    uint64_t begun, ended; /* ended: by the client's own word */
};

/*
 * Notes a client's frame. An error code (RFC 9113 section 7) when it is on a stream that the client
 * has ended (section 5.1) or passed over (section 5.1.1); 0: it may be. What is on its way when the
 * server ends a stream is no error.
 */
uint32_t h2_past_note(struct h2_past *past, const struct h2_frame *frame);

#endif
