/* SPDX-License-Identifier: MIT */
#include "stream/preface.h"

#include "base/check.h"
#include "base/slice.h"

#include "tests/check.h"

#include <stddef.h>
#include <stdlib.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
/* Of IPv4: 192.0.2.1:56324 and 198.51.100.2:443 */
#define BLOCK4 "\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"
#define IP6 "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0"
#define BLOCK6 IP6 "\1" IP6 "\2\0\1\xff\xff"
#define TEN "\0\0\0\0\0\0\0\0\0\0"
#define NINETY TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define FULL6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

/* In memory of just its size, for the sanitizer. */
static enum preface_result parse(struct weir_slice bytes, struct preface *ret_preface,
                                 size_t *ret_used)
{
    char *copy = malloc(bytes.len + 1);
    memcpy(copy + 1, bytes.at, bytes.len);
    enum preface_result result =
        preface_parse(slice_of(copy + 1, bytes.len), ret_preface, ret_used);
    free(copy);
    return result;
}

static enum preface_result result_of(struct weir_slice bytes)
{
    struct preface preface;
    size_t used;
    return parse(bytes, &preface, &used);
}

static void print_bytes(struct weir_slice bytes)
{
    printf("# of %zu bytes:", bytes.len);
    for (size_t i = 0; i < bytes.len; i++)
        printf(bytes.at[i] > ' ' && bytes.at[i] < 127 ? " %c" : " %02x",
               (unsigned char)bytes.at[i]);
    printf("\n");
}

static bool check_result(enum preface_result want, struct weir_slice bytes)
{
    bool same = CHECK_EQ(want, result_of(bytes));
    if (!same)
        print_bytes(bytes);
    return same;
}

