/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H1_PARSE_H
#define HTTP_H1_PARSE_H

/*
 * Reads HTTP/1 heads (RFC 9112). Strict: what the grammar does not allow is a fault, never
 * repaired, because a proxy that repairs what its neighbour reads otherwise lets requests be
 * smuggled. Pure: bytes in, a head out; no allocation, no clock. The slices of a head view the
 * input.
 *
 * Incremental: give the same bytes and more until the answer is not H1_MORE; the cursor remembers
 * what was looked at, so that a head which comes byte by byte costs no more than one that comes
 * whole.
 */

#include "http/head.h"

#include <weir/err.h>

/* What is wrong with a message; a row each in fault.def: name, request error, response error, text.
 */
enum h1_fault {
    H1_FAULT_NONE,
#define X(NAME, name, request_err, response_err, text) H1_FAULT_##NAME,
#include "http/fault.def"
#undef X
    H1_FAULT_COUNT
};

const char *h1_fault_name(enum h1_fault fault);
const char *h1_fault_text(enum h1_fault fault);
enum weir_err h1_fault_request_err(enum h1_fault fault);
enum weir_err h1_fault_response_err(enum h1_fault fault);

enum h1_result {
    H1_DONE, /* a whole head; *ret_bytes of the input are its */
    H1_MORE, /* sound so far, not whole */
    H1_BAD,  /* *ret_fault says what is wrong */
};

struct h1_limits {
    uint32_t head_bytes;   /* start line and fields together */
    uint32_t target_bytes; /* of a request */
    uint32_t fields;       /* at most FIELDS_MAX */
};

/* Zero it before each head. */
struct h1_cursor {
    size_t scanned;  /* bytes in which every LF has been seen */
    size_t line;     /* where the first line begins that is not whole */
    uint32_t fields; /* lines of fields before it */
    bool started;    /* the start line is before it */
};

/* 32 KiB, 8 KiB and FIELDS_MAX. */
void h1_limits_init(struct h1_limits *limits);

/*
 * All three work in the head that they are given: it means something only after H1_DONE. A fault is
 * told as soon as its line is whole, and is the same however the bytes were cut.
 *
 * One empty line before the request line is skipped (RFC 9112 section 2.2) and counts in
 * *ret_bytes. Host is checked too: exactly one in HTTP/1.1 and well-formed (section 3.2).
 */
enum h1_result h1_parse_request(struct weir_slice input, struct h1_cursor *cursor,
                                const struct h1_limits *limits, struct http_request *ret_request,
                                size_t *ret_bytes, enum h1_fault *ret_fault);

enum h1_result h1_parse_response(struct weir_slice input, struct h1_cursor *cursor,
                                 const struct h1_limits *limits, struct http_response *ret_response,
                                 size_t *ret_bytes, enum h1_fault *ret_fault);

/* The trailer section of a chunked body, its closing empty line included (RFC 9112 section 7.1.2).
 */
enum h1_result h1_parse_trailers(struct weir_slice input, struct h1_cursor *cursor,
                                 const struct h1_limits *limits, struct fields *ret_fields,
                                 size_t *ret_bytes, enum h1_fault *ret_fault);

#endif
