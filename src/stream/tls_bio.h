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

struct ssl_st;

struct tls_bufs {
    struct iobufs *bufs;
    struct iobuf *in;             /* ciphertext that came; NULL: none */
    struct iobuf *out, *out_last; /* ciphertext to be sent, oldest first */
    unsigned out_count;
};

/* Joins an SSL object with its buffers, which must stay where they are. False: no memory. */
bool tls_bufs_join(struct tls_bufs *bufs, struct ssl_st *ssl);
/* The object has moved to buffers elsewhere. */
void tls_bufs_rejoin(struct tls_bufs *bufs, struct ssl_st *ssl);

/* Gives everything back. */
void tls_bufs_clear(struct tls_bufs *bufs);

#endif
