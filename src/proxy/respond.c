/* SPDX-License-Identifier: MIT */
/* From the head of a response to its end. */
#include "base/check.h"
#include "http/hop.h"
#include "proxy/phase.h"
#include "proxy/serving.h"

bool serving_may_keep(const struct serving *serving)
{
    return !serving->exchange->at_limit ||
           serving->service->options->client.upstream_at_limit != AT_LIMIT_CLOSE;
}

/* What the program has taken into memory goes on from there. */
WEIR_SUSPENDS static enum weir_err pass_taken(struct serving *serving)
{
    const struct kept *taken = serving->taken;
    struct http_piece piece = {.last = taken->complete};
    if (taken->truncated) /* a piece in the middle is missing */
        return WEIR_E_NO_MEMORY;
    if (taken->bytes.len > 0) {
        piece.slices[0] = buf_slice(&taken->bytes);
        piece.count = 1;
        piece.bytes = taken->bytes.len;
    }
    if (piece.last && serving->session)
        session_finish(serving->session, serving_may_keep(serving));
    return piece_is_nothing(&piece)
               ? WEIR_OK
               : relay_piece(serving->exchange, &piece, phase_body_down(serving));
}

WEIR_SUSPENDS static enum weir_err pass_body(struct serving *serving)
{
    if (serving->taken) {
        TRY(pass_taken(serving));
        if (serving->taken->complete)
            return WEIR_OK;
    }
    return relay_download(serving->exchange, serving->session, serving_may_keep(serving),
                          phase_body_down(serving));
}

enum weir_err respond(struct serving *serving)
{
    struct exchange *exchange = serving->exchange;
    bool tunnel = serving->framing.body == BODY_TUNNEL, answered;
    replay_drop(&serving->replay);
    TRY(hop_response(serving->response, tunnel, &exchange->arena));
    TRY(phase_response_filter(serving, &answered));
    if (answered)
        return WEIR_OK;
    enum weir_err err = exchange_send_head(exchange, serving->response, &serving->framing);
    if (err)
        return err == WEIR_E_LIMIT ? WEIR_E_RESPONSE_HEAD_LENGTH : err;
    if (tunnel)
        return relay_tunnel(exchange, serving->session, serving->peer->options.limits.read_timeout);
    return pass_body(serving);
}

/* --- What a program calls --------------------------------------------------------------------- */

void weir_exchange_keep_length(struct weir_exchange *exchange)
{
    if (exchange->serving)
        exchange->serving->keeps_length = true;
}

/* The server's text makes room for what is received; the head is needed for longer. */
static enum weir_err keep_head(struct serving *serving)
{
    struct http_response *copy =
        message_copy_response(serving->response, &serving->exchange->arena);
    if (!copy)
        return WEIR_E_NO_MEMORY;
    *serving->response = *copy;
    return WEIR_OK;
}

/* What is here comes first: the connection may have gone to a subrequest when nothing else does. */
WEIR_SUSPENDS static enum weir_err next_piece(struct session *session, struct http_piece *ret_piece)
{
    TRY(session_piece_now(session, ret_piece));
    return piece_is_nothing(ret_piece) ? session_recv_piece(session, WEIR_NEVER, ret_piece)
                                       : WEIR_OK;
}

/* As much of the body as may be, which goes on to the client in any case. */
WEIR_SUSPENDS static enum weir_err take(struct serving *serving, struct kept *taken)
{
    struct http_piece piece;
    while (!taken->complete) {
        TRY(next_piece(serving->session, &piece));
        uint64_t limit = taken->limit_bytes;
        taken->limit_bytes = UINT64_MAX; /* nothing of a piece that was received may be lost */
        kept_add(taken, &piece);
        taken->limit_bytes = limit;
        if (taken->bytes.failed)
            return WEIR_E_NO_MEMORY;
        if (taken->bytes.len > limit)
            return WEIR_E_TOO_LARGE;
    }
    return WEIR_OK;
}

enum weir_err weir_exchange_take_body(struct weir_exchange *exchange, uint64_t limit_bytes,
                                      struct weir_slice *ret_body)
{
    struct serving *serving = exchange->serving;
    if (!serving || !serving->may_take || serving->taken || serving->exchange->head_sent)
        return WEIR_E_FILTER;
    struct kept *taken = arena_alloc(&serving->exchange->arena, sizeof *taken);
    if (!taken)
        return WEIR_E_NO_MEMORY;
    kept_init(taken, limit_bytes);
    list_push_back(&exchange->kept, &taken->link);
    serving->taken = taken;
    TRY(keep_head(serving));
    TRY(take(serving, taken));
    *ret_body = buf_slice(&taken->bytes);
    return WEIR_OK;
}

bool weir_exchange_connection(const struct weir_exchange *exchange,
                              struct weir_connection *ret_connection)
{
    if (!exchange->serving || !exchange->serving->connected)
        return false;
    door_tell_connection(&exchange->serving->story, ret_connection);
    return true;
}

unsigned weir_exchange_attempts(const struct weir_exchange *exchange)
{
    return exchange->serving ? exchange->serving->attempts : 0;
}

enum weir_err weir_exchange_use_upstream(struct weir_exchange *exchange, const char *name)
{
    const struct service_options *options = exchange->service->options;
    int number = service_find_upstream(options, name);
    if (number < 0 || !exchange->serving)
        return WEIR_E_NO_ROUTE;
    exchange->serving->chosen_upstream = number;
    return WEIR_OK;
}
