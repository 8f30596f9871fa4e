/* SPDX-License-Identifier: MIT */
#include "config/value.h"

#include "base/check.h"
#include "base/slice.h"
#include "tests/check.h"

TEST(spans)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"0", 0},
        {"0s", 0},
        {"1ms", 1000000},
        {"500ms", 500000000},
        {"5s", 5000000000},
        {"10m", 600000000000},
        {"1h", 3600000000000},
        {"365d", 365 * 24 * 3600000000000},
        {"007s", 7000000000},
        {"9223372036s", 9223372036000000000},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct weir_span span = {-1};
        if (!CHECK(value_span(slice_str(good[i].text), &span)))
            printf("# %s\n", good[i].text);
        CHECK_EQ(good[i].ns, span.ns);
    }
}

TEST(what_is_no_span)
{
    static const char *const bad[] = {
        "",   "5",   "s",    "5 s",   " 5s",  "5s ",  "-5s",         "+5s",
        "5S", "5us", "1.5s", "1h30m", "none", "5sec", "9223372037s", "99999999999999999999s",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct weir_span span = {-1};
        if (!CHECK(!value_span(slice_str(bad[i]), &span)))
            printf("# %s\n", bad[i]);
        CHECK_EQ(-1, span.ns);
    }
}

TEST(sizes)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},         {"512", 512},      {"512B", 512},
        {"64KiB", 65536}, {"8MiB", 8 << 20}, {"3GiB", (uint64_t)3 << 30},
    };
    static const char *const bad[] = {"",       "KiB", "64KB",   "64kb", "64K",
                                      "64 KiB", "-1",  "1.5MiB", "none", "9999999999999GiB"};
    uint64_t bytes;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        bytes = 1;
        if (!CHECK(value_size(slice_str(good[i].text), &bytes)))
            printf("# %s\n", good[i].text);
        CHECK_EQ(good[i].bytes, bytes);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (!CHECK(!value_size(slice_str(bad[i]), &bytes)))
            printf("# %s\n", bad[i]);
}

TEST(truth)
{
    static const char *const bad[] = {"", "yes", "no", "on", "off", "True", "TRUE", "1", "0"};
    bool value = false;
    CHECK(value_bool(SLICE("true"), &value) && value);
    CHECK(value_bool(SLICE("false"), &value) && !value);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CHECK(!value_bool(slice_str(bad[i]), &value));
}

TEST(names)
{
    char longest[66];
    memset(longest, 'n', sizeof longest);
    CHECK(value_is_name(SLICE("a")));
    CHECK(value_is_name(SLICE("Edge-1_b.c")));
    CHECK(value_is_name(slice_of(longest, 64)));
    CHECK(!value_is_name(slice_of(longest, 65)));
    CHECK(!value_is_name(SLICE("")));
    CHECK(!value_is_name(SLICE("a b")));
    CHECK(!value_is_name(SLICE("a\"b")));
    CHECK(!value_is_name(SLICE("\xc3\xa9")));
    CHECK(!value_is_name(slice_of("a\0b", 3)));
}

TEST(hosts)
{
    static const char *const good[][2] = {
        {"example.com", "example.com"},     {"API.Example.Com", "api.example.com"},
        {"*.Example.com", "*.example.com"}, {"localhost", "localhost"},
        {"10.0.0.1", "10.0.0.1"},           {"[::1]", "[::1]"},
    };
    static const char *const bad[] = {"",    "*",     "*.",      "a:80", "a/b", "http://a",
                                      "a*b", "*.*.a", "[::1]:1", "[::1", "::1", "a b"};
    char host[64];
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct weir_slice text = slice_str(good[i][0]);
        if (CHECK(value_host(text, host)))
            CHECK_SLICE(slice_of(host, text.len), good[i][1]);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (!CHECK(!value_host(slice_str(bad[i]), host)))
            printf("# %s\n", bad[i]);
}

CHECK_MAIN
