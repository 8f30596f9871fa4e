/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H1_CHUNK_H
#define HTTP_H1_CHUNK_H

/* The chunked coding (RFC 9112 section 7.1), pure and incremental. */

#include "http/h1_parse.h"

enum h1_chunk_result {
    H1_CHUNK_DATA, /* *ret_content views a piece of the content; call again with the rest */
    H1_CHUNK_MORE, /* the input is used up */
    H1_CHUNK_LAST, /* the last chunk's line has been read: the trailer section follows */
    H1_CHUNK_BAD,
};

/* Zero it before each body. */
struct h1_chunk {
    uint64_t left_bytes;  /* of the chunk that is being read */
    uint32_t line_bytes;  /* of the size line so far: it is limited */
    uint32_t spare_bytes; /* of size lines beyond what their content warrants: limited too */
    uint8_t state;
    uint8_t digit_count;
    uint8_t fault; /* once there is one, it stays */
};

/*
 * Takes what it can from the front of `input`; *ret_used bytes are done with (data included), save
 * for H1_CHUNK_BAD. Sizes of 2^63 and more, lines over 4 KiB, control characters in extensions,
 * anything but CRLF after a chunk, and long size lines for little content (they cost their reader
 * work that no body limit sees) are faults. After H1_CHUNK_BAD it answers the same for ever; after
 * H1_CHUNK_LAST it must not be called.
 */
enum h1_chunk_result h1_chunk_next(struct h1_chunk *chunk, struct weir_slice input,
                                   size_t *ret_used, struct weir_slice *ret_content,
                                   enum h1_fault *ret_fault);

enum { H1_CHUNK_HEAD_SIZE = 20 };
/* Writes "<hex>\r\n" for a chunk of `bytes` (not 0); its length. The chunk itself ends in "\r\n".
 */
size_t h1_chunk_write_head(uint64_t bytes, char ret_text[static H1_CHUNK_HEAD_SIZE]);

#endif
