/* SPDX-License-Identifier: MIT */
/* One exchange of HTTP/2 on a client's connection: RFC 9113 section 8 from the server's side. */
#include "base/check.h"
#include "co/wait.h"
#include "downstream/answer.h"
#include "downstream/client_h2.h"
#include "downstream/websocket_h2.h"

enum { ARENA_BYTES = 256 * 1024 };

static struct h2_request *request_of(struct exchange *exchange)
{
    return container_of(exchange, struct h2_request, exchange);
}

static const struct client_options *options_of(const struct h2_request *request)
{
    return request->client->downstream->client;
}

static struct weir_time deadline_of(const struct h2_request *request, struct weir_span span)
{
    return loop_deadline(request->exchange.loop, span);
}

/* --- The request's body ---------------------------------------------------------------------- */

static enum weir_err note_piece(struct h2_request *request, enum weir_err err,
                                const struct http_piece *piece)
{
    struct exchange *exchange = &request->exchange;
    uint64_t limit = options_of(request)->max_request_body;
    if (err == WEIR_E_TIMEOUT)
        return WEIR_E_REQUEST_TIMEOUT;
    if (err)
        return err == WEIR_E_CANCELED ? err : WEIR_E_CLIENT_GONE;
    exchange->awaits_continue &= piece->count == 0;
    exchange->received_bytes += piece->bytes;
    bool over = limit > 0 && exchange->received_bytes > limit && !request->tunnels;
    return over ? WEIR_E_REQUEST_BODY_LENGTH : WEIR_OK;
}

static enum weir_err h2_piece_now(struct exchange *exchange, struct http_piece *ret_piece)
{
    struct h2_request *request = request_of(exchange);
    return note_piece(request, h2_stream_piece_now(&request->stream, ret_piece), ret_piece);
}

WEIR_SUSPENDS static enum weir_err h2_recv_piece(struct exchange *exchange,
                                                 struct http_piece *ret_piece)
{
    struct h2_request *request = request_of(exchange);
    struct weir_time deadline =
        request->tunnels ? WEIR_NEVER : deadline_of(request, options_of(request)->body_timeout);
    enum weir_err err = h2_stream_recv_piece(&request->stream, deadline, ret_piece);
    return note_piece(request, err, ret_piece);
}

/* --- The response ---------------------------------------------------------------------------- */

static enum weir_err after_send(struct h2_request *request, enum weir_err err)
{
    request->exchange.done = !err && request->stream.sent;
    if (err == WEIR_E_TIMEOUT)
        return WEIR_E_CLIENT_WRITE_TIMEOUT;
    return err && err != WEIR_E_CANCELED && err != WEIR_E_NO_MEMORY ? WEIR_E_CLIENT_GONE : err;
}

static enum weir_err send_interim(struct h2_request *request, const struct http_response *response)
{
    struct h2_lines lines;
    if (response->status == 100)
        request->exchange.awaits_continue = false;
    TRY(h2_lines_of_response(response, false, &request->exchange.arena, &lines));
    return after_send(request, h2_stream_interim(&request->stream, &lines));
}

static size_t bytes_of(const struct h2_lines *lines)
{
    size_t bytes = 0;
    for (size_t i = 0; i < lines->count; i++)
        bytes += lines->at[i].namelen + lines->at[i].valuelen;
    return bytes;
}

static enum weir_err h2_send_head(struct exchange *exchange, struct http_response *response,
                                  const struct http_framing *framing)
{
    struct h2_request *request = request_of(exchange);
    must(!exchange->head_sent);
    answer_drop_false_length(exchange, response, framing);
    if (http_status_is_interim(response->status))
        return send_interim(request, response);
    if (exchange->request->extended)
        TRY(websocket_h2_response(response));
    request->tunnels = framing->body == BODY_TUNNEL;
    if (!answer_add_date(request->client->downstream, &response->fields))
        return WEIR_E_LIMIT;
    TRY(h2_lines_of_response(response, true, &exchange->arena, &request->lines));
    request->ends = answer_is_bodiless(exchange, response->status) || framing->body == BODY_NONE ||
                    (framing->body == BODY_LENGTH && framing->length == 0);
    exchange->head_sent = true;
    exchange->status = response->status;
    return WEIR_OK;
}

static bool h2_retract_head(struct exchange *exchange)
{
    if (!exchange->head_sent || request_of(exchange)->stream.submitted)
        return false;
    exchange->head_sent = false;
    exchange->status = 0;
    return true;
}

