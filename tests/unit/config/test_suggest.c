/* SPDX-License-Identifier: MIT */
#include "config/suggest.h"

#include "base/check.h"
#include "base/slice.h"
#include "tests/check.h"

#include <limits.h>

TEST(distances)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } rows[] = {
        {"", "", 0},       {"", "abc", 3},      {"abc", "", 3},   {"abc", "abc", 0},
        {"abc", "abd", 1}, {"abc", "abcd", 1},  {"abc", "ac", 1}, {"idel", "idle", 1},
        {"ab", "ba", 1},   {"abcd", "badc", 2}, {"ca", "abc", 3}, {"kitten", "sitting", 3},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct weir_slice a = slice_str(rows[i].a), b = slice_str(rows[i].b);
        CHECK_EQ(rows[i].distance, suggest_distance(a, b));
        CHECK_EQ(rows[i].distance, suggest_distance(b, a));
    }
}

TEST(long_names_are_not_compared)
{
    char name[SUGGEST_NAME_MAX + 1];
    memset(name, 'a', sizeof name);
    CHECK_EQ(0,
             suggest_distance(slice_of(name, SUGGEST_NAME_MAX), slice_of(name, SUGGEST_NAME_MAX)));
    CHECK_EQ(UINT_MAX, suggest_distance(slice_of(name, sizeof name), SLICE("a")));
    CHECK_EQ(UINT_MAX, suggest_distance(SLICE("a"), slice_of(name, sizeof name)));
}

static const char *nearest(const char *wrong, char text[static SUGGEST_TEXT_SIZE])
{
    static const char *const names[] = {
        "idle_timeout", "read_timeout", "write_timeout", "tcp", "path", "host", "io"};
    struct suggestion suggestion;
    suggest_init(&suggestion, slice_str(wrong));
    for (size_t i = 0; i < COUNT_OF(names); i++)
        suggest_look(&suggestion, slice_str(names[i]));
    return suggest_print(&suggestion, text);
}

TEST(the_nearest_name_is_meant)
{
    char text[SUGGEST_TEXT_SIZE];
    CHECK_SLICE(slice_str(nearest("idel_timeout", text)), " (did you mean 'idle_timeout'?)");
    CHECK_SLICE(slice_str(nearest("raed_timeout", text)), " (did you mean 'read_timeout'?)");
    CHECK_SLICE(slice_str(nearest("hots", text)), " (did you mean 'host'?)");
    CHECK_SLICE(slice_str(nearest("tpc", text)), " (did you mean 'tcp'?)");
    CHECK_SLICE(slice_str(nearest("timeout", text)), "");
    CHECK_SLICE(slice_str(nearest("zz", text)), "");
    CHECK_SLICE(slice_str(nearest("", text)), "");
}

CHECK_MAIN
