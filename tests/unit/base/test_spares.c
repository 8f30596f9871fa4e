/* SPDX-License-Identifier: MIT */
#include "base/spares.h"

#include "tests/check.h"

#include <stdint.h>
#include <string.h>

static struct spares spares;

TEST(what_was_freed_is_given_again)
{
    spares_init(&spares);
    void *first = spares_alloc(&spares, 100);
    CHECK(first && (uintptr_t)first % 16 == 0);
    spares_free(&spares, first);
    CHECK(spares_alloc(&spares, 128) == first); /* the same size, from 65 to 128 */
    void *other = spares_alloc(&spares, 129);
    CHECK(other && other != first);
    spares_free(&spares, first);
    spares_free(&spares, other);
    spares_free(&spares, NULL);
    spares_fini(&spares);
}

TEST(blocks_of_every_size_hold_what_they_should)
{
    spares_init(&spares);
    for (size_t bytes = 0; bytes <= 20000; bytes = bytes * 3 / 2 + 1) {
        char *block = spares_alloc(&spares, bytes);
        if (!CHECK(block))
            break;
        memset(block, 'x', bytes);
        char *zeroed = spares_alloc_zeroed(&spares, 1, bytes);
        for (size_t i = 0; i < bytes; i++)
            CHECK(zeroed[i] == 0);
        spares_free(&spares, zeroed);
        spares_free(&spares, block);
    }
    spares_fini(&spares);
}

TEST(a_block_grows_with_what_is_in_it)
{
    spares_init(&spares);
    char *block = spares_resize(&spares, NULL, 10);
    memcpy(block, "123456789", 10);
    block = spares_resize(&spares, block, 5000);
    CHECK(strcmp("123456789", block) == 0);
    block = spares_resize(&spares, block, 4);
    CHECK(memcmp("1234", block, 4) == 0);
    spares_free(&spares, block);
    spares_fini(&spares);
}

TEST(too_much_is_nothing)
{
    spares_init(&spares);
    CHECK(!spares_alloc(&spares, SIZE_MAX));
    CHECK(!spares_alloc_zeroed(&spares, SIZE_MAX / 2, 3));
    spares_fini(&spares);
}

TEST(one_may_free_what_another_has_got)
{
    struct spares other;
    spares_init(&spares);
    spares_init(&other);
    void *block = spares_alloc(&spares, 50);
    spares_free(&other, block);
    CHECK(spares_alloc(&other, 50) == block);
    spares_free(&spares, block);
    spares_fini(&other);
    spares_fini(&spares);
}

CHECK_MAIN
