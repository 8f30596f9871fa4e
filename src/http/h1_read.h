/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H1_READ_H
#define HTTP_H1_READ_H

/*
 * The parts of the HTTP/1 parser; for floor http only.
 *
 * They read from left to right, and a fault is found by the bytes up to it alone. So more bytes
 * never change a fault, and a head that comes in pieces ends as the whole one does.
 */

#include "http/h1_parse.h"

struct h1_reader {
    const char *at;      /* begin of what is not read yet; moves by whole lines */
    const char *end;     /* of the bytes that may be looked at */
    enum h1_fault fault; /* set with H1_BAD */
};

/*
 * What it means that reading stopped at `at`, where no byte that stands there is good: H1_MORE at
 * the end of the bytes, or else H1_BAD with a fault of the bytes that are wrong everywhere or
 * `otherwise`.
 */
enum h1_result h1_read_stopped(struct h1_reader *reader, const char *at, enum h1_fault otherwise);

/* A field line, or the empty line at the end of a section, which gives an empty name. */
enum h1_result h1_read_field(struct h1_reader *reader, struct field *ret_field);

/* Field lines and the empty line behind them. */
enum h1_result h1_read_fields(struct h1_reader *reader, uint32_t limit, struct fields *ret_fields);

/* What is wrong with `target`; else it is taken apart into form, scheme, authority and path. */
enum h1_fault h1_read_target(struct http_request *request);

/* What is wrong with Host; else it becomes the authority where the target has none. */
enum h1_fault h1_read_host(struct http_request *request);

#endif
