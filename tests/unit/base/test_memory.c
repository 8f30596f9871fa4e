/* SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include "base/slice.h"
#include "tests/check.h"

#include <stdint.h>

TEST(memory_is_zeroed_and_freed_at_once)
{
    struct memory *memory = memory_new();
    if (!CHECK(memory))
        return;
    for (size_t bytes = 1; bytes < 100000; bytes *= 3) {
        unsigned char *at = memory_alloc(memory, bytes);
        if (!CHECK(at))
            break;
        CHECK_EQ(0, at[0]);
        CHECK_EQ(0, at[bytes - 1]);
        memset(at, 0xff, bytes);
    }
    CHECK(!memory->failed);
    memory_free(&memory);
    CHECK(!memory);
    memory_free(&memory);
}

TEST(strings_end_in_nul)
{
    struct memory *memory = memory_new();
    const char *text = memory_string(memory, slice_of("hello", 4));
    CHECK_EQ(0, text[4]);
    CHECK_SLICE(slice_str(text), "hell");
    CHECK_SLICE(slice_str(memory_string(memory, (struct weir_slice){0})), "");
    memory_free(&memory);
}

TEST(running_out_is_remembered)
{
    struct memory *memory = memory_new();
    CHECK(memory_array(memory, 0, 8));
    CHECK(!memory->failed);
    CHECK(!memory_array(memory, SIZE_MAX / 4, 16));
    CHECK(memory->failed);
    CHECK(memory_alloc(memory, 8));
    CHECK(memory->failed);
    memory->failed = false;
    CHECK(!memory_alloc(memory, (size_t)1 << 40));
    CHECK(memory->failed);
    memory_free(&memory);
}

CHECK_MAIN
