/* SPDX-License-Identifier: MIT */
/* One exchange of HTTP/1 on a client's connection: RFC 9112 from the server's side. */
#include "base/check.h"
#include "co/wait.h"
#include "downstream/answer.h"
#include "downstream/client.h"

#include <string.h>

enum {
    ARENA_BYTES = 256 * 1024,
    /* A request body that nobody wanted is read to its end if that is near, to keep the connection.
     */
    DRAIN_BYTES = 256 * 1024,
};
#define DRAIN_TIME weir_span_s(1)

struct h1_exchange {
    struct exchange exchange;
    struct client *client;
};

static struct client *client_of(const struct exchange *exchange)
{
    return container_of(exchange, const struct h1_exchange, exchange)->client;
}

static struct weir_time deadline_of(const struct client *client, struct weir_span span)
{
    return loop_deadline(client->downstream->loop, span);
}

static enum weir_err body_error(enum weir_err err)
{
    switch (err) {
    case WEIR_E_TIMEOUT:
        return WEIR_E_REQUEST_TIMEOUT;
    case WEIR_E_EOF:
    case WEIR_E_RESET:
        return WEIR_E_CLIENT_GONE;
    default:
        return err;
    }
}

/* What a piece of the body, or the failure to get one, means for the exchange. */
static enum weir_err note_piece(struct exchange *exchange, enum weir_err err,
                                const struct http_piece *piece)
{
    const struct client *client = client_of(exchange);
    uint64_t limit = client->downstream->client->max_request_body;
    if (!err) {
        exchange->awaits_continue &= piece->count == 0;
        exchange->received_bytes += piece->bytes;
        bool over = limit > 0 && exchange->received_bytes > limit;
        if (over && client->wire.body != BODY_TUNNEL)
            err = WEIR_E_REQUEST_BODY_LENGTH;
    }
    /* A body that went wrong leaves its end in doubt; one that is not wanted any more does not. */
    exchange->close |= err && err != WEIR_E_CANCELED;
    return body_error(err);
}

static enum weir_err h1_piece_now(struct exchange *exchange, struct http_piece *ret_piece)
{
    enum weir_err err = h1_wire_piece_now(&client_of(exchange)->wire, ret_piece);
    return note_piece(exchange, err, ret_piece);
}

WEIR_SUSPENDS static enum weir_err h1_recv_piece(struct exchange *exchange,
                                                 struct http_piece *ret_piece)
{
    struct client *client = client_of(exchange);
    struct weir_time deadline = client->wire.body == BODY_TUNNEL
                                    ? WEIR_NEVER
                                    : deadline_of(client, client->downstream->client->body_timeout);
    enum weir_err err = h1_wire_piece(&client->wire, deadline, ret_piece);
    return note_piece(exchange, err, ret_piece);
}

/* How the body that comes in one framing goes out in another (RFC 9112 section 6). */
static void choose_framing(struct exchange *exchange, const struct http_response *response,
                           const struct http_framing *given, struct http_framing *ret_framing)
{
    *ret_framing = *given;
    if (answer_is_bodiless(exchange, response->status)) {
        ret_framing->body = BODY_NONE;
    } else if (given->body == BODY_NONE) {
        *ret_framing = (struct http_framing){.body = BODY_LENGTH}; /* he waits for one */
    } else if (given->body == BODY_CHUNKED || given->body == BODY_UNTIL_CLOSE) {
        /* HTTP/1.0 knows no chunks: there the end of the connection is the end of the body. */
        bool chunks = exchange->request->minor > 0;
        ret_framing->body = chunks ? BODY_CHUNKED : BODY_UNTIL_CLOSE;
    }
    if (ret_framing->body == BODY_UNTIL_CLOSE || ret_framing->body == BODY_TUNNEL)
        exchange->close = true;
}

static bool add_framing_fields(struct exchange *exchange, struct fields *fields,
                               const struct http_framing *framing)
{
    bool added = true;
    if (framing->body == BODY_CHUNKED)
        added = fields_add_known(fields, FIELD_TRANSFER_ENCODING, SLICE("chunked"));
    /* What HTTP/2 ended with its head may have come without one. */
    if (framing->body == BODY_LENGTH && framing->length == 0 &&
        !fields_have(fields, FIELD_CONTENT_LENGTH))
        added = fields_add_known(fields, FIELD_CONTENT_LENGTH, SLICE("0"));
    if (framing->body == BODY_TUNNEL)
        return added;
    if (exchange->close)
        return added && fields_add_known(fields, FIELD_CONNECTION, SLICE("close"));
    if (exchange->request->minor == 0)
        return added && fields_add_known(fields, FIELD_CONNECTION, SLICE("keep-alive"));
    return added;
}

