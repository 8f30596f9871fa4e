/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include "base/poison.h"
#include "base/slice.h"
#include "tests/check.h"
#include "tests/unit/base/aborts.h"

#include <stdalign.h>
#include <stdint.h>

TEST(allocations_are_aligned_and_apart)
{
    struct arena_cache cache;
    struct arena arena;
    unsigned char *bytes[200];
    arena_cache_init(&cache);
    arena_init(&arena, &cache, 1 << 20);
    for (size_t i = 0; i < 200; i++) {
        bytes[i] = arena_alloc(&arena, i + 1);
        if (!CHECK(bytes[i] != NULL))
            return;
        CHECK_EQ(0, (uintptr_t)bytes[i] % alignof(max_align_t));
        memset(bytes[i], (int)i, i + 1);
    }
    for (size_t i = 0; i < 200; i++) {
        CHECK_EQ(i, bytes[i][0]);
        CHECK_EQ(i, bytes[i][i]);
    }
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

TEST(the_limit_is_an_ordinary_null)
{
    struct arena_cache cache;
    struct arena arena;
    arena_cache_init(&cache);
    arena_init(&arena, &cache, 2 * ARENA_BLOCK_BYTES);
    CHECK(arena_alloc(&arena, ARENA_BLOCK_BYTES));
    CHECK(arena_alloc(&arena, ARENA_BLOCK_BYTES / 2));
    CHECK(arena_alloc(&arena, ARENA_BLOCK_BYTES / 2));
    CHECK(!arena_alloc(&arena, 1));
    CHECK(!arena_alloc(&arena, SIZE_MAX));
    CHECK(!arena_alloc(&arena, SIZE_MAX - 7));
    CHECK(!arena_copy(&arena, SLICE("text")).at);
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

TEST(large_allocations_do_not_end_the_current_block)
{
    struct arena_cache cache;
    struct arena arena;
    arena_cache_init(&cache);
    arena_init(&arena, &cache, 1 << 20);
    char *first = arena_alloc(&arena, 16);
    char *large = arena_alloc(&arena, 100000);
    char *second = arena_alloc(&arena, 16);
    CHECK(first && large && second == first + 16);
    memset(large, 1, 100000);
    arena_fini(&arena);
    CHECK_EQ(1, cache.free_count);
    arena_cache_fini(&cache);
}

TEST(the_steady_state_uses_the_same_blocks)
{
    struct arena_cache cache;
    struct arena arena;
    arena_cache_init(&cache);
    for (int round = 0; round < 100; round++) {
        arena_init(&arena, &cache, 1 << 20);
        for (int i = 0; i < 30; i++)
            CHECK(arena_alloc(&arena, 1000));
        CHECK_EQ(0, cache.free_count);
        arena_fini(&arena);
        CHECK_EQ(4, cache.free_count);
        CHECK_EQ(0, cache.used_count);
    }
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

TEST(copies_are_copies)
{
    struct arena_cache cache;
    struct arena arena;
    char text[] = "text";
    arena_cache_init(&cache);
    arena_init(&arena, &cache, 1 << 16);
    struct weir_slice copy = arena_copy(&arena, slice_str(text));
    struct weir_slice empty = arena_copy(&arena, slice_of(NULL, 0));
    text[0] = 'n';
    CHECK_SLICE(copy, "text");
    CHECK(empty.at && empty.len == 0);
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

static void end_the_cache_first(void)
{
    struct arena_cache cache;
    struct arena arena;
    arena_cache_init(&cache);
    arena_init(&arena, &cache, 1 << 16);
    if (arena_alloc(&arena, 1))
        arena_cache_fini(&cache);
}

TEST(a_cache_does_not_end_before_its_arenas)
{
    CHECK(aborts(end_the_cache_first));
}

#ifdef WEIR_ASAN
TEST(what_was_not_allocated_is_poisoned)
{
    struct arena_cache cache;
    struct arena arena;
    arena_cache_init(&cache);
    arena_init(&arena, &cache, 1 << 16);
    char *first = arena_alloc(&arena, 20);
    CHECK(!__asan_address_is_poisoned(first + 19));
    CHECK(__asan_address_is_poisoned(first + 20));
    CHECK(__asan_address_is_poisoned(first + 32));
    arena_fini(&arena);
    CHECK(__asan_address_is_poisoned(first));
    arena_cache_fini(&cache);
}
#endif

CHECK_MAIN
