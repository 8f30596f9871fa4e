/* SPDX-License-Identifier: MIT */
/*
 * Request heads: pieces give what the whole gives; what is read lies in the input; what is written
 * is read again as the same; and what hop_request passes on is read with the framing that came.
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

static struct http_request whole_request, piece_request, again_request;
static char written[WRITTEN_BYTES];

static struct outcome parse(struct weir_slice text, struct h1_cursor *cursor,
                            struct http_request *request)
{
    struct outcome outcome = {.fault = H1_FAULT_NONE};
    struct h1_limits limits;
    h1_limits_init(&limits);
    limits.head_bytes = 2048; /* so that limits are met by what a fuzzer makes */
    limits.target_bytes = 256;
    limits.fields = 64;
    outcome.result =
        h1_parse_request(text, cursor, &limits, request, &outcome.bytes, &outcome.fault);
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
        outcome = parse(slice_of(copy, length), &cursor, &piece_request);
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

static void check_inside(const struct http_request *request, struct weir_slice text)
{
    must(fuzz_is_inside(request->method_text, text) && fuzz_is_inside(request->target, text));
    must(request->authority.len == 0 || fuzz_is_inside(request->authority, text));
    must(request->path.len <= 1 || fuzz_is_inside(request->path, text));
    fuzz_fields_inside(&request->fields, text);
}

static struct outcome write_and_parse(const struct http_request *request)
{
    struct h1_cursor cursor = {0};
    size_t length = h1_write_request(request, written, sizeof(written));
    must(length > 0);
    struct outcome outcome = {.fault = H1_FAULT_NONE};
    struct h1_limits limits;
    h1_limits_init(&limits);
    outcome.result = h1_parse_request(slice_of(written, length), &cursor, &limits, &again_request,
                                      &outcome.bytes, &outcome.fault);
    must(outcome.result != H1_DONE || outcome.bytes == length);
    return outcome;
}

static void check_written(const struct http_request *request)
{
    struct outcome again = write_and_parse(request);
    if (request->minor == 0 && !fields_have(&request->fields, FIELD_HOST)) {
        must(again.fault == H1_FAULT_HOST_MISSING); /* ours is HTTP/1.1 */
        return;
    }
    must(again.result == H1_DONE);
    must(again_request.method == request->method);
    must(slice_equal(again_request.method_text, request->method_text));
    must(slice_equal(again_request.path, request->path));
    fuzz_fields_same(&again_request.fields, &request->fields);
}

static void check_passed_on(struct http_request *request, struct arena *arena)
{
    const struct hop_from from = {SLICE("10.0.0.9"), SLICE("http")};
    struct http_framing framing, again;
    if (framing_of_request(request, &framing) != H1_FAULT_NONE)
        return;
    enum weir_err err = hop_request(request, &framing, false, &from, arena);
    must(err == WEIR_OK || err == WEIR_E_REQUEST_HEAD_LENGTH);
    if (err != WEIR_OK)
        return;
    must(write_and_parse(request).result == H1_DONE);
    must(framing_of_request(&again_request, &again) == H1_FAULT_NONE);
    must(again.body == framing.body && again.length == framing.length);
    must(slice_equal(again_request.authority, request->authority));
    must(!fields_have(&again_request.fields, FIELD_UPGRADE));
    must(!fields_list_has(&again_request.fields, FIELD_CONNECTION, SLICE("close")));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct h1_cursor cursor = {0};
    struct weir_slice input = slice_of((const char *)bytes, size);
    char *copy = fuzz_copy(input);
    struct weir_slice text = slice_of(copy, size);
    struct outcome whole = parse(text, &cursor, &whole_request);
    check_pieces(text, whole);
    if (whole.result == H1_DONE) {
        struct arena_cache cache;
        struct arena arena;
        must(whole.bytes <= size);
        check_inside(&whole_request, text);
        check_written(&whole_request);
        arena_cache_init(&cache);
        arena_init(&arena, &cache, 64 * 1024);
        check_passed_on(&whole_request, &arena);
        arena_fini(&arena);
        arena_cache_fini(&cache);
    }
    free(copy);
    return 0;
}
