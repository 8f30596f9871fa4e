/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_REPLY_H
#define CLIENT_REPLY_H

/* A response in memory (weir/connector.h). On the thread of a loop, whose memory it uses. */

#include "base/arena.h"
#include "base/buf.h"
#include "http/message.h"
#include <weir/connector.h>

struct weir_reply {
    struct arena arena; /* this and the head lie in it */
    struct http_response *head;
    struct weir_response response; /* a view of it */
    struct buf body;
    struct weir_connection connection;
};

/* WEIR_E_NO_MEMORY. Ended with weir_reply_free(). */
enum weir_err reply_new(struct weir_reply **ret_reply);

/* Copies the head, in place of one that is there. WEIR_E_NO_MEMORY, also when it is too large. */
enum weir_err reply_set_response(struct weir_reply *reply, const struct http_response *response);

/* Copies what comes of the body. WEIR_E_TOO_LARGE when it is more than `limit_bytes` in all. */
enum weir_err reply_add(struct weir_reply *reply, struct weir_slice bytes, uint64_t limit_bytes);

#endif
