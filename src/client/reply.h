/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_REPLY_H
#define CLIENT_REPLY_H

/* A response in memory (weir/connector.h). Of one loop. */

#include "base/buf.h"
#include "http/message.h"
#include <weir/connector.h>

struct weir_reply {
    struct arena own; /* it lies in there itself, and so does the head */
    struct weir_response response;
    struct weir_connection connection; /* zeroes: there was none */
    struct buf body;
};

/* Without a response yet; the caller's until weir_reply_free(). WEIR_E_NO_MEMORY. */
enum weir_err reply_new(struct weir_reply **ret_reply);
/* A copy of it. WEIR_E_NO_MEMORY. */
enum weir_err reply_set_response(struct weir_reply *reply, const struct http_response *response);
/* One more piece of the body. WEIR_E_TOO_LARGE beyond `limit_bytes` of all, WEIR_E_NO_MEMORY. */
enum weir_err reply_add(struct weir_reply *reply, struct weir_slice bytes, uint64_t limit_bytes);

#endif
