/* SPDX-License-Identifier: MIT */
#include "client/reply.h"

#include "base/check.h"
#include "io/loop.h"

/* The largest head that is received, twice, and what tells of its fields. */
enum { ARENA_BYTES = 128 * 1024 };

enum weir_err reply_new(struct weir_reply **ret_reply)
{
    struct arena arena;
    arena_init(&arena, &loop_here()->arenas, ARENA_BYTES);
    struct weir_reply *reply = arena_alloc(&arena, sizeof *reply);
    if (!reply)
        return WEIR_E_NO_MEMORY;
    *reply = (struct weir_reply){.head = NULL};
    arena_move(&reply->arena, &arena);
    buf_init(&reply->body);
    *ret_reply = reply;
    return WEIR_OK;
}

enum weir_err reply_set_response(struct weir_reply *reply, const struct http_response *response)
{
    struct http_response *head = message_copy_response(response, &reply->arena);
    if (!head)
        return WEIR_E_NO_MEMORY;
    reply->head = head;
    message_of_response(&reply->response, head, &reply->arena);
    buf_clear(&reply->body);
    return WEIR_OK;
}

enum weir_err reply_add(struct weir_reply *reply, struct weir_slice bytes, uint64_t limit_bytes)
{
    if (bytes.len > limit_bytes || reply->body.len > limit_bytes - bytes.len)
        return WEIR_E_TOO_LARGE;
    buf_append(&reply->body, bytes);
    return reply->body.failed ? WEIR_E_NO_MEMORY : WEIR_OK;
}

void weir_reply_free(struct weir_reply **reply)
{
    struct weir_reply *freed = *reply;
    struct arena arena;
    *reply = NULL;
    if (!freed)
        return;
    buf_fini(&freed->body);
    arena_move(&arena, &freed->arena);
    arena_fini(&arena);
}

struct weir_response *weir_reply_response(struct weir_reply *reply)
{
    return &reply->response;
}

struct weir_slice weir_reply_body(const struct weir_reply *reply)
{
    return buf_slice(&reply->body);
}

void weir_reply_connection(const struct weir_reply *reply, struct weir_connection *ret_connection)
{
    *ret_connection = reply->connection;
}