static const struct {
    struct weir_slice bytes;
    const char *source, *destination; /* as addr_print() has them */
    bool is_local;
} good[] = {
    {SLICE("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), "192.0.2.1:56324",
     "198.51.100.2:443", false},
    {SLICE("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), "0.0.0.0:0", "255.255.255.255:65535",
     false},
    {SLICE("PROXY TCP6 2001:db8::1 2001:DB8::2 1 65535\r\n"), "[2001:db8::1]:1",
     "[2001:db8::2]:65535", false},
    {SLICE("PROXY TCP6 :: 1:: 1 2\r\n"), "[::]:1", "[1::]:2", false},
    {SLICE("PROXY TCP6 0:0:0:0:0:0:0:0 1:2:3:4:5:6:7:: 1 2\r\n"), "[::]:1", "[1:2:3:4:5:6:7:0]:2",
     false},
    {SLICE("PROXY TCP6 ::ffff:192.0.2.1 1:2:3:4:5:6:255.255.255.255 1 2\r\n"),
     "[::ffff:192.0.2.1]:1", "[1:2:3:4:5:6:ffff:ffff]:2", false},
    {SLICE("PROXY TCP6 1::3:4:5:6:10.0.0.1 0001:0002:0003:0004:0005:6:1.10.100.200 1 2\r\n"),
     "[1:0:3:4:5:6:a00:1]:1", "[1:2:3:4:5:6:10a:64c8]:2", false},
    {SLICE("PROXY TCP6 " FULL6 " " FULL6 " 65535 65535\r\n"), "[" FULL6 "]:65535",
     "[" FULL6 "]:65535", false},
    {SLICE("PROXY UNKNOWN\r\n"), "none", "none", false},
    {SLICE("PROXY UNKNOWN \r\n"), "none", "none", false},
    {SLICE("PROXY UNKNOWN what\0 ever  \r\n"), "none", "none", false},
    {SLICE("PROXY UNKNOWN " FULL6 " " FULL6 " 65535 65535\r\n"), "none", "none", false},

    {SLICE(SIGNATURE "\x21\x11\0\x0c" BLOCK4), "192.0.2.1:56324", "198.51.100.2:443", false},
    {SLICE(SIGNATURE "\x21\x21\0\x24" BLOCK6), "[2001:db8::1]:1", "[2001:db8::2]:65535", false},
    {SLICE(SIGNATURE "\x21\x31\0\xd8"
                     "/run/a" NINETY TEN "\0\0/b\0c" NINETY TEN "\0\0\0\0"),
     "unix:/run/a", "unix:/b", false},
    {SLICE(SIGNATURE "\x21\x31\0\xd8" NINETY TEN "\0\0\0\0\0\0\0\0\0abstract" NINETY "\0\0\0\0\0"
                     "\0\0\0\0"),
     "unix:", "unix:", false},
    {SLICE(SIGNATURE "\x20\0\0\0"), "none", "none", true},
    {SLICE(SIGNATURE "\x20\x11\0\x0c" BLOCK4), "none", "none", true},
    {SLICE(SIGNATURE "\x20\0\0\2xx"), "none", "none", true},
    {SLICE(SIGNATURE "\x20\xff\0\1x"), "none", "none", true},
    {SLICE(SIGNATURE "\x21\0\0\0"), "none", "none", false},
    {SLICE(SIGNATURE "\x21\0\0\1x"), "none", "none", false},
    {SLICE(SIGNATURE "\x21\x12\0\x0c" BLOCK4), "none", "none", false},
    {SLICE(SIGNATURE "\x21\x10\0\0"), "none", "none", false},
    {SLICE(SIGNATURE "\x21\x01\0\3xyz"), "none", "none", false},
    /* vectors: empty, of one byte, of 256 and more */
    {SLICE(SIGNATURE "\x21\x11\0\x0f" BLOCK4 "\4\0\0"), "192.0.2.1:56324", "198.51.100.2:443",
     false},
    {SLICE(SIGNATURE "\x21\x11\0\x13" BLOCK4 "\4\0\1x\4\0\0"), "192.0.2.1:56324",
     "198.51.100.2:443", false},
    {SLICE(SIGNATURE "\x21\x21\1\x33" BLOCK6
                     "\xee\1\x0c" NINETY NINETY TEN TEN TEN TEN TEN TEN TEN TEN "\0\0\0\0\0\0\0\0"),
     "[2001:db8::1]:1", "[2001:db8::2]:65535", false},
    /* the checksum alone, and between two others; both calculated elsewhere */
    {SLICE(SIGNATURE "\x21\x11\0\x13" BLOCK4 "\3\0\4\x20\xec\x95\x49"), "192.0.2.1:56324",
     "198.51.100.2:443", false},
    {SLICE(SIGNATURE "\x21\x11\0\x1c" BLOCK4 "\4\0\1\0\3\0\4\xd2\xbf\x7e\x74\5\0\2id"),
     "192.0.2.1:56324", "198.51.100.2:443", false},
};

TEST(good_prefaces_are_read_and_their_beginnings_wait_for_more)
{
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct weir_slice bytes = good[i].bytes;
        struct preface preface = {0};
        char text[ADDR_TEXT_SIZE], more[1024];
        size_t used = 0;
        for (size_t length = 0; length < bytes.len; length++)
            check_result(PREFACE_MORE, slice_of(bytes.at, length));
        memcpy(more, bytes.at, bytes.len);
        memcpy(more + bytes.len, "GET", 3);
        if (!check_result(PREFACE_DONE, bytes))
            continue;
        CHECK_EQ(PREFACE_DONE, parse(slice_of(more, bytes.len + 3), &preface, &used));
        CHECK_EQ(bytes.len, used);
        CHECK_EQ(good[i].is_local, preface.is_local);
        CHECK_SLICE(slice_str(addr_print(&preface.source, text)), good[i].source);
        CHECK_SLICE(slice_str(addr_print(&preface.destination, text)), good[i].destination);
    }
}

/* Wrong by the last byte, and not before. */
static const struct weir_slice bad[] = {
    SLICE("G"),
    SLICE("p"),
    SLICE("\n"),
    SLICE("\0"),
    SLICE("PROXX"),
    SLICE("PROXY\t"),
    SLICE("PROXY\r"),
    SLICE("PROXY  "),
    SLICE("PROXY t"),
    SLICE("PROXY TCP5"),
    SLICE("PROXY TCP4\r"),
    SLICE("PROXY TCP44"),
    SLICE("PROXY UD"),
    SLICE("PROXY UNKNOWNS"),
    SLICE("PROXY UNKNOWN\n"),
    SLICE("PROXY UNKNOWN \n"),
    SLICE("PROXY UNKNOWN x\n"),
    SLICE("PROXY UNKNOWN x\r\r"),
    SLICE("PROXY UNKNOWN x\rx"),
    SLICE("PROXY UNKNOWN " FULL6 " " FULL6 " 65535 65535x"),

    SLICE("PROXY TCP4  "),
    SLICE("PROXY TCP4 x"),
    SLICE("PROXY TCP4 ."),
    SLICE("PROXY TCP4 :"),
    SLICE("PROXY TCP4 -"),
    SLICE("PROXY TCP4 1\0"),
    SLICE("PROXY TCP4 01"),
    SLICE("PROXY TCP4 256"),
    SLICE("PROXY TCP4 1000"),
    SLICE("PROXY TCP4 1.."),
    SLICE("PROXY TCP4 1.2.3 "),
    SLICE("PROXY TCP4 1.2.3. "),
    SLICE("PROXY TCP4 1.2.3.4."),
    SLICE("PROXY TCP4 1.2.3.4/"),
    SLICE("PROXY TCP4 1.2.3.4\t"),
    SLICE("PROXY TCP4 1.2.3.4\r"),
    SLICE("PROXY TCP4 1.2.3.4  "),
    SLICE("PROXY TCP4 1.2.3.4 1.2.3.256"),
    SLICE("PROXY TCP4 1.2.3.4 :"),

    SLICE("PROXY TCP6  "),
    SLICE("PROXY TCP6 g"),
    SLICE("PROXY TCP6 ["),
    SLICE("PROXY TCP6 ."),
    SLICE("PROXY TCP6 ::g"),
    SLICE("PROXY TCP6 :1"),
    SLICE("PROXY TCP6 : "),
    SLICE("PROXY TCP6 1: "),
    SLICE("PROXY TCP6 :::"),
    SLICE("PROXY TCP6 1::2::"),
    SLICE("PROXY TCP6 12345"),
    SLICE("PROXY TCP6 1:2:3:4:5:6:7 "),
    SLICE("PROXY TCP6 1:2:3:4:5:6:7:8:"),
    SLICE("PROXY TCP6 1::3:4:5:6:7:8:"),
    SLICE("PROXY TCP6 1:2:3:4:5:6:7:8."),
    SLICE("PROXY TCP6 1."),
    SLICE("PROXY TCP6 1:2:3:4:5:6:7:1."),
    SLICE("PROXY TCP6 ::ffff:1.2.3.256"),
    SLICE("PROXY TCP6 ::ffff:1.2.3 "),
    SLICE("PROXY TCP6 ::ffff:1.2.3.4:"),
    SLICE("PROXY TCP6 ::1%"),
    /* longer than the longest that is counted with */
    SLICE("PROXY TCP6 0000:0000:0000:0000:0000:ffff:255.25"),
    SLICE("PROXY TCP6 ::1 1."),

    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8  "),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8\r"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 +"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 -"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 00"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 01"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 65536"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 100000"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1\r"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1  "),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1 0x"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 "),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r"),
    SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r "),

    /* the length against the limit and the addresses */
    SLICE(SIGNATURE "\x20\0\x10"),
    SLICE(SIGNATURE "\x20\0\x0f\xf1"),
    SLICE(SIGNATURE "\x21\x11\xff"),
    SLICE(SIGNATURE "\x21\x11\0\x0b"),
    SLICE(SIGNATURE "\x21\x21\0\x23"),
    SLICE(SIGNATURE "\x21\x31\0\xd7"),
    /* no room for a vector's head; its value over the end; too little behind it */
    SLICE(SIGNATURE "\x21\x11\0\x0d"),
    SLICE(SIGNATURE "\x21\x11\0\x0e"),
    SLICE(SIGNATURE "\x21\x11\0\x10" BLOCK4 "\4\1"),
    SLICE(SIGNATURE "\x21\x11\0\xd7" BLOCK4 "\4\1"),
    SLICE(SIGNATURE "\x21\x11\0\x10" BLOCK4 "\4\0\2"),
    SLICE(SIGNATURE "\x21\x11\0\x10" BLOCK4 "\4\0\0"),
    SLICE(SIGNATURE "\x21\x11\0\x11" BLOCK4 "\4\0\0"),
    SLICE(SIGNATURE "\x21\x11\0\x14" BLOCK4 "\4\0\1x\4\0\2"),
    /* a checksum has four bytes, and is the only one */
    SLICE(SIGNATURE "\x21\x11\0\x12" BLOCK4 "\3"),
    SLICE(SIGNATURE "\x21\x11\0\x14" BLOCK4 "\3"),
    SLICE(SIGNATURE "\x21\x11\0\x15" BLOCK4 "\3"),
    SLICE(SIGNATURE "\x21\x11\0\x16" BLOCK4 "\3\1"),
    SLICE(SIGNATURE "\x21\x11\0\x16" BLOCK4 "\3\0\3"),
    SLICE(SIGNATURE "\x21\x11\0\x16" BLOCK4 "\3\0\5"),
    SLICE(SIGNATURE "\x21\x11\0\x1a" BLOCK4 "\3\0\4wxyz\3"),
    SLICE(SIGNATURE "\x21\x11\0\x13" BLOCK4 "\3\0\4\x20\xec\x95\x48"),
};

