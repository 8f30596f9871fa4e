/* SPDX-License-Identifier: MIT */
/*
 * The chunked coding: pieces give what the whole gives; content lies in the input; and content that
 * is coded again is decoded to itself.
 */
#include "fuzz.h"
#include "http/h1_chunk.h"

struct outcome {
    enum h1_chunk_result result;
    enum h1_fault fault;
    size_t used;
    size_t length; /* of the content */
};

/* Decodes to `content`, which has room for all of `text`; in one piece or in many. */
static struct outcome decode(struct weir_slice text, bool whole, char *content)
{
    struct h1_chunk chunk = {0};
    struct outcome outcome = {.result = H1_CHUNK_MORE};
    while (outcome.used < text.len && outcome.result == H1_CHUNK_MORE) {
        size_t step = whole ? text.len : fuzz_step(text, outcome.used), used = 0;
        size_t there = text.len - outcome.used;
        struct weir_slice input = slice_of(text.at + outcome.used, there < step ? there : step);
        char *copy = fuzz_copy(input);
        struct weir_slice piece;
        input.at = copy;
        outcome.result = h1_chunk_next(&chunk, input, &used, &piece, &outcome.fault);
        if (outcome.result == H1_CHUNK_DATA) {
            must(piece.len > 0 && fuzz_is_inside(piece, slice_of(copy, used)));
            memcpy(content + outcome.length, piece.at, piece.len);
            outcome.length += piece.len;
            outcome.result = H1_CHUNK_MORE;
        }
        must(outcome.result == H1_CHUNK_BAD || (used > 0 && used <= input.len));
        outcome.used += outcome.result == H1_CHUNK_BAD ? 0 : used;
        free(copy);
    }
    return outcome;
}

static size_t put(char *text, size_t at, struct weir_slice slice)
{
    memcpy(text + at, slice.at, slice.len);
    return at + slice.len;
}

/* Content of `length` in chunks of many sizes, decoded again. */
static void check_coded_again(const char *content, size_t length)
{
    char *text = malloc(length * 8 + 16), *again = malloc(length * 8 + 16);
    size_t bytes = 0;
    must(text && again);
    for (size_t from = 0, step = 1; from < length; from += step, step = step * 2 % 509) {
        char head[H1_CHUNK_HEAD_SIZE];
        step = length - from < step ? length - from : step;
        bytes = put(text, bytes, slice_of(head, h1_chunk_write_head(step, head)));
        bytes = put(text, bytes, slice_of(content + from, step));
        bytes = put(text, bytes, SLICE("\r\n"));
    }
    bytes = put(text, bytes, SLICE("0\r\n"));
    struct outcome outcome = decode(slice_of(text, bytes), false, again);
    must(outcome.result == H1_CHUNK_LAST && outcome.used == bytes && outcome.length == length);
    must(memcmp(again, content, length) == 0);
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct weir_slice text = slice_of((const char *)bytes, size);
    char *content = malloc(size + 1), *other = malloc(size + 1);
    must(content && other);
    struct outcome whole = decode(text, true, content);
    struct outcome pieces = decode(text, false, other);
    must(whole.result == pieces.result && whole.fault == pieces.fault);
    must(whole.length == pieces.length && memcmp(content, other, whole.length) == 0);
    must(whole.result == H1_CHUNK_BAD || whole.used == pieces.used);
    check_coded_again(content, whole.length);
    free(content);
    free(other);
    return 0;
}
