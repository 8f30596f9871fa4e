/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_TEXT_H
#define STREAM_TLS_TEXT_H

/*
 * Cuts the slices of one send into the plain text of records. Small slices are gathered into one
 * record, since each record costs its own encryption; large ones are taken where they are.
 */

#include "base/slice.h"
#include "io/iobuf.h"
#include <weir/err.h>

enum { TLS_RECORD_BYTES = 16384 }; /* RFC 8446 section 5.1 */

struct tls_text {
    const struct weir_slice *slices;
    unsigned count;
    size_t used_bytes;      /* of the first one */
    struct iobuf *gathered; /* NULL: nothing was small so far */
};

void tls_text_init(struct tls_text *text, const struct weir_slice *slices, unsigned count);
void tls_text_fini(struct tls_text *text, struct iobufs *bufs);

/* The text of the next record, valid until the next call; empty after the last. WEIR_E_NO_MEMORY.
 */
enum weir_err tls_text_next(struct tls_text *text, struct iobufs *bufs,
                            struct weir_slice *ret_record);

#endif
