/* SPDX-License-Identifier: MIT */
#ifndef WEIR_MESSAGE_H
#define WEIR_MESSAGE_H

/*
 * Heads of requests and responses, and pieces of bodies, whatever version of HTTP they travel in
 * (RFC 9110). What is set is copied, into memory that lasts as long as the message; what is read is
 * a view that lasts as long as its message, and until it is changed.
 *
 * How long a body is and whether a connection stays are weir's to say: Content-Length,
 * Transfer-Encoding, Connection, Keep-Alive, Upgrade, TE and Host cannot be set as fields.
 */

#include <weir/api.h>
#include <weir/err.h>
#include <weir/slice.h>

#include <stdint.h>

WEIR_BEGIN

struct weir_fields;
struct weir_request;
struct weir_response;

/* How long the body is that follows a head: that many bytes, or one of these. */
#define WEIR_BODY_NONE UINT64_MAX          /* there is none */
#define WEIR_BODY_UNKNOWN (UINT64_MAX - 1) /* as long as it will be */

/* A piece of a body. Who hands it out says how long its bytes live. */
struct weir_piece {
    struct weir_slice bytes; /* may be empty */
    bool last;               /* nothing follows */
};

/*
 * A request of one's own, the caller's until weir_request_free(). On a loop's thread. `path` is
 * path and query, or "*" of OPTIONS; CONNECT is no method here. WEIR_E_FIELD when one of them is
 * not what HTTP allows, WEIR_E_NO_MEMORY.
 */
WEIR_API enum weir_err weir_request_new(const char *method, const char *authority, const char *path,
                                        struct weir_request **ret_request);
/* Nulls the pointer; NULL is fine. Only for what the caller has made. */
WEIR_API void weir_request_free(struct weir_request **request);

WEIR_API struct weir_slice weir_request_method(const struct weir_request *request);
WEIR_API struct weir_slice weir_request_authority(const struct weir_request *request);
WEIR_API struct weir_slice weir_request_path(const struct weir_request *request);
/* WEIR_E_FIELD, _NO_MEMORY; the request stays as it was then. */
WEIR_API enum weir_err weir_request_set_method(struct weir_request *request,
                                               struct weir_slice method);
WEIR_API enum weir_err weir_request_set_authority(struct weir_request *request,
                                                  struct weir_slice authority);
WEIR_API enum weir_err weir_request_set_path(struct weir_request *request, struct weir_slice path);
WEIR_API struct weir_fields *weir_request_fields(struct weir_request *request);

WEIR_API unsigned weir_response_status(const struct weir_response *response);
/* A final status, 200 to 599. WEIR_E_FIELD. */
WEIR_API enum weir_err weir_response_set_status(struct weir_response *response, unsigned status);
WEIR_API struct weir_fields *weir_response_fields(struct weir_response *response);

/* The value of the first field of that name, in any case; .at is NULL when there is none. */
WEIR_API struct weir_slice weir_fields_get(const struct weir_fields *fields, const char *name);
/*
 * Set takes out what was there and puts in one; add adds one more. WEIR_E_FIELD when the name or
 * the value is not what HTTP allows (RFC 9110 sections 5.1 and 5.5) or is weir's to set,
 * WEIR_E_LIMIT when there are too many, WEIR_E_NO_MEMORY; nothing is changed then.
 */
WEIR_API enum weir_err weir_fields_set(struct weir_fields *fields, const char *name,
                                       struct weir_slice value);
WEIR_API enum weir_err weir_fields_add(struct weir_fields *fields, const char *name,
                                       struct weir_slice value);
/* Takes all of that name out; what is weir's to set stays. */
WEIR_API void weir_fields_remove(struct weir_fields *fields, const char *name);
/* Walks: *cursor is 0 at first. False at the end. */
WEIR_API bool weir_fields_next(const struct weir_fields *fields, unsigned *cursor,
                               struct weir_slice *ret_name, struct weir_slice *ret_value);

WEIR_END

#endif