static enum weir_err send_interim(struct exchange *exchange, const struct http_response *response)
{
    static const struct http_framing none = {.body = BODY_NONE};
    /* RFC 9110 section 15.2: a client of HTTP/1.0 is sent none. */
    if (exchange->request->minor == 0)
        return WEIR_OK;
    if (response->status == 100)
        exchange->awaits_continue = false;
    return h1_out_response(&client_of(exchange)->out, response, &none);
}

static enum weir_err h1_send_head(struct exchange *exchange, struct http_response *response,
                                  const struct http_framing *framing)
{
    struct client *client = client_of(exchange);
    must(!exchange->head_sent);
    answer_drop_false_length(exchange, response, framing);
    if (http_status_is_interim(response->status))
        return send_interim(exchange, response);
    exchange->close |= client->downstream->draining;
    /* Whether its body still comes is the client's guess now (RFC 9110 section 10.1.1). */
    exchange->close |= exchange->awaits_continue;
    struct http_framing mine;
    choose_framing(exchange, response, framing, &mine);
    if (!answer_add_date(client->downstream, &response->fields) ||
        !add_framing_fields(exchange, &response->fields, &mine))
        return WEIR_E_LIMIT;
    TRY(h1_out_response(&client->out, response, &mine));
    exchange->head_sent = client->responding = true;
    exchange->status = response->status;
    if (mine.body == BODY_TUNNEL)
        h1_wire_start_body(&client->wire, &mine, NULL);
    return WEIR_OK;
}

static bool h1_retract_head(struct exchange *exchange)
{
    if (!exchange->head_sent || !h1_out_retract(&client_of(exchange)->out))
        return false;
    exchange->head_sent = false;
    exchange->status = 0;
    return true;
}

static enum weir_err after_send(struct exchange *exchange, enum weir_err err)
{
    exchange->done = !err && exchange->head_sent && h1_out_done(&client_of(exchange)->out);
    if (err == WEIR_E_TIMEOUT)
        return WEIR_E_CLIENT_WRITE_TIMEOUT;
    return err == WEIR_E_RESET ? WEIR_E_CLIENT_GONE : err;
}

WEIR_SUSPENDS static enum weir_err h1_flush(struct exchange *exchange)
{
    struct client *client = client_of(exchange);
    struct weir_time deadline = deadline_of(client, client->downstream->client->write_timeout);
    return after_send(exchange, h1_out_flush(&client->out, deadline));
}

WEIR_SUSPENDS static enum weir_err h1_send_piece(struct exchange *exchange,
                                                 const struct http_piece *piece)
{
    struct client *client = client_of(exchange);
    struct weir_time deadline = deadline_of(client, client->downstream->client->write_timeout);
    if (client->out.open)
        return after_send(exchange, h1_out_piece(&client->out, piece, deadline));
    /* A body that does not go on this connection (HEAD): the head is all there is. */
    return h1_flush(exchange);
}

static uint64_t h1_sent_bytes(const struct exchange *exchange)
{
    return client_of(exchange)->out.sent_bytes;
}

static const struct exchange_ops h1_ops = {
    .piece_now = h1_piece_now,
    .recv_piece = h1_recv_piece,
    .send_head = h1_send_head,
    .retract_head = h1_retract_head,
    .flush = h1_flush,
    .send_piece = h1_send_piece,
    .sent_bytes = h1_sent_bytes,
};

/* What the head says of body and connection. */
static enum weir_err read_head(struct exchange *exchange)
{
    struct client *client = client_of(exchange);
    struct http_request *request = exchange->request;
    const struct client_options *options = client->downstream->client;
    struct http_persistence said;
    struct fields *trailers = NULL;

    exchange->wants_head = request->method == METHOD_HEAD;
    enum h1_fault fault = framing_of_request(request, &exchange->framing);
    if (fault != H1_FAULT_NONE) {
        client->wire.fault = fault;
        return h1_fault_request_err(fault);
    }
    if (exchange->framing.body == BODY_CHUNKED) {
        trailers = arena_alloc(&exchange->arena, sizeof *trailers);
        if (!trailers)
            return WEIR_E_NO_MEMORY;
        fields_init(trailers);
    }
    framing_persistence(&request->fields, &said);
    exchange->close |= !framing_persists(request->minor, &said);
    const struct field *expect = fields_find(&request->fields, FIELD_EXPECT);
    exchange->awaits_continue = expect && request->minor > 0 &&
                                exchange->framing.body != BODY_NONE &&
                                slice_equal_nocase(expect->value, SLICE("100-continue"));
    h1_wire_start_body(&client->wire, &exchange->framing, trailers);
    if (options->max_request_body && exchange->framing.body == BODY_LENGTH &&
        exchange->framing.length > options->max_request_body)
        return WEIR_E_REQUEST_BODY_LENGTH;
    return WEIR_OK;
}

