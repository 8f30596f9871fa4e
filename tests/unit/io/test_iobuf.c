/* SPDX-License-Identifier: MIT */
#include "io/iobuf.h"

#include "tests/check.h"
#include "tests/unit/base/aborts.h"

TEST(the_last_given_is_the_first_taken)
{
    struct iobufs bufs;
    iobufs_init(&bufs);
    struct iobuf *a = iobuf_take(&bufs), *b = iobuf_take(&bufs), *first = a, *second = b;
    CHECK(a && b && a != b);
    CHECK_EQ(0, iobuf_slice(a).len);
    a->end = 3;
    iobuf_give(&bufs, &a);
    CHECK(!a);
    iobuf_give(&bufs, &b);
    CHECK_EQ(0, bufs.used_count);
    b = iobuf_take(&bufs);
    a = iobuf_take(&bufs);
    CHECK(b == second && a == first);
    CHECK_EQ(0, iobuf_slice(a).len); /* it comes empty */
    memset(a->bytes, 'x', IOBUF_BYTES);
    iobuf_give(&bufs, &a);
    iobuf_give(&bufs, &b);
    iobuf_give(&bufs, &b); /* NULL is fine */
    iobufs_fini(&bufs);
}

TEST(a_burst_does_not_stay)
{
    enum { BURST = 1000 };
    struct iobufs bufs;
    struct iobuf *taken[BURST];
    iobufs_init(&bufs);
    for (int i = 0; i < BURST; i++)
        CHECK((taken[i] = iobuf_take(&bufs)) != NULL);
    for (int i = 0; i < BURST; i++)
        iobuf_give(&bufs, &taken[i]);
    CHECK_EQ(0, bufs.used_count);
    CHECK(bufs.free_count > 0 && bufs.free_count < BURST / 2);
    iobufs_fini(&bufs);
}

static void forget_one(void)
{
    struct iobufs bufs;
    iobufs_init(&bufs);
    iobuf_take(&bufs);
    iobufs_fini(&bufs);
}

TEST(one_that_was_not_given_back_is_found)
{
    CHECK(aborts(forget_one));
}

CHECK_MAIN
