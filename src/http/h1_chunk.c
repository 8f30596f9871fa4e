/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "http/h1_chunk.h"
#include "http/scan.h"

enum {
    LINE_BYTES_MAX = 4096,
    SPARE_BYTES_MAX = 16 * 1024,
    SIZE_DIGITS_MAX = 16,
    LINE_BYTES_FREE = 16, /* what a size line may take without being weighed */
};

/* STATE_SIZE is 0: a zeroed chunk begins there. */
enum state {
    STATE_SIZE,  /* digits of the size */
    STATE_SPACE, /* bad whitespace behind them: only ';' makes it good (RFC 9112 section 7.1.1) */
    STATE_EXTENSION,  /* from ';' to CR */
    STATE_SIZE_LF,    /* the LF of the size line */
    STATE_CONTENT,    /* left_bytes of the chunk are to come */
    STATE_CONTENT_CR, /* the CR behind them */
    STATE_CONTENT_LF,
    STATE_END, /* nothing more may be read */
};

/* A size line byte that no state wants. */
static enum h1_fault fault_of(char byte, enum h1_fault otherwise)
{
    if (byte == '\0')
        return H1_FAULT_NUL;
    return byte == '\n' ? H1_FAULT_BARE_LF : otherwise;
}

/* 16 for what is no hexadecimal digit. */
static unsigned digit_of(char byte)
{
    unsigned lower = (unsigned char)byte | 0x20u;
    if (byte >= '0' && byte <= '9')
        return (unsigned)(byte - '0');
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 16;
}

static enum h1_fault read_digit(struct h1_chunk *chunk, unsigned digit)
{
    /* 2^63 and more would be negative to some readers */
    if (chunk->digit_count == SIZE_DIGITS_MAX || chunk->left_bytes >= UINT64_C(1) << 59)
        return H1_FAULT_CHUNK_OVERFLOW;
    chunk->digit_count++;
    chunk->left_bytes = chunk->left_bytes * 16 + digit;
    return H1_FAULT_NONE;
}

/* One byte of the size line up to its CR. */
static enum h1_fault read_line_byte(struct h1_chunk *chunk, char byte)
{
    unsigned digit = digit_of(byte);
    if (chunk->state == STATE_SIZE && digit < 16)
        return read_digit(chunk, digit);
    if (chunk->digit_count == 0)
        return fault_of(byte, H1_FAULT_CHUNK_SIZE);
    if (byte == '\r' && chunk->state != STATE_SPACE)
        chunk->state = STATE_SIZE_LF;
    else if (byte == ';' || chunk->state == STATE_EXTENSION)
        chunk->state = STATE_EXTENSION;
    else if (byte == ' ' || byte == '\t')
        chunk->state = STATE_SPACE;
    else
        return fault_of(byte, H1_FAULT_CHUNK_SIZE);
    if (chunk->state == STATE_EXTENSION && !scan_is_value[(unsigned char)byte])
        return fault_of(byte, H1_FAULT_CHUNK_EXTENSION);
    return H1_FAULT_NONE;
}

/* Long extensions on tiny chunks: each line is weighed against the content that it brings. */
static enum h1_fault weigh_line(struct h1_chunk *chunk)
{
    uint64_t warranted = chunk->left_bytes + LINE_BYTES_FREE;
    uint64_t bytes = (uint64_t)chunk->spare_bytes + chunk->line_bytes;
    chunk->spare_bytes = bytes > warranted ? (uint32_t)(bytes - warranted) : 0;
    return chunk->spare_bytes > SPARE_BYTES_MAX ? H1_FAULT_CHUNK_LINE_LENGTH : H1_FAULT_NONE;
}

static enum h1_fault end_line(struct h1_chunk *chunk, char byte)
{
    if (byte != '\n')
        return H1_FAULT_BARE_CR;
    chunk->state = chunk->left_bytes > 0 ? STATE_CONTENT : STATE_END;
    return weigh_line(chunk);
}

static enum h1_fault end_content(struct h1_chunk *chunk, char byte)
{
    bool is_cr_due = chunk->state == STATE_CONTENT_CR;
    if (byte != (is_cr_due ? '\r' : '\n'))
        return H1_FAULT_CHUNK_END;
    if (is_cr_due)
        chunk->state = STATE_CONTENT_LF;
    else
        *chunk = (struct h1_chunk){.state = STATE_SIZE, .spare_bytes = chunk->spare_bytes};
    return H1_FAULT_NONE;
}

/* One byte that is not content. */
static enum h1_fault read_byte(struct h1_chunk *chunk, char byte)
{
    if (chunk->state == STATE_CONTENT_CR || chunk->state == STATE_CONTENT_LF)
        return end_content(chunk, byte);
    if (++chunk->line_bytes > LINE_BYTES_MAX)
        return H1_FAULT_CHUNK_LINE_LENGTH;
    return chunk->state == STATE_SIZE_LF ? end_line(chunk, byte) : read_line_byte(chunk, byte);
}

enum h1_chunk_result h1_chunk_next(struct h1_chunk *chunk, struct weir_slice input,
                                   size_t *ret_used, struct weir_slice *ret_content,
                                   enum h1_fault *ret_fault)
{
    if (chunk->fault != H1_FAULT_NONE) {
        *ret_fault = (enum h1_fault)chunk->fault;
        return H1_CHUNK_BAD;
    }
    must(chunk->state != STATE_END);
    for (size_t used = 0; used < input.len; used++) {
        if (chunk->state == STATE_CONTENT) {
            size_t there = input.len - used;
            size_t bytes = chunk->left_bytes < there ? (size_t)chunk->left_bytes : there;
            *ret_content = slice_of(input.at + used, bytes);
            *ret_used = used + bytes;
            chunk->left_bytes -= bytes;
            chunk->state = chunk->left_bytes == 0 ? STATE_CONTENT_CR : STATE_CONTENT;
            return H1_CHUNK_DATA;
        }
        enum h1_fault fault = read_byte(chunk, input.at[used]);
        if (fault != H1_FAULT_NONE) {
            chunk->fault = (uint8_t)fault;
            *ret_fault = fault;
            return H1_CHUNK_BAD;
        }
        if (chunk->state == STATE_END) {
            *ret_used = used + 1;
            return H1_CHUNK_LAST;
        }
    }
    *ret_used = input.len;
    return H1_CHUNK_MORE;
}

size_t h1_chunk_write_head(uint64_t bytes, char ret_text[static H1_CHUNK_HEAD_SIZE])
{
    must(bytes > 0);
    size_t length = 0;
    for (unsigned shift = 64 - ((unsigned)__builtin_clzll(bytes) & ~3u); shift > 0;) {
        shift -= 4;
        ret_text[length++] = "0123456789abcdef"[(bytes >> shift) & 15];
    }
    ret_text[length++] = '\r';
    ret_text[length++] = '\n';
    return length;
}
