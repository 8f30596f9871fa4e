/* SPDX-License-Identifier: MIT */
/* Request targets and Host (RFC 9112 sections 3.2 and 3.3). */
#include "http/h1_read.h"

/* Authority form: host and port, both needed and the port not 0 (RFC 9110 section 9.3.6). */
static enum h1_fault read_authority_form(struct http_request *request)
{
    struct weir_slice host, port;
    uint64_t number;
    if (!http_authority_split(request->target, &host, &port) || host.len == 0 ||
        !slice_to_u64(port, &number) || number == 0)
        return H1_FAULT_TARGET_AUTHORITY;
    request->form = TARGET_AUTHORITY;
    request->authority = request->target;
    return H1_FAULT_NONE;
}

/* The length of "http://" or "https://" at the front, in any case; 0: neither. */
static size_t scheme_prefix(struct weir_slice target)
{
    const struct weir_slice prefixes[] = {SLICE("http://"), SLICE("https://")};
    for (size_t i = 0; i < 2; i++)
        if (target.len >= prefixes[i].len &&
            slice_equal_nocase(slice_of(target.at, prefixes[i].len), prefixes[i]))
            return prefixes[i].len;
    return 0;
}

static enum h1_fault read_absolute_form(struct http_request *request)
{
    size_t prefix = scheme_prefix(request->target);
    struct weir_slice rest = slice_skip(request->target, prefix), host, port;
    if (prefix == 0) {
        bool is_authority = http_authority_split(request->target, &host, &port);
        return is_authority ? H1_FAULT_TARGET_FORM : H1_FAULT_TARGET;
    }
    size_t length = 0;
    while (length < rest.len && rest.at[length] != '/' && rest.at[length] != '?')
        length++;
    /* userinfo is not in that grammar, as RFC 9110 section 4.2.4 wants it treated */
    if (!http_authority_split(slice_of(rest.at, length), &host, &port) || host.len == 0)
        return H1_FAULT_TARGET_AUTHORITY;
    request->form = TARGET_ABSOLUTE;
    request->scheme = slice_of(request->target.at, prefix - SLICE("://").len);
    request->authority = slice_of(rest.at, length);
    request->path = slice_skip(rest, length);
    /* RFC 9112 section 3.2.4 */
    if (request->path.len == 0)
        request->path = request->method == METHOD_OPTIONS ? SLICE("*") : SLICE("/");
    /* "http://host?query": nobody sends it, and its path "/?query" is not in the input to be viewed
     */
    return request->path.at[0] == '?' ? H1_FAULT_TARGET : H1_FAULT_NONE;
}

enum h1_fault h1_read_target(struct http_request *request)
{
    struct weir_slice target = request->target;
    request->scheme = request->authority = request->path = SLICE("");
    if (target.at[0] == '/') {
        request->form = TARGET_ORIGIN;
        request->path = target;
        return request->method == METHOD_CONNECT ? H1_FAULT_TARGET_FORM : H1_FAULT_NONE;
    }
    if (slice_equal(target, SLICE("*"))) {
        request->form = TARGET_ASTERISK;
        request->path = target;
        return request->method == METHOD_OPTIONS ? H1_FAULT_NONE : H1_FAULT_TARGET_FORM;
    }
    if (request->method == METHOD_CONNECT)
        return read_authority_form(request);
    return read_absolute_form(request);
}

enum h1_fault h1_read_host(struct http_request *request)
{
    const struct fields *fields = &request->fields;
    const struct field *first = fields_find(fields, FIELD_HOST);
    struct weir_slice host, port;
    if (!first)
        return request->minor == 0 ? H1_FAULT_NONE : H1_FAULT_HOST_MISSING;
    for (const struct field *next = first + 1; next < fields->at + fields->count; next++)
        if (next->id == FIELD_HOST)
            return H1_FAULT_HOST_DOUBLED;
    /* Empty is what a client sends that has no authority to name (RFC 9110 section 7.2). */
    if (!http_authority_split(first->value, &host, &port) ||
        (host.len == 0 && first->value.len > 0))
        return H1_FAULT_HOST;
    if (request->form == TARGET_ORIGIN || request->form == TARGET_ASTERISK)
        request->authority = first->value;
    return H1_FAULT_NONE;
}