static void forget_request(struct exchange *exchange)
{
    memset(exchange->request, 0, offsetof(struct http_request, fields));
    fields_init(&exchange->request->fields);
    exchange->request->minor = 1;
}

/* WEIR_E_EOF: the client has ended the connection between two requests. */
WEIR_SUSPENDS static enum weir_err receive_request(struct exchange *exchange)
{
    struct client *client = client_of(exchange);
    const struct client_options *options = client->downstream->client;
    exchange->request = arena_alloc(&exchange->arena, sizeof *exchange->request);
    if (!exchange->request)
        return WEIR_E_NO_MEMORY;
    enum weir_err err = h1_wire_request(&client->wire, deadline_of(client, options->header_timeout),
                                        exchange->request);
    if (err)
        forget_request(exchange);
    else
        err = read_head(exchange);
    return err == WEIR_E_TIMEOUT ? WEIR_E_REQUEST_TIMEOUT : err;
}

static void apply_limits(struct exchange *exchange)
{
    struct client *client = client_of(exchange);
    uint64_t limit = client->downstream->client->keepalive_request_limit;
    client->requests++;
    stat_add(&client->downstream->requests[HTTP_1], 1);
    exchange->at_limit = limit > 0 && client->requests >= limit;
    exchange->close |= exchange->at_limit || client->downstream->draining ||
                       client->downstream->client->keepalive_timeout.ns == 0;
}

/* Reads the rest of a body that nobody wanted. True when the next request can follow. */
WEIR_SUSPENDS static bool drain_body(struct client *client)
{
    struct weir_time deadline = deadline_of(client, DRAIN_TIME);
    struct http_piece piece;
    for (size_t bytes = 0; bytes < DRAIN_BYTES; bytes += piece.bytes) {
        if (h1_wire_piece(&client->wire, deadline, &piece) != WEIR_OK)
            return false;
        if (piece.last)
            return true;
    }
    return false;
}

WEIR_SUSPENDS static enum client_next what_next(struct exchange *exchange)
{
    struct client *client = client_of(exchange);
    if (!exchange->done)
        return CLIENT_CUT;
    if (exchange->close)
        return CLIENT_LINGER;
    if (!h1_wire_body_done(&client->wire) && !drain_body(client))
        return CLIENT_LINGER;
    return CLIENT_NEXT_REQUEST;
}

WEIR_SUSPENDS static enum client_next serve(struct exchange *exchange)
{
    struct client *client = client_of(exchange);
    struct downstream *downstream = client->downstream;
    enum weir_err err = receive_request(exchange);
    /* Nobody is left to be answered, and nothing was asked. */
    if (err == WEIR_E_EOF)
        return CLIENT_CLOSE;
    if (err == WEIR_E_RESET || err == WEIR_E_CANCELED || !exchange->request)
        return CLIENT_CUT;
    exchange->error = client->complaint ? client->complaint : err;
    exchange->close = exchange->close || exchange->error;
    apply_limits(exchange);
    downstream->handler(downstream->owner, exchange);
    return what_next(exchange);
}

enum client_next client_serve_h1(struct client *client)
{
    struct loop *loop = client->downstream->loop;
    struct h1_exchange self = {
        .client = client,
        .exchange = {.ops = &h1_ops,
                     .loop = loop,
                     .client = client->from,
                     .client_number = client->number,
                     .local = client->local ? client->local : &client->listening->addr,
                     .tls = tls_facts_of(client->stream),
                     .began = loop_now(loop)},
    };
    uint64_t sent_before = client->out.sent_bytes;
    client->out.sent_bytes = 0;
    client->responding = false;
    arena_init(&self.exchange.arena, &loop->arenas, ARENA_BYTES);
    enum client_next next = serve(&self.exchange);
    arena_fini(&self.exchange.arena);
    h1_wire_drop_head(&client->wire);
    client->out.sent_bytes += sent_before;
    return next;
}
