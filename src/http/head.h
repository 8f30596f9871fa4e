/* SPDX-License-Identifier: MIT */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

/* Request and response heads, whatever version they travelled in (RFC 9110 sections 3.9 and 6). */

#include "http/field.h"

enum http_method {
    METHOD_OTHER,
#define X(NAME, idempotent) METHOD_##NAME,
#include "http/method.def"
#undef X
};

/* More are no method: the longest that IANA has is 17. */
enum { METHOD_BYTES = 32 };

/* What a message travelled in; the names are those of ALPN, where it has one. */
enum http_protocol {
    HTTP_1,
    HTTP_2,
    HTTP_CUSTOM, /* a session transport's own way (weir/transport.h) */
    HTTP_PROTOCOL_COUNT,
};
const char *http_protocol_name(enum http_protocol protocol);

/* The four forms of a request target (RFC 9112 section 3.2). */
enum http_target {
    TARGET_ORIGIN,
    TARGET_ABSOLUTE,
    TARGET_AUTHORITY,
    TARGET_ASTERISK,
};

struct http_request {
    enum http_method method;
    enum http_target form;
    enum http_protocol protocol;
    uint8_t minor; /* HTTP/1.minor: 0 or 1; 1 for what came in HTTP/2 */
    bool extended; /* it was an extended CONNECT for a WebSocket (RFC 8441), and is a GET now */
    struct weir_slice method_text;
    struct weir_slice target; /* as it came */
    struct weir_slice scheme; /* of the absolute form, else empty */
    struct weir_slice
        authority;          /* from an absolute or authority form, else from Host; may be empty */
    struct weir_slice path; /* path and query, "/" if the absolute form has none, or "*" */
    struct fields fields;
};

struct http_response {
    enum http_protocol protocol;
    uint16_t status;
    uint8_t minor;
    struct weir_slice reason;
    struct fields fields;
};

/* The method that a name stands for; names are case-sensitive (RFC 9110 section 9.1). */
enum http_method http_method_of(struct weir_slice name);

/* Whether doing it twice is as good as once (RFC 9110 section 9.2.2): docs/reuse.md's list. */
bool http_method_is_idempotent(enum http_method method);

/* The usual reason phrase of a status, "" for one that is not known. */
struct weir_slice http_reason(uint16_t status);

/* 1xx other than 101: a head that another one follows (RFC 9110 section 15.2). */
static inline bool http_status_is_interim(uint16_t status)
{
    return status >= 100 && status < 200 && status != 101;
}

/* The host of an authority, without port and without userinfo; "[::1]" keeps its brackets. */
struct weir_slice http_authority_host(struct weir_slice authority);

/*
 * Checks `uri-host [ ":" port ]` (RFC 9110 section 7.2) and splits it; false if it is not of that
 * grammar, which has no userinfo. The host may be empty; so may the port, and it is up to 65535.
 */
bool http_authority_split(struct weir_slice authority, struct weir_slice *ret_host,
                          struct weir_slice *ret_port);

#endif
