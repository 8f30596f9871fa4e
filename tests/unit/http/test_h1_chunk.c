/* SPDX-License-Identifier: MIT */
#include "http/h1_chunk.h"
#include "tests/check.h"

#include <stdlib.h>

/* What came of a body that was given in pieces of one size. */
struct outcome {
    enum h1_chunk_result result; /* MORE, LAST or BAD */
    enum h1_fault fault;
    size_t used;
    size_t length;
    char content[8192];
};

static void decode(struct weir_slice text, size_t step, struct outcome *ret_outcome)
{
    struct h1_chunk chunk = {0};
    memset(ret_outcome, 0, offsetof(struct outcome, content));
    ret_outcome->result = H1_CHUNK_MORE;
    size_t from = 0;
    while (from < text.len) {
        size_t length = text.len - from < step ? text.len - from : step, used = 0;
        struct weir_slice content = {NULL, 0};
        char *copy = malloc(length); /* of just this size, for the sanitizer */
        memcpy(copy, text.at + from, length);
        ret_outcome->result =
            h1_chunk_next(&chunk, slice_of(copy, length), &used, &content, &ret_outcome->fault);
        if (ret_outcome->result == H1_CHUNK_DATA) {
            CHECK(content.len > 0 && content.at >= copy && content.at + content.len == copy + used);
            memcpy(ret_outcome->content + ret_outcome->length, content.at, content.len);
            ret_outcome->length += content.len;
            ret_outcome->result = H1_CHUNK_MORE;
        }
        free(copy);
        CHECK(used > 0 || ret_outcome->result == H1_CHUNK_BAD);
        from += used;
        ret_outcome->used = from;
        if (ret_outcome->result != H1_CHUNK_MORE)
            return;
    }
}

struct row {
    struct weir_slice text;
    enum h1_chunk_result result;
    enum h1_fault fault;
    const char *content;
    size_t behind; /* bytes left after the last chunk's line */
};

