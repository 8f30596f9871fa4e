/* SPDX-License-Identifier: MIT */
/*
 * Heads of HTTP/2, as lines "name: value" ('!' in front: never to be indexed), of which nghttp2
 * would let the regular fields pass. What is made of them goes out in HTTP/2 and comes back as the
 * same; a request and its framing are read as the same by who speaks HTTP/1.
 */
#include "fuzz.h"
#include "http/h1_write.h"
#include "http/h2_head.h"
#include "http/hop.h"

enum { WRITTEN_BYTES = 256 * 1024, ARENA_BYTES = 1024 * 1024, HEAD_BYTES = 2048 };

static struct http_request request, request_again;
static struct http_response response, response_again;
static struct fields trailers, trailers_again;
static char written[WRITTEN_BYTES];

static bool passes(struct weir_slice name, struct weir_slice value)
{
    if (name.len > 0 && name.at[0] == ':')
        return true;
    return nghttp2_check_header_name((const uint8_t *)name.at, name.len) &&
           nghttp2_check_header_value_rfc9113((const uint8_t *)value.at, value.len);
}

static void add_text(struct h2_head *head, struct weir_slice text)
{
    for (size_t length; text.len > 0; text = slice_skip(text, length)) {
        length = slice_find(text, '\n');
        struct weir_slice line = slice_of(text.at, length);
        length += length < text.len;
        bool secret = line.len > 0 && line.at[0] == '!';
        if (secret)
            line = slice_skip(line, 1);
        if (line.len == 0)
            continue;
        size_t colon = 1 + slice_find(slice_skip(line, 1), ':');
        size_t front = line.len - colon < 2 ? line.len : colon + 2;
        struct weir_slice name = slice_of(line.at, colon), value = slice_skip(line, front);
        if (passes(name, value))
            h2_head_add(head, name, value, secret);
    }
}

static void add_lines(struct h2_head *head, const struct h2_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        const nghttp2_nv *line = &lines->at[i];
        struct weir_slice name = slice_of((const char *)line->name, line->namelen);
        struct weir_slice value = slice_of((const char *)line->value, line->valuelen);
        must(passes(name, value));
        must(name.at[0] != ':' || i == 0 || ((const char *)lines->at[i - 1].name)[0] == ':');
        h2_head_add(head, name, value, line->flags & NGHTTP2_NV_FLAG_NO_INDEX);
    }
}

/* What HTTP/2 does not send on. TE is nothing but "trailers" where nghttp2 has looked. */
static bool stays_behind(const struct field *field)
{
    return field->id == FIELD_TE || field->id == FIELD_HTTP2_SETTINGS || field->id == FIELD_HOST ||
           field->id == FIELD_CONNECTION || field->id == FIELD_KEEP_ALIVE ||
           field->id == FIELD_PROXY_CONNECTION || field->id == FIELD_TRANSFER_ENCODING ||
           field->id == FIELD_UPGRADE;
}

/* The next field from `index` that is compared. */
static const struct field *next_field(const struct fields *fields, uint32_t *index, bool all)
{
    while (*index < fields->count) {
        const struct field *field = &fields->at[(*index)++];
        must(field->id == field_id_of(field->name) || field->name.len == 0);
        if (field->name.len > 0 && (all || !stays_behind(field)))
            return field;
    }
    return NULL;
}

/* `all`: as HTTP/1 sends them, which knows no secrets. */
static void check_same_fields(const struct fields *a, const struct fields *b, bool all)
{
    uint32_t index_a = 0, index_b = 0;
    for (;;) {
        const struct field *in = next_field(a, &index_a, all);
        const struct field *out = next_field(b, &index_b, all);
        must(!in == !out);
        if (!in)
            return;
        must(slice_equal(in->name, out->name) && slice_equal(in->value, out->value));
        must(in->never_index == out->never_index || all);
    }
}

static void check_request_in_h2(struct arena *arena)
{
    struct h2_lines lines;
    struct h2_head head;
    must(h2_lines_of_request(&request, SLICE("https"), arena, &lines) == WEIR_OK);
    must(lines.count <= FIELDS_MAX + 4);
    h2_head_begin(&head, &request_again.fields, arena, SIZE_MAX);
    add_lines(&head, &lines);
    must(h2_head_request(&head, &request_again) == WEIR_OK);
    must(request_again.method == request.method && request_again.form == request.form);
    must(slice_equal(request_again.method_text, request.method_text));
    must(slice_equal(request_again.target, request.target));
    must(slice_equal(request_again.authority, request.authority));
    must(slice_equal(request_again.path, request.path));
    check_same_fields(&request.fields, &request_again.fields, false);
}