TEST(bad_prefaces_are_told_at_their_first_wrong_byte)
{
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char more[256];
        check_result(PREFACE_MORE, slice_of(bad[i].at, bad[i].len - 1));
        check_result(PREFACE_BAD, bad[i]);
        memcpy(more, bad[i].at, bad[i].len);
        memset(more + bad[i].len, ' ', 3);
        check_result(PREFACE_BAD, slice_of(more, bad[i].len + 3));
    }
}

/* Adds a byte at random after which the bytes are not BAD; false when there is none. */
static bool go_on(char *bytes, size_t length, uint32_t *random)
{
    static const char alphabet[] = "PROXYTCUNKW0123456789abcdefF.: \r\n";
    size_t count = sizeof alphabet - 1, from;
    *random = *random * 1664525 + 1013904223;
    from = (*random >> 8) % count;
    for (size_t i = 0; i < count; i++) {
        bytes[length] = alphabet[(from + i) % count];
        if (result_of(slice_of(bytes, length + 1)) != PREFACE_BAD)
            return true;
    }
    return false;
}

/* MORE promises that a good byte may come: whoever takes one each time comes to an end. */
TEST(no_line_that_is_good_so_far_is_a_dead_end)
{
    uint32_t random = 1;
    for (unsigned walk = 0; walk < 400; walk++) {
        char bytes[128] = "PROXY TCP6 ";
        size_t length = walk % 4 == 0 ? 1 : strlen(bytes);
        enum preface_result result = PREFACE_MORE;
        while (result == PREFACE_MORE && length < 107 && go_on(bytes, length, &random))
            result = result_of(slice_of(bytes, ++length));
        if (!CHECK_EQ(PREFACE_DONE, result))
            print_bytes(slice_of(bytes, length));
    }
}

