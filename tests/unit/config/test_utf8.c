/* SPDX-License-Identifier: MIT */
#include "config/utf8.h"

#include "base/check.h"
#include "base/slice.h"
#include "tests/check.h"

TEST(good_text_is_good_to_its_end)
{
    static const char *const good[] = {
        "",
        "a: b\r\n\tc",
        "\x7e",
        "\xc2\x85\xc2\xa0",
        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
        "\xef\xbb\xbfx",
        "\xed\x9f\xbf\xee\x80\x80",
        "\xef\xbf\xbd",
        "\xf4\x8f\xbf\xbf",
    };
    for (size_t i = 0; i < COUNT_OF(good); i++)
        CHECK_EQ(strlen(good[i]), utf8_printable(slice_str(good[i])));
}

TEST(the_first_bad_byte_is_found)
{
    static const struct weir_slice bad[] = {
        SLICE("ab\0c"),      /* NUL */
        SLICE("ab\x1b[31m"), /* a control character */
        SLICE("ab\x7f"),     /* another */
        SLICE("ab\xc2\x80"), /* and one beyond ASCII */
        SLICE("ab\x80"),     /* a continuation without a beginning */
        SLICE("ab\xc3"),     /* the end comes too early */
        SLICE("ab\xe2\x82"),
        SLICE("ab\xc3("),    /* no continuation */
        SLICE("ab\xc0\xaf"), /* longer than needed */
        SLICE("ab\xe0\x80\xaf"),
        SLICE("ab\xf0\x80\x80\xaf"),
        SLICE("ab\xed\xa0\x80"),     /* a surrogate */
        SLICE("ab\xf4\x90\x80\x80"), /* beyond Unicode */
        SLICE("ab\xff"),
        SLICE("ab\xef\xbf\xbe"), /* not a character */
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CHECK_EQ(2, utf8_printable(bad[i]));
}

CHECK_MAIN
