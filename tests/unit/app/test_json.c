/* SPDX-License-Identifier: MIT */
#include "app/json.h"

#include "base/slice.h"
#include "tests/check.h"

TEST(objects_and_arrays_nest_with_commas_between)
{
    struct buf out;
    struct json json;
    buf_init(&out);
    json_init(&json, &out);
    json_open_object(&json);
    json_key(&json, "empty");
    json_open_array(&json);
    json_close_array(&json);
    json_key(&json, "list");
    json_open_array(&json);
    json_uint(&json, 1);
    json_open_object(&json);
    json_close_object(&json);
    json_open_object(&json);
    json_key(&json, "a");
    json_null(&json);
    json_key(&json, "b");
    json_bool(&json, true);
    json_close_object(&json);
    json_bool(&json, false);
    json_close_array(&json);
    json_key(&json, "text");
    json_text(&json, "x");
    json_key(&json, "none");
    json_text(&json, NULL);
    json_close_object(&json);
    CHECK_SLICE(buf_slice(&out), "{\"empty\":[],\"list\":[1,{},{\"a\":null,\"b\":true},false],"
                                 "\"text\":\"x\",\"none\":null}");
    CHECK(!out.failed);
    buf_fini(&out);
}

TEST(numbers_keep_all_their_digits)
{
    struct buf out;
    struct json json;
    buf_init(&out);
    json_init(&json, &out);
    json_open_array(&json);
    json_uint(&json, UINT64_MAX);
    json_int(&json, INT64_MIN);
    json_close_array(&json);
    CHECK_SLICE(buf_slice(&out), "[18446744073709551615,-9223372036854775808]");
    buf_fini(&out);
}

TEST(strings_are_escaped_so_that_any_reader_takes_them)
{
    static const struct {
        const char *text;
        size_t len;
        const char *want;
    } rows[] = {
        {"", 0, ""},
        {"plain /a?b=c&d~", 15, "plain /a?b=c&d~"},
        {"\"\\", 2, "\\\"\\\\"},
        {"\b\t\n\f\r", 5, "\\b\\t\\n\\f\\r"},
        {"\0\x01\x1b\x7f", 4, "\\u0000\\u0001\\u001b\\u007f"},
        {"caf\xc3\xa9", 5, "caf\xc3\xa9"},
        {"\xc3\xa9\"", 3, "\xc3\xa9\\\""},
        {"\xe2\x82\xac\xf0\x9f\x98\x80", 7, "\xe2\x82\xac\xf0\x9f\x98\x80"},
        /* not UTF-8: alone, cut off, overlong, a surrogate, beyond the end, C1 control */
        {"a\xff", 2, "a\\ufffd"},
        {"\xe2\x82", 2, "\\ufffd\\ufffd"},
        {"\xe2\x82z", 3, "\\ufffd\\ufffdz"},
        {"\xc0\xaf", 2, "\\ufffd\\ufffd"},
        {"\xed\xa0\x80", 3, "\\ufffd\\ufffd\\ufffd"},
        {"\xf4\x90\x80\x80", 4, "\\ufffd\\ufffd\\ufffd\\ufffd"},
        {"\xc2\x9b", 2, "\\ufffd\\ufffd"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char bytes[64];
        struct weir_slice text = slice_of(rows[i].text, rows[i].len);
        size_t len = json_escape(&text, bytes, sizeof bytes);
        CHECK_SLICE(slice_of(bytes, len), rows[i].want);
        CHECK_EQ(0, text.len);
    }
}

TEST(what_does_not_fit_is_left_between_two_characters)
{
    char bytes[14];
    struct weir_slice text = SLICE("abcd\n\xff\xffz");
    size_t len = json_escape(&text, bytes, sizeof bytes);
    CHECK_SLICE(slice_of(bytes, len), "abcd\\n\\ufffd");
    CHECK_SLICE(text, "\xffz");
}

TEST(a_long_string_is_whole)
{
    static char text[5000], want[10003];
    struct buf out;
    struct json json;
    memset(text, '"', sizeof text);
    want[0] = want[10001] = '"';
    for (size_t i = 1; i < 10001; i++)
        want[i] = i % 2 ? '\\' : '"';
    buf_init(&out);
    json_init(&json, &out);
    json_string(&json, slice_of(text, sizeof text));
    CHECK_SLICE(buf_slice(&out), want);
    buf_fini(&out);
}

CHECK_MAIN
