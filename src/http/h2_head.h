/* SPDX-License-Identifier: MIT */
#ifndef HTTP_H2_HEAD_H
#define HTTP_H2_HEAD_H

/*
 * Heads as HTTP/2 has them: field by field, the start line in pseudo-fields, all names in lower
 * case (RFC 9113 section 8). Pure: what was decoded goes in, a head that the rest of weir knows
 * comes out, and the other way round.
 *
 * nghttp2 has checked by then what it checks (names and values, the order of pseudo-fields and
 * which of them must be there, that nothing speaks of the connection); what it leaves open is
 * checked here.
 */

#include "base/arena.h"
#include "http/framing.h"

#include <nghttp2/nghttp2.h>

struct h2_crumb;

/* A head or trailer section while it comes. */
struct h2_head {
    struct arena *arena;   /* what is kept of it lies there */
    struct fields *fields; /* the regular ones, Host and the first Cookie included */
    struct weir_slice method, scheme, authority, path, protocol; /* .at NULL: did not come */
    uint16_t status;           /* 0: did not come, or is not three digits */
    struct h2_crumb *crumbs;   /* further Cookie fields, which a browser may send by the hundred */
    size_t crumb_bytes;        /* of them in one, each behind "; " */
    size_t bytes, limit_bytes; /* as HPACK counts: names, values and 32 for each field */
    /*
     * It is too large (WEIR_E_REQUEST_HEAD_LENGTH or _TARGET_LENGTH, of a response and of trailers
     * too) or memory is out; what comes is dropped then.
     */
    enum weir_err err;
};

/* `fields` is emptied. */
void h2_head_begin(struct h2_head *head, struct fields *fields, struct arena *arena,
                   size_t limit_bytes);

/* One more field, pseudo or regular, which is copied. That it was too much is told at the end. */
void h2_head_add(struct h2_head *head, struct weir_slice name, struct weir_slice value,
                 bool never_index);

/*
 * Makes the request of it that an HTTP/1 head with the same meaning would be: method, form and
 * target checked, Cookie fields joined in one (RFC 9113 section 8.2.3), Host out (it must not
 * contradict :authority, which stands in for it). `request->fields` is what h2_head_begin() was
 * given. WEIR_E_REQUEST_MALFORMED, _REQUEST_METHOD (a longer one than any that is known),
 * _REQUEST_HEAD_LENGTH, _REQUEST_TARGET_LENGTH, _NO_MEMORY: then the request has no fields, and is
 * there to be answered and logged, with a method if one came and is a token.
 */
enum weir_err h2_head_request(struct h2_head *head, struct http_request *request);

/* WEIR_E_RESPONSE_MALFORMED, _RESPONSE_HEAD_LENGTH, _NO_MEMORY. */
enum weir_err h2_head_response(struct h2_head *head, struct http_response *response);

/*
 * How the body goes. A request's or response's Content-Length, if it has one, is checked to be one
 * number, and 0 if the message `ended` with its head and could have had a body. What has no length
 * is BODY_CHUNKED: it has an end of its own, whatever it is sent over. A response that ended with
 * its head and may have a body is BODY_LENGTH with none, because HTTP/1 has to be told that; such a
 * request is BODY_NONE. WEIR_E_REQUEST_MALFORMED; WEIR_E_RESPONSE_MALFORMED.
 */
enum weir_err h2_framing_of_request(const struct http_request *request, bool ended,
                                    struct http_framing *ret_framing);
enum weir_err h2_framing_of_response(const struct http_response *response,
                                     enum http_method request_method, bool ended,
                                     struct http_framing *ret_framing);

/* A head or trailer section to be sent: what nghttp2_submit_*() take. */
struct h2_lines {
    nghttp2_nv *at;
    size_t count;
};

/*
 * The lines lie in the arena. Names and values of a response are copied there too if `copies`, else
 * they need only stay until the lines were submitted; a request's must stay, with the arena, until
 * its stream has ended (h2_stream_end()). Left out is what HTTP/2 has
 * not: Host (it is :authority), Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding,
 * Upgrade, HTTP2-Settings, and TE but for "trailers". WEIR_E_NO_MEMORY.
 */
enum weir_err h2_lines_of_request(const struct http_request *request, struct weir_slice scheme,
                                  struct arena *arena, struct h2_lines *ret_lines);
enum weir_err h2_lines_of_response(const struct http_response *response, bool copies,
                                   struct arena *arena, struct h2_lines *ret_lines);
enum weir_err h2_lines_of_trailers(const struct fields *trailers, struct arena *arena,
                                   struct h2_lines *ret_lines);

#endif