static void check_request_in_h1(struct http_framing *framing, struct arena *arena)
{
    const struct hop_from from = {SLICE("10.0.0.9"), SLICE("http")};
    const struct h1_limits limits = {WRITTEN_BYTES, WRITTEN_BYTES, FIELDS_MAX};
    struct h1_cursor cursor = {0};
    struct http_framing again;
    enum h1_fault fault;
    size_t bytes;
    enum weir_err err = hop_request(&request, framing, false, &from, arena);
    must(err == WEIR_OK || err == WEIR_E_REQUEST_HEAD_LENGTH);
    if (err || request.form == TARGET_AUTHORITY)
        return;
    size_t length = h1_write_request(&request, written, sizeof written);
    must(length > 0);
    must(h1_parse_request(slice_of(written, length), &cursor, &limits, &request_again, &bytes,
                          &fault) == H1_DONE);
    must(bytes == length && request_again.method == request.method);
    must(slice_equal(request_again.method_text, request.method_text));
    must(slice_equal(request_again.authority, request.authority));
    must(slice_equal(request_again.path, request.path));
    check_same_fields(&request.fields, &request_again.fields, true);
    must(framing_of_request(&request_again, &again) == H1_FAULT_NONE);
    must(again.body == framing->body && again.length == framing->length);
}

static void check_request(struct weir_slice text, bool ended, struct arena *arena)
{
    struct h2_head head;
    struct http_framing framing;
    h2_head_begin(&head, &request.fields, arena, HEAD_BYTES);
    add_text(&head, text);
    enum weir_err err = h2_head_request(&head, &request);
    if (err) {
        must(request.fields.count == 0);
        must(err == WEIR_E_REQUEST_MALFORMED || err == WEIR_E_REQUEST_METHOD ||
             err == WEIR_E_REQUEST_TARGET_LENGTH || err == WEIR_E_REQUEST_HEAD_LENGTH);
        return;
    }
    must(head.bytes <= HEAD_BYTES && !fields_have(&request.fields, FIELD_HOST));
    must(request.authority.len > 0 && request.target.len > 0);
    check_request_in_h2(arena);
    err = h2_framing_of_request(&request, ended, &framing);
    must(err == WEIR_OK || err == WEIR_E_REQUEST_MALFORMED);
    if (!err)
        check_request_in_h1(&framing, arena);
}

static void check_response(struct weir_slice text, bool ended, struct arena *arena)
{
    struct h2_head head;
    struct h2_lines lines;
    struct http_framing framing;
    h2_head_begin(&head, &response.fields, arena, HEAD_BYTES);
    add_text(&head, text);
    enum weir_err err = h2_head_response(&head, &response);
    must(err == WEIR_OK || response.fields.count == 0);
    must(err == WEIR_OK || err == WEIR_E_RESPONSE_MALFORMED || err == WEIR_E_RESPONSE_HEAD_LENGTH);
    if (err)
        return;
    must(response.status >= 100 && response.status <= 599);
    must(h2_lines_of_response(&response, true, arena, &lines) == WEIR_OK);
    h2_head_begin(&head, &response_again.fields, arena, SIZE_MAX);
    add_lines(&head, &lines);
    must(h2_head_response(&head, &response_again) == WEIR_OK);
    must(response_again.status == response.status);
    check_same_fields(&response.fields, &response_again.fields, false);
    err = h2_framing_of_response(&response, METHOD_GET, ended, &framing);
    must(err == WEIR_OK || err == WEIR_E_RESPONSE_MALFORMED);
    must(err || (framing.body != BODY_UNTIL_CLOSE && !framing.doubtful));
    must(err || !ended || framing.length == 0);
}

static void check_trailers(struct weir_slice text, struct arena *arena)
{
    struct h2_head head;
    struct h2_lines lines;
    h2_head_begin(&head, &trailers, arena, HEAD_BYTES);
    add_text(&head, text);
    hop_trailers(&trailers);
    must(h2_lines_of_trailers(&trailers, arena, &lines) == WEIR_OK);
    h2_head_begin(&head, &trailers_again, arena, SIZE_MAX);
    add_lines(&head, &lines);
    must(head.err == WEIR_OK);
    check_same_fields(&trailers, &trailers_again, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena_cache cache;
    struct arena arena;
    char *copy = fuzz_copy(slice_of((const char *)bytes, size));
    struct weir_slice text = slice_of(copy, size);
    arena_cache_init(&cache);
    arena_init(&arena, &cache, ARENA_BYTES);
    check_request(text, size % 2 == 0, &arena);
    check_response(text, size % 2 == 0, &arena);
    check_trailers(text, &arena);
    arena_fini(&arena);
    arena_cache_fini(&cache);
    free(copy);
    return 0;
}