static const struct row rows[] = {
    {SLICE("0\r\n\r\n"), H1_CHUNK_LAST, 0, "", 2},
    {SLICE("000\r\nT: x\r\n\r\n"), H1_CHUNK_LAST, 0, "", 8},
    {SLICE("5\r\nhello\r\n0\r\n\r\n"), H1_CHUNK_LAST, 0, "hello", 2},
    {SLICE("5\r\nhello\r\n6\r\n world\r\n0\r\n"), H1_CHUNK_LAST, 0, "hello world", 0},
    {SLICE("a\r\n0123456789\r\n0\r\n"), H1_CHUNK_LAST, 0, "0123456789", 0},
    {SLICE("0A\r\n0123456789\r\n0\r\n"), H1_CHUNK_LAST, 0, "0123456789", 0},
    {SLICE("4\r\n\r\n\r\n\r\n0\r\n"), H1_CHUNK_LAST, 0, "\r\n\r\n", 0},
    {SLICE("1;a=b\r\nx\r\n0;c\r\n"), H1_CHUNK_LAST, 0, "x", 0},
    {SLICE("1 \t;a=\"b;\tc\"\r\nx\r\n0\r\n"), H1_CHUNK_LAST, 0, "x", 0},
    {SLICE("0000000000000001\r\nx\r\n0\r\n"), H1_CHUNK_LAST, 0, "x", 0},
    {SLICE("7fffffffffffffff\r\nx"), H1_CHUNK_MORE, 0, "x", 0},
    {SLICE("5\r\nhel"), H1_CHUNK_MORE, 0, "hel", 0},
    {SLICE("5\r\nhello"), H1_CHUNK_MORE, 0, "hello", 0},
    {SLICE("5\r\nhello\r\n"), H1_CHUNK_MORE, 0, "hello", 0},
    {SLICE("5"), H1_CHUNK_MORE, 0, "", 0},

    {SLICE("\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("x\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("-1\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("+1\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE(" 1\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("0x1\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("1_0\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("1 \r\nx\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("1 1\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("1,\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("g\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("@\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE(";a\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_SIZE, "", 0},
    {SLICE("\0"), H1_CHUNK_BAD, H1_FAULT_NUL, "", 0},
    {SLICE("1\n"), H1_CHUNK_BAD, H1_FAULT_BARE_LF, "", 0},
    {SLICE("\n"), H1_CHUNK_BAD, H1_FAULT_BARE_LF, "", 0},
    {SLICE("1 \n"), H1_CHUNK_BAD, H1_FAULT_BARE_LF, "", 0},
    {SLICE("1\rx"), H1_CHUNK_BAD, H1_FAULT_BARE_CR, "", 0},
    {SLICE("1\r\r\n"), H1_CHUNK_BAD, H1_FAULT_BARE_CR, "", 0},
    {SLICE("1;a\nx"), H1_CHUNK_BAD, H1_FAULT_BARE_LF, "", 0},
    {SLICE("1;a\rb\r\n"), H1_CHUNK_BAD, H1_FAULT_BARE_CR, "", 0},
    {SLICE("1;a\0\r\n"), H1_CHUNK_BAD, H1_FAULT_NUL, "", 0},
    {SLICE("1;a\x01\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_EXTENSION, "", 0},
    {SLICE("1;a\x7f\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_EXTENSION, "", 0},
    {SLICE("8000000000000000\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_OVERFLOW, "", 0},
    {SLICE("ffffffffffffffff\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_OVERFLOW, "", 0},
    {SLICE("10000000000000001\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_OVERFLOW, "", 0},
    {SLICE("00000000000000001\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_OVERFLOW, "", 0},
    {SLICE("1\r\nxy\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_END, "x", 0},
    {SLICE("1\r\nx\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_END, "x", 0},
    {SLICE("1\r\nx\r0"), H1_CHUNK_BAD, H1_FAULT_CHUNK_END, "x", 0},
    {SLICE("1\r\nx0\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_END, "x", 0},
    {SLICE("2\r\nx\r\n0\r\n"), H1_CHUNK_BAD, H1_FAULT_CHUNK_END, "x\r", 0},
};

static void check_row(const struct row *row, size_t step)
{
    static struct outcome outcome;
    decode(row->text, step, &outcome);
    bool same = outcome.result == row->result && outcome.fault == row->fault;
    if (!same)
        printf("# \"%.*s\" by %zu: result %d, fault %s\n", (int)row->text.len, row->text.at, step,
               outcome.result, h1_fault_name(outcome.fault));
    CHECK(same);
    CHECK_SLICE(slice_of(outcome.content, outcome.length), row->content);
    if (row->result != H1_CHUNK_BAD)
        CHECK_EQ(row->text.len - row->behind, outcome.used);
}

TEST(good_and_bad_bodies_in_pieces_of_every_size)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t step = 1; step <= rows[i].text.len; step++)
            check_row(&rows[i], step);
}

/* `count` lines "1;xx...x" of `line_bytes` with CRLF, each with one byte of content. */
static struct outcome *decode_lines(size_t line_bytes, unsigned count)
{
    static struct outcome outcome;
    size_t chunk_bytes = line_bytes + strlen("y\r\n");
    char *text = malloc(count * chunk_bytes);
    for (unsigned i = 0; i < count; i++) {
        char *at = text + i * chunk_bytes;
        memset(at, 'x', line_bytes);
        memcpy(at, "1;", 2);
        memcpy(at + line_bytes - 2, "\r\ny\r\n", 5);
    }
    decode(slice_of(text, count * chunk_bytes), 1000, &outcome);
    free(text);
    return &outcome;
}

TEST(a_size_line_can_be_too_long)
{
    CHECK_EQ(H1_CHUNK_MORE, decode_lines(4096, 1)->result);
    struct outcome *outcome = decode_lines(4097, 1);
    CHECK_EQ(H1_CHUNK_BAD, outcome->result);
    CHECK_EQ(H1_FAULT_CHUNK_LINE_LENGTH, outcome->fault);
}

TEST(size_lines_can_be_too_long_in_all)
{
    CHECK_EQ(H1_CHUNK_MORE, decode_lines(4096, 4)->result);
    struct outcome *outcome = decode_lines(4096, 6);
    CHECK_EQ(H1_CHUNK_BAD, outcome->result);
    CHECK_EQ(H1_FAULT_CHUNK_LINE_LENGTH, outcome->fault);
    CHECK_EQ(H1_CHUNK_MORE, decode_lines(17, 4000)->result);
}

TEST(a_fault_stays)
{
    struct h1_chunk chunk = {0};
    struct weir_slice content;
    size_t used;
    enum h1_fault fault = H1_FAULT_NONE;
    CHECK_EQ(H1_CHUNK_BAD, h1_chunk_next(&chunk, SLICE("5\n"), &used, &content, &fault));
    CHECK_EQ(H1_FAULT_BARE_LF, fault);
    fault = H1_FAULT_NONE;
    CHECK_EQ(H1_CHUNK_BAD, h1_chunk_next(&chunk, SLICE("0\r\n"), &used, &content, &fault));
    CHECK_EQ(H1_FAULT_BARE_LF, fault);
}

TEST(heads_are_written)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } heads[] = {
        {1, "1\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {255, "ff\r\n"},
        {256, "100\r\n"},
        {0x123456789abcdef0, "123456789abcdef0\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        char text[H1_CHUNK_HEAD_SIZE];
        size_t length = h1_chunk_write_head(heads[i].bytes, text);
        CHECK_SLICE(slice_of(text, length), heads[i].text);
    }
}

TEST(what_is_written_can_be_read)
{
    for (uint64_t bytes = 1; bytes < UINT64_C(1) << 62; bytes = bytes * 3 + 1) {
        struct h1_chunk chunk = {0};
        char text[H1_CHUNK_HEAD_SIZE];
        struct weir_slice content;
        size_t used;
        enum h1_fault fault;
        size_t length = h1_chunk_write_head(bytes, text);
        CHECK_EQ(H1_CHUNK_MORE,
                 h1_chunk_next(&chunk, slice_of(text, length), &used, &content, &fault));
        CHECK_EQ(bytes, chunk.left_bytes);
    }
}

CHECK_MAIN
