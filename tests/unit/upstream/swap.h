/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_UPSTREAM_SWAP_H
#define TESTS_UNIT_UPSTREAM_SWAP_H

/* One exchange of a session with a server whose every byte the test sends itself. */

#include "tests/unit/upstream/rig.h"
#include "upstream/connector.h"

enum { SWAP_BODY_SIZE = 4096 };

struct swap {
    struct session *session;
    int server; /* the other side of its connection; -1: not accepted yet */
    struct http_request request;
    struct http_framing request_framing;
    struct http_response response; /* of the last head */
    struct http_framing framing;
    char body[SWAP_BODY_SIZE]; /* what was received of the response's, NUL-terminated */
    size_t body_bytes;
};

static struct swap swap;

static inline void swap_request(const char *method)
{
    swap.request = (struct http_request){
        .method = http_method_of(slice_str(method)),
        .minor = 1,
        .method_text = slice_str(method),
        .path = SLICE("/"),
    };
    fields_init(&swap.request.fields);
    CHECK(fields_add_known(&swap.request.fields, FIELD_HOST, SLICE("example.com")));
    swap.request_framing = (struct http_framing){.body = BODY_NONE};
}

static inline void swap_field(const char *name, const char *value)
{
    CHECK(fields_add(&swap.request.fields, slice_str(name), slice_str(value)));
}

/* Gets a session for server 0; a new connection is accepted. */
WEIR_SUSPENDS static inline bool swap_get(enum connector_want want)
{
    if (!CHECK_OK(connector_get(&rig.pool, &rig.peers[0], want, in_ms(5000), &swap.session)))
        return false;
    if (swap.session->story.source == SOURCE_NEW)
        swap.server = raw_accept(&rig.servers[0]);
    pool_audit(&rig.pool);
    return true;
}

/* Sends the request's head, which the server has then read. */
WEIR_SUSPENDS static inline bool swap_send(void)
{
    return CHECK_OK(session_send_head(swap.session, &swap.request, &swap.request_framing)) &&
           CHECK_OK(session_flush(swap.session)) && raw_read_head(swap.server);
}

/* Up to the final head. */
WEIR_SUSPENDS static inline enum weir_err swap_recv_head(void)
{
    do
        TRY(session_recv_head(swap.session, &swap.response, &swap.framing));
    while (http_status_is_interim(swap.response.status));
    return WEIR_OK;
}

static inline void swap_keep_body(const struct http_piece *piece)
{
    for (unsigned i = 0; i < piece->count; i++) {
        struct weir_slice slice = piece->slices[i];
        if (!CHECK(slice.len > 0 && swap.body_bytes + slice.len < SWAP_BODY_SIZE))
            return;
        memcpy(swap.body + swap.body_bytes, slice.at, slice.len);
        swap.body_bytes += slice.len;
    }
    swap.body[swap.body_bytes] = '\0';
}

/* To the last piece, which is in *ret_piece. */
WEIR_SUSPENDS static inline enum weir_err swap_recv_body(struct http_piece *ret_piece)
{
    swap.body_bytes = 0;
    swap.body[0] = '\0';
    do {
        TRY(session_recv_piece(swap.session, WEIR_NEVER, ret_piece));
        swap_keep_body(ret_piece);
    } while (!ret_piece->last);
    return WEIR_OK;
}

WEIR_SUSPENDS static inline enum weir_err swap_recv(void)
{
    struct http_piece piece;
    TRY(swap_recv_head());
    return swap_recv_body(&piece);
}

static inline void swap_release(bool keep)
{
    session_release(&swap.session, keep);
    CHECK(!swap.session);
    pool_audit(&rig.pool);
}

/* A session whose request is sent, on a rig of its own. */
WEIR_SUSPENDS static inline bool swap_begin(const char *method)
{
    rig_open(8);
    swap_request(method);
    return swap_get(CONNECTOR_ANY) && swap_send();
}

static inline void swap_end(void)
{
    raw_close(swap.server);
    rig_close();
}

#endif
