/* SPDX-License-Identifier: MIT */
/*
 * Response heads and trailers: pieces give what the whole gives; what is read lies in the input;
 * what is written is read again as the same, also when hop_response has passed it on.
 */
#include "fuzz.h"
#include "http/h1_write.h"
#include "http/hop.h"

enum { WRITTEN_BYTES = 256 * 1024 };

struct outcome {
    enum h1_result result;
    enum h1_fault fault;
    size_t bytes;
};

static struct http_response whole_response, piece_response, again_response;
static struct fields trailers, again_trailers;
static char written[WRITTEN_BYTES];

static struct outcome parse(struct weir_slice text, struct h1_cursor *cursor,
                            struct http_response *response)
{
    struct outcome outcome = {.fault = H1_FAULT_NONE};
    struct h1_limits limits;
    h1_limits_init(&limits);
    limits.head_bytes = 2048; /* so that limits are met by what a fuzzer makes */
    limits.fields = 64;
    outcome.result =
        h1_parse_response(text, cursor, &limits, response, &outcome.bytes, &outcome.fault);
    return outcome;
}

static struct outcome parse_piecewise(struct weir_slice text)
{
    struct h1_cursor cursor = {0};
    struct outcome outcome = {.result = H1_MORE};
    for (size_t length = 0; length < text.len && outcome.result == H1_MORE;) {
        size_t step = fuzz_step(text, length);
        length = text.len - length < step ? text.len : length + step;
        char *copy = fuzz_copy(slice_of(text.at, length));
        outcome = parse(slice_of(copy, length), &cursor, &piece_response);
        free(copy);
    }
    return outcome;
}

static void check_pieces(struct weir_slice text, struct outcome whole)
{
    struct outcome pieces = parse_piecewise(text);
    bool line_is_open = text.len > 0 && text.at[text.len - 1] != '\n';
    if (pieces.result == H1_MORE && whole.result == H1_BAD && line_is_open)
        return; /* the fault is told when the line is whole */
    must(pieces.result == whole.result && pieces.fault == whole.fault);
    must(whole.result != H1_DONE || pieces.bytes == whole.bytes);
}

static void write_and_parse(const struct http_response *response)
{
    struct h1_cursor cursor = {0};
    struct h1_limits limits;
    size_t bytes, length = h1_write_response(response, written, sizeof(written));
    enum h1_fault fault;
    must(length > 0);
    h1_limits_init(&limits);
    must(h1_parse_response(slice_of(written, length), &cursor, &limits, &again_response, &bytes,
                           &fault) == H1_DONE);
    must(bytes == length);
    must(again_response.status == response->status && again_response.minor == 1);
    must(slice_equal(again_response.reason, response->reason));
}

static void check_framing(const struct http_response *response)
{
    static const enum http_method methods[] = {METHOD_GET, METHOD_HEAD, METHOD_CONNECT};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        struct http_framing framing;
        if (framing_of_response(response, methods[i], &framing) != H1_FAULT_NONE)
            continue;
        must(framing.length == 0 || framing.body == BODY_LENGTH);
        must(framing.length <= INT64_MAX);
    }
}

static void check_passed_on(struct http_response *response, struct arena *arena)
{
    enum weir_err err = hop_response(response, false, arena);
    must(err == WEIR_OK || err == WEIR_E_RESPONSE_HEAD_LENGTH);
    if (err != WEIR_OK)
        return;
    write_and_parse(response);
    must(!fields_have(&again_response.fields, FIELD_CONNECTION));
    must(!fields_have(&again_response.fields, FIELD_TRANSFER_ENCODING));
}

static void check_trailers(struct weir_slice text)
{
    struct h1_cursor cursor = {0}, again = {0};
    struct h1_limits limits;
    size_t bytes;
    enum h1_fault fault;
    h1_limits_init(&limits);
    if (h1_parse_trailers(text, &cursor, &limits, &trailers, &bytes, &fault) != H1_DONE)
        return;
    fuzz_fields_inside(&trailers, text);
    size_t length = h1_write_trailers(&trailers, written, sizeof(written));
    must(h1_parse_trailers(slice_of(written, length), &again, &limits, &again_trailers, &bytes,
                           &fault) == H1_DONE);
    must(bytes == length);
    fuzz_fields_same(&trailers, &again_trailers);
    hop_trailers(&trailers);
    must(!fields_have(&trailers, FIELD_CONTENT_LENGTH));
}

static void check_response(struct weir_slice text)
{
    struct arena_cache cache;
    struct arena arena;
    fuzz_fields_inside(&whole_response.fields, text);
    must(whole_response.reason.len == 0 || fuzz_is_inside(whole_response.reason, text));
    write_and_parse(&whole_response);
    fuzz_fields_same(&again_response.fields, &whole_response.fields);
    check_framing(&whole_response);
    arena_cache_init(&cache);
    arena_init(&arena, &cache, 64 * 1024);
    check_passed_on(&whole_response, &arena);
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct h1_cursor cursor = {0};
    char *copy = fuzz_copy(slice_of((const char *)bytes, size));
    struct weir_slice text = slice_of(copy, size);
    struct outcome whole = parse(text, &cursor, &whole_response);
    check_pieces(text, whole);
    if (whole.result == H1_DONE) {
        must(whole.bytes <= size);
        check_response(text);
        check_trailers(slice_skip(text, whole.bytes));
    }
    check_trailers(text);
    free(copy);
    return 0;
}
