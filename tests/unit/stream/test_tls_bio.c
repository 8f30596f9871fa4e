/* SPDX-License-Identifier: MIT */
#include "stream/tls_bio.h"

#include "base/check.h"
#include "base/slice.h"

#include "tests/check.h"

#include <openssl/ssl.h>
#include <string.h>

static struct iobufs pool;
static struct tls_bufs bufs;
static SSL_CTX *context;
static SSL *ssl;

static void open_bufs(void)
{
    iobufs_init(&pool);
    bufs = (struct tls_bufs){.bufs = &pool};
    context = SSL_CTX_new(TLS_method());
    ssl = SSL_new(context);
    must(ssl && tls_bufs_join(&bufs, ssl));
}

static void close_bufs(void)
{
    tls_bufs_clear(&bufs);
    SSL_free(ssl);
    SSL_CTX_free(context);
    iobufs_fini(&pool); /* which checks that all was given back */
}

static void come(const char *bytes, size_t len)
{
    must(!bufs.in);
    bufs.in = iobuf_take(&pool);
    memcpy(bufs.in->bytes, bytes, len);
    bufs.in->end = (uint32_t)len;
}

/* Reads so much of what has come; -1: OpenSSL would be told to come again. */
static int read_some(int len)
{
    char to[64];
    return BIO_read(SSL_get_rbio(ssl), to, len);
}

TEST(reading_takes_what_has_come_and_asks_for_more)
{
    open_bufs();
    CHECK_EQ(-1, read_some(5));
    CHECK(BIO_should_retry(SSL_get_rbio(ssl)));
    come("\x17\x03\x03\0\x02", 5);
    CHECK_EQ(3, read_some(3));
    CHECK_EQ(2, read_some(5));
    CHECK(!bufs.in); /* and is given back with its last byte */
    CHECK_EQ(-1, read_some(1));
    close_bufs();
}

/* However OpenSSL reads, it is known whether a record is whole. */
TEST(records_are_followed)
{
    static const char records[] = "\x17\x03\x03\0\x03"
                                  "abc"
                                  "\x15\x03\x03\0\0"
                                  "\x16\x03\x03\0\x01"
                                  "d";
    static const bool within[] = {false, true, true, true,  true, true, true, true, false, true,
                                  true,  true, true, false, true, true, true, true, true,  false};
    size_t len = sizeof records - 1;
    must(COUNT_OF(within) == len + 1);
    open_bufs();
    for (size_t i = 0; i <= len; i++) {
        if (!CHECK_EQ(within[i], tls_bufs_in_record(&bufs)))
            printf("# after %zu bytes\n", i);
        if (i == len)
            break;
        come(records + i, 1);
        CHECK_EQ(1, read_some(1));
    }
    /* All at once, as far as it goes. */
    for (size_t cut = 1; cut <= len; cut++) {
        bufs.header_bytes = 0;
        bufs.body_left = 0;
        come(records, cut);
        CHECK_EQ(cut, read_some(64));
        CHECK_EQ(within[cut], tls_bufs_in_record(&bufs));
    }
    close_bufs();
}

TEST(what_is_written_waits_in_order)
{
    static char text[(TLS_OUT_SLICES + 1) * IOBUF_BYTES];
    enum { TEXT_BYTES = 3 * IOBUF_BYTES };
    struct weir_slice slices[TLS_OUT_SLICES];
    unsigned count;
    open_bufs();
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = (char)(i * 7 + i / 256);
    for (size_t at = 0; at < TEXT_BYTES; at += 4000) {
        size_t len = TEXT_BYTES - at < 4000 ? TEXT_BYTES - at : 4000;
        CHECK_EQ(len, BIO_write(SSL_get_wbio(ssl), text + at, (int)len));
    }
    CHECK_EQ(3, bufs.out_count);
    struct iobuf *first = tls_bufs_pop_out(&bufs);
    CHECK_EQ(0, memcmp(first->bytes, text, IOBUF_BYTES));
    tls_bufs_give(&bufs, first);
    struct iobuf *taken = tls_bufs_take_out(&bufs, slices, &count);
    CHECK_EQ(2, count);
    CHECK_EQ(0, bufs.out_count);
    CHECK(!bufs.out && !bufs.out_last);
    for (unsigned i = 0; i < count; i++)
        CHECK(slice_equal(slices[i], slice_of(&text[(i + 1) * IOBUF_BYTES], IOBUF_BYTES)));
    /* What is written meanwhile comes behind. */
    CHECK_EQ(4, BIO_write(SSL_get_wbio(ssl), "more", 4));
    tls_bufs_give(&bufs, taken);
    CHECK_SLICE(iobuf_slice(bufs.out), "more");
    tls_bufs_drop_out(&bufs);
    CHECK(tls_bufs_take_out(&bufs, slices, &count) == NULL && count == 0);
    close_bufs();
}

CHECK_MAIN
