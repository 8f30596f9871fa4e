/* SPDX-License-Identifier: MIT */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

/*
 * Heads as a program sees them (weir/message.h): views of ours, with an arena for what is set.
 */

#include "base/arena.h"
#include "http/framing.h"
#include <weir/message.h>

struct weir_fields {
    struct fields *list;
    struct arena *arena; /* for what is set; NULL: it is only read */
};

struct weir_request {
    struct http_request *http;
    struct weir_fields fields;
    struct arena own; /* of weir_request_new() alone: the request lies in it */
};

struct weir_response {
    struct http_response *http;
    struct weir_fields fields;
};

/* What frames a message or speaks of its connection: nobody's but ours to set. */
bool message_is_reserved(enum field_id id);

/* Views of heads that are somebody else's; the arena's memory lasts at least as long as they do. */
void message_of_request(struct weir_request *ret_view, struct http_request *request,
                        struct arena *arena);
void message_of_response(struct weir_response *ret_view, struct http_response *response,
                         struct arena *arena);

/*
 * As weir_request_new(), but a copy of one that is there; NULL: GET / of nobody yet. The caller's
 * until weir_request_free(). WEIR_E_NO_MEMORY.
 */
enum weir_err message_own_request(const struct http_request *from,
                                  struct weir_request **ret_request);

/* A head with no fields yet, as if it had come in HTTP/1.1. NULL: the arena is full. */
struct http_response *message_new_response(struct arena *arena, unsigned status);
/* A copy of everything, in the arena; NULL when it is full. */
struct http_request *message_copy_request(const struct http_request *request, struct arena *arena);
struct http_response *message_copy_response(const struct http_response *response,
                                            struct arena *arena);

/* Content-Length, in place of what is there of it. WEIR_E_LIMIT, _NO_MEMORY. */
enum weir_err message_set_length(struct fields *fields, uint64_t bytes, struct arena *arena);

/* What weir/message.h calls the length of a body, and the framing that stands for it. */
uint64_t message_body_bytes(const struct http_framing *framing);
struct http_framing message_framing(uint64_t body_bytes);

#endif
