/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/slice.h"
#include "tests/check.h"

TEST(text_is_appended)
{
    struct buf buf;
    buf_init(&buf);
    CHECK_EQ(0, buf_slice(&buf).len);
    buf_append(&buf, SLICE("one"));
    buf_append_byte(&buf, ' ');
    buf_append(&buf, slice_of(NULL, 0));
    buf_printf(&buf, "%d %s", 2, "three");
    buf_printf(&buf, "%s", "");
    CHECK_SLICE(buf_slice(&buf), "one 2 three");
    CHECK(!buf.failed);
    buf_clear(&buf);
    CHECK_SLICE(buf_slice(&buf), "");
    buf_fini(&buf);
}

TEST(it_grows_as_needed)
{
    struct buf buf;
    char expected[16];
    buf_init(&buf);
    for (int i = 0; i < 20000; i++)
        buf_printf(&buf, "%07d,", i);
    CHECK_EQ(20000 * 8, buf.len);
    for (int i = 0; i < 20000; i += 777) {
        snprintf(expected, sizeof expected, "%07d,", i);
        CHECK_SLICE(slice_of(buf.at + i * 8, 8), expected);
    }
    buf_fini(&buf);
}

TEST(it_leaves_memory_that_was_lent_when_that_is_full)
{
    struct buf buf;
    char memory[8];
    buf_init_in(&buf, memory, sizeof memory);
    buf_append(&buf, SLICE("12345678"));
    CHECK(buf.at == memory);
    buf_append(&buf, SLICE("9"));
    CHECK(buf.at != memory);
    CHECK_SLICE(buf_slice(&buf), "123456789");
    buf_fini(&buf);
    buf_init_in(&buf, NULL, 8);
    buf_append(&buf, SLICE("a"));
    CHECK_SLICE(buf_slice(&buf), "a");
    buf_fini(&buf);
}

TEST(one_text_larger_than_any_step)
{
    static char large[100001];
    struct buf buf;
    memset(large, 'x', sizeof large - 1);
    buf_init(&buf);
    buf_append_byte(&buf, '<');
    buf_append(&buf, slice_str(large));
    buf_printf(&buf, "%s>", large);
    CHECK_EQ(1 + 100000 + 100001, buf.len);
    CHECK_EQ('>', buf.at[buf.len - 1]);
    CHECK(memcmp(buf.at + 1 + 100000, large, 100000) == 0);
    buf_fini(&buf);
}

CHECK_MAIN
