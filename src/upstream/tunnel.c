/* SPDX-License-Identifier: MIT */
#include "upstream/tunnel.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "http/h1_out.h"
#include "http/h1_wire.h"

#include <stdio.h>

/* A proxy that sends interim responses without end is not waited for. */
enum { INTERIM_MAX = 16, ARENA_BYTES = 4 * ARENA_BLOCK_BYTES };

/* What is said with the proxy. */
struct talk {
    struct http_request request;
    struct http_response response;
    struct h1_out out;
    struct h1_wire wire;
};

static bool fill(struct http_request *request, const struct peer_proxy *proxy, const char *target)
{
    request->method = METHOD_CONNECT;
    request->method_text = SLICE("CONNECT");
    request->form = TARGET_AUTHORITY;
    request->minor = 1;
    request->authority = slice_str(target);
    fields_init(&request->fields);
    bool added = fields_add_known(&request->fields, FIELD_HOST, slice_str(target));
    for (unsigned i = 0; i < proxy->field_count; i++)
        added = added && fields_add(&request->fields, slice_str(proxy->fields[i].name),
                                    slice_str(proxy->fields[i].value));
    return added;
}

WEIR_SUSPENDS static enum weir_err receive_head(struct talk *talk, struct weir_time deadline)
{
    for (unsigned i = 0; i < INTERIM_MAX; i++) {
        TRY(h1_wire_response(&talk->wire, deadline, &talk->response));
        if (!http_status_is_interim(talk->response.status))
            return WEIR_OK;
        h1_wire_drop_head(&talk->wire);
    }
    return WEIR_E_RESPONSE_MALFORMED;
}

/* A 2xx begins the tunnel at the end of its head, whatever the head says of a body. */
static enum weir_err judge(const struct talk *talk, char ret_why[static TUNNEL_WHY_SIZE])
{
    const struct http_response *response = &talk->response;
    char reason[LOG_ESCAPED_SIZE];
    if (response->status >= 200 && response->status < 300) {
        /* The server has been told nothing yet: what lies there is not its answer. */
        return h1_wire_has_bytes(&talk->wire) ? WEIR_E_RESPONSE_MALFORMED : WEIR_OK;
    }
    snprintf(ret_why, TUNNEL_WHY_SIZE, "it answers CONNECT with %u %.100s", response->status,
             log_escape(response->reason, reason));
    return WEIR_E_PROXY_REFUSED;
}

WEIR_SUSPENDS static enum weir_err speak(struct talk *talk, struct weir_time deadline,
                                         char ret_why[static TUNNEL_WHY_SIZE])
{
    static const struct http_framing none = {.body = BODY_NONE};
    TRY(h1_out_request(&talk->out, &talk->request, &none));
    TRY(h1_out_flush(&talk->out, deadline));
    TRY(receive_head(talk, deadline));
    return judge(talk, ret_why);
}

enum weir_err tunnel_open(struct stream *stream, const struct peer_proxy *proxy, const char *target,
                          struct weir_time deadline, char ret_why[static TUNNEL_WHY_SIZE])
{
    struct arena arena;
    arena_init(&arena, &stream->loop->arenas, ARENA_BYTES);
    struct talk *talk = arena_alloc(&arena, sizeof *talk);
    enum weir_err err = WEIR_E_NO_MEMORY;
    if (talk) {
        h1_out_init(&talk->out, stream);
        h1_wire_init(&talk->wire, stream, WIRE_RESPONSES);
        err = fill(&talk->request, proxy, target) ? speak(talk, deadline, ret_why) : WEIR_E_LIMIT;
        h1_out_fini(&talk->out);
        h1_wire_fini(&talk->wire);
    }
    arena_fini(&arena);
    /* The proxy took the connection and gave it up: nothing of a request was on it. */
    return err == WEIR_E_EOF || err == WEIR_E_RESET ? WEIR_E_REFUSED : err;
}
