/* SPDX-License-Identifier: MIT */
#include "proxy/kept.h"

#include "base/slice.h"
#include "tests/check.h"

static struct kept kept;

static void add(const char *first, const char *second, bool last)
{
    struct http_piece piece = {.slices = {slice_str(first), slice_str(second)},
                               .count = 2,
                               .bytes = strlen(first) + strlen(second),
                               .last = last};
    kept_add(&kept, &piece);
}

TEST(what_fits_is_kept)
{
    kept_init(&kept, 6);
    add("ab", "cd", false);
    CHECK(!kept.complete && !kept.truncated);
    add("", "ef", true);
    CHECK_SLICE(buf_slice(&kept.bytes), "abcdef");
    CHECK(kept.complete && !kept.truncated);
    kept_fini(&kept);
}

TEST(more_is_cut_and_told)
{
    kept_init(&kept, 5);
    add("abcd", "ef", false);
    CHECK_SLICE(buf_slice(&kept.bytes), "abcde");
    CHECK(kept.truncated && !kept.complete);
    add("gh", "", true);
    CHECK_SLICE(buf_slice(&kept.bytes), "abcde");
    CHECK(kept.complete && kept.truncated);
    kept_fini(&kept);
}

TEST(nothing_may_be_kept)
{
    kept_init(&kept, 0);
    add("", "", false);
    CHECK(!kept.truncated);
    add("a", "", true);
    CHECK(kept.truncated && kept.complete);
    CHECK_EQ(0, kept.bytes.len);
    kept_fini(&kept);
}

TEST(an_empty_body_is_whole)
{
    struct http_piece piece = {.last = true};
    kept_init(&kept, 0);
    kept_add(&kept, &piece);
    CHECK(kept.complete && !kept.truncated);
    kept_fini(&kept);
}

CHECK_MAIN
