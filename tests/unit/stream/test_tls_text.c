/* SPDX-License-Identifier: MIT */
#include "stream/tls_text.h"

#include "base/check.h"

#include "tests/check.h"

static struct iobufs bufs;
static char bytes[100000];

/* Slices by their lengths, one behind the other in `bytes`; and the records that they become. */
static void check_cut(const size_t *lens, unsigned count, const size_t *records,
                      unsigned record_count)
{
    struct weir_slice slices[8], record;
    size_t at = 0, total = 0;
    struct tls_text text;
    for (unsigned i = 0; i < count; at += lens[i++])
        slices[i] = slice_of(bytes + at, lens[i]);
    tls_text_init(&text, slices, count);
    for (unsigned i = 0; i < record_count; i++) {
        CHECK_OK(tls_text_next(&text, &bufs, &record));
        if (!CHECK_EQ(records[i], record.len))
            printf("# record %u\n", i);
        CHECK_EQ(0, memcmp(record.at, bytes + total, record.len));
        total += record.len;
    }
    CHECK_OK(tls_text_next(&text, &bufs, &record));
    CHECK_EQ(0, record.len);
    CHECK_EQ(at, total);
    tls_text_fini(&text, &bufs);
}

#define CUT(lens, records) check_cut(lens, COUNT_OF(lens), records, COUNT_OF(records))

TEST(slices_become_records)
{
    iobufs_init(&bufs);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 31 + i / 251);
    CUT(((const size_t[]){5}), ((const size_t[]){5}));
    CUT(((const size_t[]){100, 0, 6, 3000, 2}), ((const size_t[]){3108}));
    CUT(((const size_t[]){40000}), ((const size_t[]){16384, 16384, 7232}));
    CUT(((const size_t[]){100, 20000, 7}), ((const size_t[]){16384, 3723}));
    CUT(((const size_t[]){4096, 4095, 5}), ((const size_t[]){4096, 4100}));
    CUT(((const size_t[]){16384, 16384}), ((const size_t[]){16384, 16384}));
    CUT(((const size_t[]){4000, 4000, 4000, 4000, 4000}), ((const size_t[]){16384, 3616}));
    iobufs_fini(&bufs); /* which checks that all was given back */
}

TEST(nothing_is_no_record)
{
    struct tls_text text;
    struct weir_slice record, empty = {bytes, 0};
    iobufs_init(&bufs);
    tls_text_init(&text, &empty, 1);
    CHECK_OK(tls_text_next(&text, &bufs, &record));
    CHECK_EQ(0, record.len);
    tls_text_init(&text, NULL, 0);
    CHECK_OK(tls_text_next(&text, &bufs, &record));
    CHECK_EQ(0, record.len);
    tls_text_fini(&text, &bufs);
    iobufs_fini(&bufs);
}

CHECK_MAIN