/* How many values of byte `at` are not BAD, when it is the last. */
static unsigned count_not_bad(struct weir_slice bytes, size_t at)
{
    char changed[64];
    unsigned count = 0;
    memcpy(changed, bytes.at, at);
    for (unsigned value = 0; value < 256; value++) {
        changed[at] = (char)value;
        count += result_of(slice_of(changed, at + 1)) != PREFACE_BAD;
    }
    return count;
}

TEST(of_each_byte_as_many_values_are_good_as_have_a_meaning)
{
    const struct weir_slice line = SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
    const struct weir_slice local = SLICE(SIGNATURE "\x20\0\0\0");
    const struct weir_slice proxy = SLICE(SIGNATURE "\x21\x11\0\x0c" BLOCK4);
    CHECK_EQ(2, count_not_bad(line, 0)); /* either version */
    for (size_t i = 1; i < sizeof "PROXY TCP4 " - 1; i++)
        CHECK_EQ(i == 6 || i == 9 ? 2 : 1, count_not_bad(line, i)); /* "TU" and "46" */
    CHECK_EQ(10, count_not_bad(line, 11));
    CHECK_EQ(11, count_not_bad(line, 12)); /* a dot, or a second digit */
    CHECK_EQ(1, count_not_bad(line, line.len - 1));
    for (size_t i = 1; i < 12; i++)
        CHECK_EQ(1, count_not_bad(proxy, i));
    CHECK_EQ(2, count_not_bad(proxy, 12));
    CHECK_EQ(12, count_not_bad(proxy, 13)); /* four families, three transports */
    CHECK_EQ(256, count_not_bad(local, 13));
    CHECK_EQ(16, count_not_bad(proxy, 14));
    CHECK_EQ(256 - 12 - 2, count_not_bad(proxy, 15));
    CHECK_EQ(256, count_not_bad(local, 15));
    CHECK_EQ(256, count_not_bad(proxy, proxy.len - 1));
}

