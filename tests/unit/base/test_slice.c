/* SPDX-License-Identifier: MIT */
#include "base/slice.h"

#include "base/check.h"
#include "tests/check.h"

TEST(equality)
{
    CHECK(slice_equal(SLICE("abc"), slice_str("abc")));
    CHECK(!slice_equal(SLICE("abc"), SLICE("abd")));
    CHECK(!slice_equal(SLICE("abc"), SLICE("ab")));
    CHECK(!slice_equal(SLICE("abc"), SLICE("ABC")));
    CHECK(slice_equal(slice_of(NULL, 0), SLICE("")));
    CHECK(slice_equal_nocase(SLICE("Content-Length"), SLICE("cONTENT-lENGTH")));
    CHECK(!slice_equal_nocase(SLICE("abc"), SLICE("abcd")));
    CHECK(slice_equal_nocase(slice_of(NULL, 0), slice_of(NULL, 0)));
}

TEST(only_letters_have_case)
{
    /* '@' and '`', '[' and '{' differ in the same bit as letters do. */
    CHECK(!slice_equal_nocase(SLICE("@["), SLICE("`{")));
    CHECK(!slice_equal_nocase(SLICE("\xc0"), SLICE("\xe0")));
    for (int byte = 0; byte < 256; byte++) {
        char want = byte >= 'A' && byte <= 'Z' ? (char)(byte + 32) : (char)byte;
        CHECK_EQ(want, slice_lower((char)byte));
    }
}

TEST(parts)
{
    CHECK(slice_starts(SLICE("/api/x"), SLICE("/api")));
    CHECK(slice_starts(SLICE("/api"), SLICE("/api")));
    CHECK(slice_starts(SLICE("/api"), SLICE("")));
    CHECK(!slice_starts(SLICE("/ap"), SLICE("/api")));
    CHECK_SLICE(slice_skip(SLICE("abc"), 1), "bc");
    CHECK_SLICE(slice_skip(SLICE("abc"), 3), "");
    CHECK_SLICE(slice_trim(SLICE(" \t a b\t ")), "a b");
    CHECK_SLICE(slice_trim(SLICE(" \t ")), "");
    CHECK_SLICE(slice_trim(SLICE("\n a\r")), "\n a\r");
    CHECK_EQ(1, slice_find(SLICE("a:b:c"), ':'));
    CHECK_EQ(5, slice_find(SLICE("a:b:c"), ';'));
    CHECK_EQ(0, slice_find(slice_of(NULL, 0), ':'));
    CHECK_EQ(3, SLICE("a\0b").len);
}

TEST(numbers)
{
    static const struct {
        struct weir_slice slice;
        bool good;
        uint64_t number;
    } rows[] = {
        {SLICE("0"), true, 0},
        {SLICE("000"), true, 0},
        {SLICE("17"), true, 17},
        {SLICE("18446744073709551615"), true, UINT64_MAX},
        {SLICE("00018446744073709551615"), true, UINT64_MAX},
        {SLICE("18446744073709551616"), false, 0},
        {SLICE("18446744073709551620"), false, 0},
        {SLICE("99999999999999999999"), false, 0},
        {SLICE("184467440737095516150"), false, 0},
        {SLICE(""), false, 0},
        {SLICE("-1"), false, 0},
        {SLICE("+1"), false, 0},
        {SLICE(" 1"), false, 0},
        {SLICE("1 "), false, 0},
        {SLICE("0x10"), false, 0},
        {SLICE("1e3"), false, 0},
        {SLICE("1\0"), false, 0},
        {SLICE("1,1"), false, 0},
        {SLICE("\xb1"), false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t number = 99;
        CHECK_EQ(rows[i].good, slice_to_u64(rows[i].slice, &number));
        CHECK(number == (rows[i].good ? rows[i].number : 99));
    }
}

CHECK_MAIN
