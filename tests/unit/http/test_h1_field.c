/* SPDX-License-Identifier: MIT */
#include "tests/unit/http/feed.h"

static const struct feed_case lines[] = {
    {SLICE("\r\n"), H1_FAULT_NONE},
    {SLICE("a: b\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("a:\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("a: \t \r\nb:c\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("a: \x80\xff\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("a: b\tc : d\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("!#$%&'*+-.^_`|~09azAZ: b\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("a-name-that-is-longer-than-sixteen_bytes: b\r\n\r\n"), H1_FAULT_NONE},
    /* the end of a line */
    {SLICE("a: b\n\r\n"), H1_FAULT_BARE_LF},
    {SLICE("a: b\rc\r\n\r\n"), H1_FAULT_BARE_CR},
    {SLICE("a: b\r\r\n\r\n"), H1_FAULT_BARE_CR},
    {SLICE("a: b\r\n\n"), H1_FAULT_BARE_LF},
    {SLICE("a: b\r\n\rx"), H1_FAULT_BARE_CR},
    {SLICE("\n"), H1_FAULT_BARE_LF},
    {SLICE("\r\r\n"), H1_FAULT_BARE_CR},
    /* names */
    {SLICE(": b\r\n\r\n"), H1_FAULT_NAME_EMPTY},
    {SLICE("a : b\r\n\r\n"), H1_FAULT_NAME_SPACE},
    {SLICE("a\t: b\r\n\r\n"), H1_FAULT_NAME_SPACE},
    {SLICE("a b: c\r\n\r\n"), H1_FAULT_NAME_SPACE},
    {SLICE("a\r\n\r\n"), H1_FAULT_NAME_ALONE},
    {SLICE("a\n\r\n"), H1_FAULT_BARE_LF},
    {SLICE("a\rb: c\r\n\r\n"), H1_FAULT_BARE_CR},
    {SLICE("a\0b: c\r\n\r\n"), H1_FAULT_NUL},
    {SLICE("a\x01: c\r\n\r\n"), H1_FAULT_NAME},
    {SLICE("a\x7f: c\r\n\r\n"), H1_FAULT_NAME},
    {SLICE("a\xc3\xa4: c\r\n\r\n"), H1_FAULT_NAME},
    {SLICE("a(b): c\r\n\r\n"), H1_FAULT_NAME},
    {SLICE("a@b: c\r\n\r\n"), H1_FAULT_NAME},
    {SLICE("\"a\": c\r\n\r\n"), H1_FAULT_NAME},
    {SLICE("a/b: c\r\n\r\n"), H1_FAULT_NAME},
    {SLICE("a;b: c\r\n\r\n"), H1_FAULT_NAME},
    {SLICE("a[b]: c\r\n\r\n"), H1_FAULT_NAME},
    /* folding */
    {SLICE(" a: b\r\n\r\n"), H1_FAULT_FOLD},
    {SLICE("\ta: b\r\n\r\n"), H1_FAULT_FOLD},
    {SLICE("a: b\r\n c\r\n\r\n"), H1_FAULT_FOLD},
    {SLICE("a: b\r\n\tc\r\n\r\n"), H1_FAULT_FOLD},
    {SLICE("a: b\r\n \r\n\r\n"), H1_FAULT_FOLD},
    /* values */
    {SLICE("a: b\0\r\n\r\n"), H1_FAULT_NUL},
    {SLICE("a: \0\r\n\r\n"), H1_FAULT_NUL},
    {SLICE("a: b\x01\r\n\r\n"), H1_FAULT_VALUE},
    {SLICE("a: b\x0b\r\n\r\n"), H1_FAULT_VALUE},
    {SLICE("a: b\x0c"
           "c\r\n\r\n"),
     H1_FAULT_VALUE},
    {SLICE("a: b\x1b[0m\r\n\r\n"), H1_FAULT_VALUE},
    {SLICE("a: b\x7f\r\n\r\n"), H1_FAULT_VALUE},
};

TEST(good_and_bad_lines)
{
    feed_cases(FEED_TRAILERS, lines, sizeof(lines) / sizeof(lines[0]));
}

TEST(bad_lines_are_bad_in_every_head)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char text[256];
        struct weir_slice line = lines[i].text;
        size_t front = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n");
        memcpy(text + front, line.at, line.len);
        struct feed_outcome outcome = feed(FEED_REQUEST, slice_of(text, front + line.len));
        CHECK_EQ(lines[i].fault, outcome.fault);
        front = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n");
        memcpy(text + front, line.at, line.len);
        outcome = feed(FEED_RESPONSE, slice_of(text, front + line.len));
        CHECK_EQ(lines[i].fault, outcome.fault);
    }
}

TEST(values_are_trimmed_and_names_known)
{
    struct weir_slice text = SLICE("HoSt: \t a\tb c \t \r\nx-Y:z\r\nempty: \t\r\n\r\nbehind");
    struct feed_outcome outcome = feed(FEED_TRAILERS, text);
    CHECK_EQ(H1_DONE, outcome.result);
    CHECK_EQ(text.len - strlen("behind"), outcome.bytes);
    CHECK_EQ(3, feed_trailers.count);
    CHECK_EQ(FIELD_HOST, feed_trailers.at[0].id);
    CHECK_SLICE(feed_trailers.at[0].name, "HoSt");
    CHECK_SLICE(feed_trailers.at[0].value, "a\tb c");
    CHECK_EQ(FIELD_OTHER, feed_trailers.at[1].id);
    CHECK_SLICE(feed_trailers.at[1].name, "x-Y");
    CHECK_SLICE(feed_trailers.at[1].value, "z");
    CHECK_SLICE(feed_trailers.at[2].value, "");
    CHECK(fields_have(&feed_trailers, FIELD_HOST));
    CHECK(!fields_have(&feed_trailers, FIELD_VIA));
    CHECK(feed_trailers.at[0].name.at == text.at);
}

/* The memory that a head is read into has been anything before. */
TEST(nothing_in_http1_is_secret_for_hpack)
{
    memset(&feed_trailers, 0xff, sizeof feed_trailers);
    feed(FEED_TRAILERS, SLICE("a: b\r\nCookie: c\r\n\r\n"));
    CHECK_EQ(2, feed_trailers.count);
    CHECK(!feed_trailers.at[0].never_index && !feed_trailers.at[1].never_index);
}

/* Every byte, at places that short and long steps of the scanners come to. */
TEST(every_byte_in_names_and_values)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t place = 0; place < 40; place += 13) {
            struct weir_slice name = feed_long("", 'n', 40, ": v\r\n\r\n");
            struct weir_slice value = feed_long("n: ", 'v', 40, "\r\n\r\n");
            ((char *)name.at)[place] = (char)byte;
            ((char *)value.at)[3 + place] = (char)byte;
            bool is_letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
            bool is_token = is_letter || (byte >= '0' && byte <= '9') ||
                            (byte > 0 && byte < 128 && strchr("!#$%&'*+-.^_`|~", (int)byte));
            bool is_colon = byte == ':' && place > 0;
            bool is_text = byte == '\t' || (byte >= ' ' && byte != 0x7f);
            CHECK_EQ(is_token || is_colon ? H1_DONE : H1_BAD, feed(FEED_TRAILERS, name).result);
            CHECK_EQ(is_text ? H1_DONE : H1_BAD, feed(FEED_TRAILERS, value).result);
            free((char *)name.at);
            free((char *)value.at);
        }
    }
}

CHECK_MAIN