TEST(a_checksum_covers_every_bit)
{
    const size_t last = COUNT_OF(good) - 1, vectors_at = 16 + 12;
    char bytes[64];
    size_t length = good[last].bytes.len;
    for (size_t bit = 16 * 8; bit < length * 8; bit++) {
        size_t at = bit / 8;
        bool is_value = at < vectors_at || at == vectors_at + 3 || at >= length - 2 ||
                        (at >= vectors_at + 7 && at < vectors_at + 11);
        memcpy(bytes, good[last].bytes.at, length);
        bytes[at] = (char)(bytes[at] ^ 1 << bit % 8);
        if (is_value)
            check_result(PREFACE_BAD, slice_of(bytes, length));
    }
}

TEST(the_longest_is_read_and_no_longer_one)
{
    static char bytes[PREFACE_ACCEPTED_BYTES_MAX + 1] =
        SIGNATURE "\x21\x11\x0f\xf0" BLOCK4 "\4\x0f\xe1";
    struct preface preface;
    size_t used = 0;
    check_result(PREFACE_MORE, slice_of(bytes, PREFACE_ACCEPTED_BYTES_MAX - 1));
    CHECK_EQ(PREFACE_DONE, parse(slice_of(bytes, sizeof bytes), &preface, &used));
    CHECK_EQ(PREFACE_ACCEPTED_BYTES_MAX, used);
    bytes[15]++;
    bytes[30]++;
    CHECK_EQ(PREFACE_BAD, result_of(slice_of(bytes, sizeof bytes)));
}

TEST(a_path_that_fills_its_field_is_unknown)
{
    char bytes[232] = SIGNATURE "\x21\x31\0\xd8";
    struct preface preface;
    char text[ADDR_TEXT_SIZE];
    size_t used;
    memset(bytes + 16, '/', 216);
    bytes[231] = '\0';
    CHECK_EQ(PREFACE_DONE, parse(slice_of(bytes, sizeof bytes), &preface, &used));
    CHECK_EQ(0, preface.source.len);
    CHECK_EQ(5 + 107, strlen(addr_print(&preface.destination, text)));
}

