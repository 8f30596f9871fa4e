/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H1_WRITE_H
#define HTTP_H1_WRITE_H

/* Serialises HTTP/1.1 heads into memory of the caller's. */

#include "http/head.h"

/*
 * Each writes a whole head with its closing empty line to `at` and returns its length, or 0 when
 * `capacity` does not suffice (nothing useful was written then). The request line has the request's
 * `method_text` and, as target, its `path` (for CONNECT its authority). Names and values go out as
 * they are: they were checked when they came in, or are ours.
 */
size_t h1_write_request(const struct http_request *request, char *at, size_t capacity);
size_t h1_write_response(const struct http_response *response, char *at, size_t capacity);

/* "Name: value\r\n" for each field and the closing empty line; for trailers. */
size_t h1_write_trailers(const struct fields *fields, char *at, size_t capacity);

#endif
