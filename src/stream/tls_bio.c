/* SPDX-License-Identifier: MIT */
#include "stream/tls_bio.h"

#include "base/check.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

/* Where records begin and end in what was read (RFC 8446 section 5.1). */
static void follow_records(struct tls_bufs *self, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t used = len;
        if (self->body_left > 0) {
            if (used > self->body_left)
                used = self->body_left;
            self->body_left -= used;
        } else {
            used = 1;
            self->header[self->header_bytes++] = (unsigned char)*bytes;
        }
        if (self->header_bytes == TLS_HEADER_BYTES) {
            self->body_left = (size_t)self->header[3] << 8 | self->header[4];
            self->header_bytes = 0;
        }
        bytes += used;
        len -= used;
    }
}

static int bio_read(BIO *bio, char *to, int len)
{
    struct tls_bufs *self = BIO_get_data(bio);
    struct iobuf *in = self->in;
    BIO_clear_retry_flags(bio);
    if (!in) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t bytes = in->end - in->start;
    if (bytes > (size_t)len)
        bytes = (size_t)len;
    memcpy(to, in->bytes + in->start, bytes);
    follow_records(self, to, bytes);
    in->start += (uint32_t)bytes;
    if (in->start == in->end)
        iobuf_give(self->bufs, &self->in);
    return (int)bytes;
}

static struct iobuf *with_room(struct tls_bufs *self)
{
    if (self->out_last && self->out_last->end < IOBUF_BYTES)
        return self->out_last;
    struct iobuf *buf = iobuf_take(self->bufs);
    if (!buf)
        return NULL;
    if (self->out_last)
        self->out_last->next = buf;
    else
        self->out = buf;
    self->out_last = buf;
    self->out_count++;
    return buf;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    struct tls_bufs *self = BIO_get_data(bio);
    size_t left = (size_t)len;
    BIO_clear_retry_flags(bio);
    while (left > 0) {
        struct iobuf *buf = with_room(self);
        if (!buf)
            return -1; /* no way to go on: the record would be cut */
        size_t count = IOBUF_BYTES - buf->end < left ? IOBUF_BYTES - buf->end : left;
        memcpy(buf->bytes + buf->end, bytes, count);
        buf->end += (uint32_t)count;
        bytes += count;
        left -= count;
    }
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir");
    must(method);
    must(BIO_meth_set_read(method, bio_read) && BIO_meth_set_write(method, bio_write) &&
         BIO_meth_set_ctrl(method, bio_ctrl));
}

bool tls_bufs_join(struct tls_bufs *bufs, struct ssl_st *ssl)
{
    pthread_once(&method_once, make_method);
    BIO *bio = BIO_new(method);
    if (!bio)
        return false;
    BIO_set_data(bio, bufs);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return true;
}

void tls_bufs_rejoin(struct tls_bufs *bufs, struct ssl_st *ssl)
{
    BIO_set_data(SSL_get_rbio(ssl), bufs);
}

struct iobuf *tls_bufs_pop_out(struct tls_bufs *bufs)
{
    struct iobuf *oldest = bufs->out;
    must(oldest);
    bufs->out = oldest->next;
    oldest->next = NULL;
    bufs->out_count--;
    if (!bufs->out)
        bufs->out_last = NULL;
    return oldest;
}

struct iobuf *tls_bufs_take_out(struct tls_bufs *bufs,
                                struct weir_slice ret_slices[static TLS_OUT_SLICES],
                                unsigned *ret_count)
{
    struct iobuf *first = bufs->out, *last = NULL;
    unsigned count = 0;
    while (bufs->out && count < TLS_OUT_SLICES) {
        struct iobuf *buf = tls_bufs_pop_out(bufs);
        if (last)
            last->next = buf;
        last = buf;
        ret_slices[count++] = iobuf_slice(buf);
    }
    *ret_count = count;
    return first;
}

void tls_bufs_give(struct tls_bufs *bufs, struct iobuf *first)
{
    while (first) {
        struct iobuf *buf = first;
        first = buf->next;
        iobuf_give(bufs->bufs, &buf);
    }
}

void tls_bufs_drop_out(struct tls_bufs *bufs)
{
    tls_bufs_give(bufs, bufs->out);
    bufs->out = bufs->out_last = NULL;
    bufs->out_count = 0;
}

void tls_bufs_clear(struct tls_bufs *bufs)
{
    iobuf_give(bufs->bufs, &bufs->in);
    tls_bufs_drop_out(bufs);
}