TEST(what_is_not_written_stays)
{
    struct preface preface = {.source = {.len = 77}};
    size_t used = 88;
    CHECK_EQ(PREFACE_MORE, parse(SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r"), &preface, &used));
    CHECK_EQ(PREFACE_BAD, parse(SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rx"), &preface, &used));
    CHECK_EQ(PREFACE_MORE, preface_parse(slice_of(NULL, 0), &preface, &used));
    CHECK_EQ(77, preface.source.len);
    CHECK_EQ(88, used);
}

static const struct {
    const char *source, *destination; /* NULL: unknown */
    struct weir_slice v1, v2;         /* v2 empty: only that it is read again as the same */
} written[] = {
    {"192.0.2.1:56324", "198.51.100.2:443",
     SLICE("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"),
     SLICE(SIGNATURE "\x21\x11\0\x0c" BLOCK4)},
    {"[2001:db8::1]:1", "[2001:db8::2]:65535",
     SLICE("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"),
     SLICE(SIGNATURE "\x21\x21\0\x24" BLOCK6)},
    /* both IPv4, whatever they came as */
    {"[::ffff:192.0.2.1]:56324", "198.51.100.2:443",
     SLICE("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"),
     SLICE(SIGNATURE "\x21\x11\0\x0c" BLOCK4)},
    {"[::ffff:192.0.2.1]:56324", "[::ffff:198.51.100.2]:443",
     SLICE("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"),
     SLICE(SIGNATURE "\x21\x11\0\x0c" BLOCK4)},
    /* one of each: no digits with dots in a line */
    {"192.0.2.1:1", "[2001:db8::2]:2", SLICE("PROXY TCP6 ::ffff:c000:201 2001:db8::2 1 2\r\n"),
     SLICE(SIGNATURE "\x21\x21\0\x24" TEN "\xff\xff\xc0\0\2\1" IP6 "\2\0\1\0\2")},
    /* any address is one of the source's family */
    {"[::1:2]:1", "0.0.0.0:2", SLICE("PROXY TCP6 ::1:2 :: 1 2\r\n"), {NULL, 0}},
    {"192.0.2.1:1", "[::]:2", SLICE("PROXY TCP4 192.0.2.1 0.0.0.0 1 2\r\n"), {NULL, 0}},
    {"[::ffff:192.0.2.1]:1", "[::]:2", SLICE("PROXY TCP4 192.0.2.1 0.0.0.0 1 2\r\n"), {NULL, 0}},
    {"[::1]:1", "[::]:2", SLICE("PROXY TCP6 ::1 :: 1 2\r\n"), {NULL, 0}},
    {"[" FULL6 "]:65535",
     "[" FULL6 "]:65535",
     SLICE("PROXY TCP6 " FULL6 " " FULL6 " 65535 65535\r\n"),
     {NULL, 0}},
    /* where to is not known */
    {"192.0.2.1:1", NULL, SLICE("PROXY TCP4 192.0.2.1 0.0.0.0 1 0\r\n"),
     SLICE(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\0\0\0\0\0\1\0\0")},
    {"[::ffff:192.0.2.1]:1", NULL, SLICE("PROXY TCP4 192.0.2.1 0.0.0.0 1 0\r\n"), {NULL, 0}},
    {"[2001:db8::1]:1", NULL, SLICE("PROXY TCP6 2001:db8::1 :: 1 0\r\n"), {NULL, 0}},
    {"unix:/a", NULL, SLICE("PROXY UNKNOWN\r\n"),
     SLICE(SIGNATURE "\x21\x31\0\xd8/a" NINETY TEN "\0\0\0\0\0\0" NINETY TEN "\0\0\0\0\0\0\0\0")},
    {"unix:/a", "unix:/run/b", SLICE("PROXY UNKNOWN\r\n"),
     SLICE(SIGNATURE "\x21\x31\0\xd8/a" NINETY TEN "\0\0\0\0\0\0/run/b" NINETY TEN "\0\0")},
    /* nothing in common */
    {"unix:/a", "192.0.2.1:1", SLICE("PROXY UNKNOWN\r\n"), SLICE(SIGNATURE "\x21\0\0\0")},
    {"[2001:db8::1]:1", "unix:/a", SLICE("PROXY UNKNOWN\r\n"), SLICE(SIGNATURE "\x21\0\0\0")},
    /* our own */
    {NULL, NULL, SLICE("PROXY UNKNOWN\r\n"), SLICE(SIGNATURE "\x20\0\0\0")},
    {NULL, "192.0.2.1:1", SLICE("PROXY UNKNOWN\r\n"), SLICE(SIGNATURE "\x20\0\0\0")},
};

static struct addr addr_of(const char *text)
{
    struct addr addr = {0};
    if (text)
        CHECK_OK(addr_parse(slice_str(text), &addr));
    return addr;
}

TEST(prefaces_are_written)
{
    for (size_t i = 0; i < COUNT_OF(written); i++) {
        struct addr source = addr_of(written[i].source);
        struct addr destination = addr_of(written[i].destination);
        char bytes[PREFACE_BYTES_MAX];
        size_t length = preface_write(PREFACE_V1, &source, &destination, bytes);
        if (!CHECK(slice_equal(slice_of(bytes, length), written[i].v1)))
            print_bytes(slice_of(bytes, length));
        length = preface_write(PREFACE_V2, &source, &destination, bytes);
        if (!CHECK(written[i].v2.len == 0 || slice_equal(slice_of(bytes, length), written[i].v2)))
            print_bytes(slice_of(bytes, length));
        CHECK_EQ(0, preface_write(PREFACE_NONE, &source, &destination, bytes));
    }
}

TEST(an_unnamed_client_of_a_path_is_written)
{
    struct addr client = {.len = offsetof(struct sockaddr_un, sun_path)};
    struct addr path = addr_of("unix:/run/weir"), abstract = {.len = client.len + 5};
    struct preface preface;
    char bytes[PREFACE_BYTES_MAX];
    size_t used;
    client.any.sa_family = abstract.any.sa_family = AF_UNIX;
    memset(client.local.sun_path, 'x', sizeof client.local.sun_path); /* not its own */
    memcpy(abstract.local.sun_path, "\0name", 5);
    CHECK_EQ(PREFACE_BYTES_MAX, preface_write(PREFACE_V2, &client, &path, bytes));
    CHECK_EQ(PREFACE_DONE, parse(slice_of(bytes, sizeof bytes), &preface, &used));
    CHECK_EQ(client.len, preface.source.len);
    CHECK(addr_equal(&path, &preface.destination));
    CHECK_EQ(PREFACE_BYTES_MAX, preface_write(PREFACE_V2, &path, &abstract, bytes));
    CHECK(memcmp(bytes + 16 + 108, "\0name\0", 6) == 0);
    /* getsockname() counts a NUL for which the field has no room */
    memset(path.local.sun_path, 'p', sizeof path.local.sun_path);
    path.len = sizeof path.local + 1;
    CHECK_EQ(PREFACE_BYTES_MAX, preface_write(PREFACE_V2, &client, &path, bytes));
    CHECK_EQ('p', bytes[PREFACE_BYTES_MAX - 1]);
}

TEST(what_is_written_is_read_as_the_same)
{
    static const char *const pairs[][2] = {
        {"192.0.2.1:0", "198.51.100.2:65535"},
        {"[2001:db8::1]:1", "[::2]:2"},
        {"[::1.2.3.4]:1", "[1:2:3:4:5:6:7:8]:2"},
        {"[::ffff:192.0.2.1]:1", "[2001:db8::1]:443"},
        {"unix:/run/a", "unix:b"},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct addr source = addr_of(pairs[i][0]), destination = addr_of(pairs[i][1]);
        for (enum preface_version version = PREFACE_V1; version <= PREFACE_V2; version++) {
            struct preface preface;
            char bytes[PREFACE_BYTES_MAX];
            size_t used, length = preface_write(version, &source, &destination, bytes);
            CHECK_EQ(PREFACE_DONE, parse(slice_of(bytes, length), &preface, &used));
            CHECK_EQ(length, used);
            CHECK(!preface.is_local);
            if (version == PREFACE_V1 && addr_is_local(&source)) {
                CHECK_EQ(0, preface.source.len);
                continue;
            }
            CHECK(addr_equal(&source, &preface.source));
            CHECK(addr_equal(&destination, &preface.destination));
        }
    }
}

CHECK_MAIN
