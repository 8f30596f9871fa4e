/* SPDX-License-Identifier: MIT */
#include "http/h1_write.h"

/* Appends; the caller has seen to it that there is room. */
static char *put(char *at, struct weir_slice slice)
{
    if (slice.len > 0)
        memcpy(at, slice.at, slice.len);
    return at + slice.len;
}

static size_t fields_bytes(const struct fields *fields)
{
    size_t bytes = SLICE("\r\n").len;
    fields_each (field, fields)
        bytes += field->name.len + field->value.len + SLICE(": \r\n").len;
    return bytes;
}

static char *put_fields(char *at, const struct fields *fields)
{
    fields_each (field, fields) {
        at = put(at, field->name);
        at = put(at, SLICE(": "));
        at = put(at, field->value);
        at = put(at, SLICE("\r\n"));
    }
    return put(at, SLICE("\r\n"));
}

size_t h1_write_request(const struct http_request *request, char *at, size_t capacity)
{
    struct weir_slice target =
        request->form == TARGET_AUTHORITY ? request->authority : request->path;
    size_t bytes = request->method_text.len + target.len + SLICE("  HTTP/1.1\r\n").len +
                   fields_bytes(&request->fields);
    if (bytes > capacity)
        return 0;
    at = put(at, request->method_text);
    at = put(at, SLICE(" "));
    at = put(at, target);
    at = put(at, SLICE(" HTTP/1.1\r\n"));
    put_fields(at, &request->fields);
    return bytes;
}

size_t h1_write_response(const struct http_response *response, char *at, size_t capacity)
{
    size_t bytes =
        SLICE("HTTP/1.1 200 \r\n").len + response->reason.len + fields_bytes(&response->fields);
    unsigned status = response->status;
    if (bytes > capacity)
        return 0;
    at = put(at, SLICE("HTTP/1.1 "));
    *at++ = (char)('0' + status / 100 % 10);
    *at++ = (char)('0' + status / 10 % 10);
    *at++ = (char)('0' + status % 10);
    *at++ = ' ';
    at = put(at, response->reason);
    at = put(at, SLICE("\r\n"));
    put_fields(at, &response->fields);
    return bytes;
}

size_t h1_write_trailers(const struct fields *fields, char *at, size_t capacity)
{
    size_t bytes = fields_bytes(fields);
    if (bytes > capacity)
        return 0;
    put_fields(at, fields);
    return bytes;
}