static enum weir_err submit_head(struct h2_request *request)
{
    struct h2_stream *stream = &request->stream;
    if (!request->exchange.head_sent || stream->submitted)
        return WEIR_OK;
    stream->sent_bytes += bytes_of(&request->lines);
    return h2_stream_response(stream, &request->lines, request->ends);
}

WEIR_SUSPENDS static enum weir_err flush(struct h2_request *request)
{
    TRY(submit_head(request));
    return h2_stream_flush(&request->stream,
                           deadline_of(request, options_of(request)->write_timeout));
}

WEIR_SUSPENDS static enum weir_err h2_flush(struct exchange *exchange)
{
    struct h2_request *request = request_of(exchange);
    return after_send(request, flush(request));
}

WEIR_SUSPENDS static enum weir_err send_piece(struct h2_request *request,
                                              const struct http_piece *piece)
{
    /* A body that does not go to this client (HEAD): the head is all there is. */
    if (request->ends)
        return flush(request);
    TRY(submit_head(request));
    return h2_stream_send_piece(&request->stream, piece,
                                deadline_of(request, options_of(request)->write_timeout));
}

WEIR_SUSPENDS static enum weir_err h2_send_piece(struct exchange *exchange,
                                                 const struct http_piece *piece)
{
    struct h2_request *request = request_of(exchange);
    return after_send(request, send_piece(request, piece));
}

static uint64_t h2_sent_bytes(const struct exchange *exchange)
{
    return container_of(exchange, const struct h2_request, exchange)->stream.sent_bytes;
}

static const struct exchange_ops h2_ops = {
    .piece_now = h2_piece_now,
    .recv_piece = h2_recv_piece,
    .send_head = h2_send_head,
    .retract_head = h2_retract_head,
    .flush = h2_flush,
    .send_piece = h2_send_piece,
    .sent_bytes = h2_sent_bytes,
};

/* --- One request ----------------------------------------------------------------------------- */

struct h2_request *request_h2_new(struct client *client)
{
    struct downstream *downstream = client->downstream;
    struct h2_request *request = slab_alloc(&downstream->request_slab);
    if (!request)
        return NULL;
    request->client = client;
    list_init(&request->link);
    request->exchange = (struct exchange){
        .ops = &h2_ops,
        .loop = downstream->loop,
        .client = client->from,
        .client_number = client->number,
        .local = client->local ? client->local : &client->listening->addr,
        .tls = client->h2->facts,
        .began = loop_now(downstream->loop),
    };
    arena_init(&request->exchange.arena, &downstream->loop->arenas, ARENA_BYTES);
    h2_stream_init(&request->stream, &request->exchange.arena);
    return request;
}

void request_h2_free(struct h2_request *request)
{
    struct downstream *downstream = request->client->downstream;
    must(!request->stream.session);
    arena_fini(&request->exchange.arena);
    slab_free(&downstream->request_slab, request);
}

/* What the head says of the body. */
static enum weir_err read_head(struct h2_request *request)
{
    struct exchange *exchange = &request->exchange;
    struct h2_stream *stream = &request->stream;
    uint64_t limit = options_of(request)->max_request_body;
    exchange->request = stream->request;
    exchange->wants_head = exchange->request->method == METHOD_HEAD;
    TRY(request->err);
    if (exchange->request->extended) /* what follows belongs to the tunnel, if there will be one */
        return websocket_h2_request(exchange->request, &exchange->arena);
    bool ended = stream->received && stream->held_bytes == 0 && !stream->in_trailers;
    TRY(h2_framing_of_request(exchange->request, ended, &exchange->framing));
    const struct field *expect = fields_find(&exchange->request->fields, FIELD_EXPECT);
    exchange->awaits_continue = expect && exchange->framing.body != BODY_NONE &&
                                slice_equal_nocase(expect->value, SLICE("100-continue"));
    if (limit > 0 && exchange->framing.body == BODY_LENGTH && exchange->framing.length > limit)
        return WEIR_E_REQUEST_BODY_LENGTH;
    return WEIR_OK;
}

/*
 * What the client is told when its stream ends here: nothing if both sides are through; that the
 * rest of its request is not wanted (RFC 9113 section 8.1); or that the response is not whole.
 */
static uint32_t code_at_end(const struct h2_request *request)
{
    if (request->exchange.done)
        return NGHTTP2_NO_ERROR;
    return request->exchange.error == WEIR_E_CLIENT_GONE ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR;
}

void request_h2_serve(struct h2_request *request)
{
    struct downstream *downstream = request->client->downstream;
    request->exchange.error = read_head(request);
    downstream->handler(downstream->owner, &request->exchange);
    h2_stream_end(&request->stream, code_at_end(request));
}
