/* SPDX-License-Identifier: MIT */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

/*
 * How long a message's body is, as a ladder in the order of RFC 9112 section 6.3, and what its head
 * says of the connection (section 9.3). Pure.
 */

#include "http/h1_parse.h"

enum http_body {
    BODY_NONE,   /* there is none, whatever the fields say */
    BODY_LENGTH, /* `length` bytes, possibly 0 */
    BODY_CHUNKED,
    BODY_UNTIL_CLOSE, /* responses only */
    BODY_TUNNEL,      /* 101, or 2xx to CONNECT: bytes until either side ends */
};

struct http_framing {
    enum http_body body;
    uint64_t length;
    bool doubtful; /* readable, but another reader might see another end: not to be kept */
};

/*
 * Both return H1_FAULT_NONE or what is wrong. For a request: Content-Length and Transfer-Encoding
 * together, Transfer-Encoding in HTTP/1.0, a coding that is not chunked, chunked not last,
 * differing or doubled Content-Length, anything but digits in it. A response's Transfer-Encoding
 * wins over its Content-Length, which makes it doubtful, as does Transfer-Encoding in HTTP/1.0.
 */
enum h1_fault framing_of_request(const struct http_request *request,
                                 struct http_framing *ret_framing);
enum h1_fault framing_of_response(const struct http_response *response,
                                  enum http_method request_method,
                                  struct http_framing *ret_framing);

/* What a head says of its connection, over all its Connection fields. */
struct http_persistence {
    bool close;      /* "close" is a member */
    bool keep_alive; /* "keep-alive" is a member */
    bool upgrade;    /* "upgrade" is a member */
    bool has_timeout, has_max;
    uint64_t timeout_s; /* of Keep-Alive */
    uint64_t max;
};

void framing_persistence(const struct fields *fields, struct http_persistence *ret_persistence);

/* Whether the connection of a message of HTTP/1.`minor` stays (RFC 9112 section 9.3). */
bool framing_persists(uint8_t minor, const struct http_persistence *persistence);

#endif
