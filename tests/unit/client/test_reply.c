/* SPDX-License-Identifier: MIT */
#include "client/reply.h"

#include "client/loop.h"
#include "tests/check.h"

static struct weir_loop *loop;

static struct weir_reply *start(void)
{
    struct weir_reply *reply = NULL;
    CHECK_OK(weir_loop_new(NULL, &loop));
    CHECK_OK(reply_new(&reply));
    return reply;
}

static void finish(struct weir_reply *reply)
{
    weir_reply_free(&reply);
    weir_loop_free(&loop);
}

TEST(the_response_is_a_copy)
{
    struct weir_reply *reply = start();
    struct arena arena;
    arena_init(&arena, &loop->loop.arenas, 64 * 1024);
    CHECK_OK(reply_set_response(reply, message_new_response(&arena, 404)));
    arena_fini(&arena);
    CHECK_EQ(404, weir_response_status(weir_reply_response(reply)));
    CHECK_OK(weir_fields_set(weir_response_fields(weir_reply_response(reply)), "A", weir_str("b")));
    finish(reply);
}

TEST(a_body_has_a_limit)
{
    struct weir_reply *reply = start();
    CHECK_SLICE(weir_reply_body(reply), "");
    CHECK_OK(reply_add(reply, weir_str("abc"), 5));
    CHECK_ERR(WEIR_E_TOO_LARGE, reply_add(reply, weir_str("def"), 5));
    CHECK_OK(reply_add(reply, weir_str("de"), 5));
    CHECK_OK(reply_add(reply, weir_str(""), 5));
    CHECK_ERR(WEIR_E_TOO_LARGE, reply_add(reply, weir_str("f"), 5));
    CHECK_SLICE(weir_reply_body(reply), "abcde");
    finish(reply);
}

CHECK_MAIN
