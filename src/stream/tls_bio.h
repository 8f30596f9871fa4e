/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_BIO_H
#define STREAM_TLS_BIO_H

/*
 * What OpenSSL reads from and writes to: buffers of the worker. Reading takes from the buffer that
 * was lent last and gives it back when it is empty; writing appends, and never has to wait.
 */

#include "io/iobuf.h"
#include <weir/slice.h>

#include <stdbool.h>
#include <stddef.h>

struct ssl_st;

enum { TLS_HEADER_BYTES = 5 };

struct tls_bufs {
    struct iobufs *bufs;
    struct iobuf *in;             /* ciphertext that came; NULL: none */
    struct iobuf *out, *out_last; /* ciphertext to be sent, oldest first */
    unsigned out_count;
    unsigned char header[TLS_HEADER_BYTES]; /* of the record that OpenSSL is reading */
    unsigned header_bytes;                  /* of it, so far */
    size_t body_left;                       /* bytes of the record that it has not read */
};

/* OpenSSL has read a record in part, and wants the rest. */
static inline bool tls_bufs_in_record(const struct tls_bufs *bufs)
{
    return bufs->header_bytes > 0 || bufs->body_left > 0;
}

/* Joins an SSL object with its buffers, which must stay where they are. False: no memory. */
bool tls_bufs_join(struct tls_bufs *bufs, struct ssl_st *ssl);
/* The object has moved to buffers elsewhere. */
void tls_bufs_rejoin(struct tls_bufs *bufs, struct ssl_st *ssl);

enum { TLS_OUT_SLICES = 8 };

/* Takes the oldest buffers to be sent off the list, as many as there are slices, linked. */
struct iobuf *tls_bufs_take_out(struct tls_bufs *bufs,
                                struct weir_slice ret_slices[static TLS_OUT_SLICES],
                                unsigned *ret_count);
/* The oldest one; there is one (checked). */
struct iobuf *tls_bufs_pop_out(struct tls_bufs *bufs);
/* Gives back what was taken off. */
void tls_bufs_give(struct tls_bufs *bufs, struct iobuf *first);
/* Nothing of it will be sent any more. */
void tls_bufs_drop_out(struct tls_bufs *bufs);

/* Gives everything back. */
void tls_bufs_clear(struct tls_bufs *bufs);

#endif
