/* SPDX-License-Identifier: MIT */
#include "client/reply.h"

#include "base/check.h"
#include "io/loop.h"

/* Of a head, with what is set in it afterwards. */
enum { HEAD_BYTES = 512 * 1024 };

/* A body that is no longer than this lies beside the head. */
enum { SHORT_BYTES = 4096 };

enum weir_err reply_new(struct weir_reply **ret_reply)
{
    struct arena arena;
    arena_init(&arena, &loop_here()->arenas, HEAD_BYTES);
    struct weir_reply *reply = arena_alloc(&arena, sizeof *reply);
    if (!reply) {
        arena_fini(&arena);
        return WEIR_E_NO_MEMORY;
    }
    *reply = (struct weir_reply){.response = {.http = NULL}};
    arena_move(&reply->own, &arena);
    buf_init_in(&reply->body, arena_alloc(&reply->own, SHORT_BYTES), SHORT_BYTES);
    *ret_reply = reply;
    return WEIR_OK;
}

enum weir_err reply_set_response(struct weir_reply *reply, const struct http_response *response)
{
    struct http_response *copy = message_copy_response(response, &reply->own);
    if (!copy)
        return WEIR_E_NO_MEMORY;
    message_of_response(&reply->response, copy, &reply->own);
    return WEIR_OK;
}

enum weir_err reply_add(struct weir_reply *reply, struct weir_slice bytes, uint64_t limit_bytes)
{
    if (bytes.len > limit_bytes || reply->body.len > limit_bytes - bytes.len)
        return WEIR_E_TOO_LARGE;
    buf_append(&reply->body, bytes);
    return reply->body.failed ? WEIR_E_NO_MEMORY : WEIR_OK;
}

struct weir_response *weir_reply_response(struct weir_reply *reply)
{
    must(reply->response.http);
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

void weir_reply_free(struct weir_reply **reply)
{
    struct arena own;
    if (!*reply)
        return;
    buf_fini(&(*reply)->body);
    arena_move(&own, &(*reply)->own);
    arena_fini(&own);
    *reply = NULL;
}
