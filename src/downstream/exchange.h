/* SPDX-License-Identifier: MIT */
#ifndef DOWNSTREAM_EXCHANGE_H
#define DOWNSTREAM_EXCHANGE_H

/*
 * One downstream request and its response: what a handler sees, whatever protocol the client
 * speaks. The handler runs in the exchange's own coroutine and answers in order: interim heads, one
 * final head, pieces. One coroutine receives the request's body, one sends.
 *
 * An exchange that comes with `error` set has no usable request: it is there to be answered and
 * logged.
 */

#include "base/arena.h"
#include "http/framing.h"
#include "http/piece.h"
#include "stream/tls.h"
#include <weir/suspends.h>

struct exchange;

struct exchange_ops {
    enum weir_err (*piece_now)(struct exchange *exchange, struct http_piece *ret_piece);
    WEIR_SUSPENDS enum weir_err (*recv_piece)(struct exchange *exchange,
                                              struct http_piece *ret_piece);
    enum weir_err (*send_head)(struct exchange *exchange, struct http_response *response,
                               const struct http_framing *framing);
    bool (*retract_head)(struct exchange *exchange);
    WEIR_SUSPENDS enum weir_err (*flush)(struct exchange *exchange);
    WEIR_SUSPENDS enum weir_err (*send_piece)(struct exchange *exchange,
                                              const struct http_piece *piece);
    uint64_t (*sent_bytes)(const struct exchange *exchange);
};

struct exchange {
    const struct exchange_ops *ops;
    struct loop *loop;
    struct arena arena; /* lives as long as the exchange */
    struct http_request *request;
    struct http_framing framing; /* of the request */
    struct addr client;
    uint64_t client_number;   /* of the client's connection, in this process */
    const struct addr *local; /* where the client has connected to */
    struct tls_facts tls;     /* of the client's connection */
    struct weir_time began;
    uint64_t received_bytes; /* of the request's body */
    uint16_t status;         /* of the final response, 0 before */
    bool head_sent;          /* a final head was given to send_head */
    bool done;               /* the response was sent to its end */
    bool close;              /* the connection ends after this exchange */
    bool at_limit;           /* ... because of keepalive_request_limit */
    bool awaits_continue;    /* the client waits for 100 before it sends its body */
    bool wants_head;         /* ... and nothing else: HEAD, whatever becomes of `request` */
    enum weir_err error;     /* why it failed, as it was first seen */
};

typedef WEIR_SUSPENDS void exchange_handler_fn(void *owner, struct exchange *exchange);

/*
 * What of the request's body is here already, without waiting: a piece with nothing in it that is
 * not the last when nothing is. Errors as recv_piece().
 */
static inline enum weir_err exchange_piece_now(struct exchange *exchange,
                                               struct http_piece *ret_piece)
{
    return exchange->ops->piece_now(exchange, ret_piece);
}

/*
 * Waits for a piece of the request's body, valid until the next call. WEIR_E_CLIENT_GONE,
 * _REQUEST_TIMEOUT, _REQUEST_MALFORMED, _REQUEST_BODY_LENGTH, _CANCELED.
 */
WEIR_SUSPENDS static inline enum weir_err exchange_recv_piece(struct exchange *exchange,
                                                              struct http_piece *ret_piece)
{
    return exchange->ops->recv_piece(exchange, ret_piece);
}

/*
 * Writes a head down, interim or final; it is sent with the first piece, or by flush. `framing`
 * tells the body that will be given; what frames it on this connection is put into the response's
 * fields. WEIR_E_LIMIT, _NO_MEMORY.
 */
static inline enum weir_err exchange_send_head(struct exchange *exchange,
                                               struct http_response *response,
                                               const struct http_framing *framing)
{
    return exchange->ops->send_head(exchange, response, framing);
}

/*
 * Takes back a final head that was only written down, so that another answer can be given. False
 * when it, or a part of it, is on its way.
 */
static inline bool exchange_retract_head(struct exchange *exchange)
{
    return exchange->ops->retract_head(exchange);
}

/* Sends heads that were only written down. WEIR_E_CLIENT_GONE, _CLIENT_WRITE_TIMEOUT, _CANCELED. */
WEIR_SUSPENDS static inline enum weir_err exchange_flush(struct exchange *exchange)
{
    return exchange->ops->flush(exchange);
}

/* Sends a piece of the response's body, and what waits before it. Errors as flush. */
WEIR_SUSPENDS static inline enum weir_err exchange_send_piece(struct exchange *exchange,
                                                              const struct http_piece *piece)
{
    return exchange->ops->send_piece(exchange, piece);
}

/* Bytes given to the client so far, heads included. */
static inline uint64_t exchange_sent_bytes(const struct exchange *exchange)
{
    return exchange->ops->sent_bytes(exchange);
}

#endif
