/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_DOWNSTREAM_HOST_H
#define TESTS_UNIT_DOWNSTREAM_HOST_H

/*
 * A downstream on the stage's loop, whose handler the test chooses, and clients on loopback that
 * are plain sockets in the test's hand.
 */

#include "downstream/client.h"
#include "downstream/fail.h"
#include "tests/unit/http/raw.h"

enum { HOST_BODY_SIZE = 64 * 1024 };

struct host {
    struct downstream downstream;
    struct client_options options; /* changed by tests as they like, before a client comes */
    struct raw_listener listener;
    unsigned requests;   /* how often the handler was called */
    enum weir_err error; /* what the last exchange came with, or its handler met */
    bool at_limit;       /* of the last one */
    uint64_t sent_bytes, received_bytes;
    char body[HOST_BODY_SIZE]; /* of the last request, NUL-terminated */
    size_t body_bytes;
};

static struct host host;

static inline void host_open(exchange_handler_fn *handler)
{
    client_options_init(&host.options);
    host.requests = 0;
    host.error = WEIR_OK;
    struct downstream_options options = {
        .loop = &stage.loop,
        .streams = &stage.streams,
        .client = &host.options,
        .handler = handler,
        .owner = &host,
    };
    downstream_init(&host.downstream, &options);
    raw_listen(&host.listener);
}

/* Every client must go: the test has closed its side, or seen that the other one did. */
WEIR_SUSPENDS static inline void host_close(void)
{
    STAGE_UNTIL(downstream_is_empty(&host.downstream));
    CHECK_EQ(0, stat_read(&host.downstream.open));
    CHECK_EQ(0, atomic_load(&host.downstream.load));
    downstream_fini(&host.downstream);
    raw_close(host.listener.descriptor);
}

/* A client that is connected to a listener with these options, which outlive it. */
WEIR_SUSPENDS static inline int host_client_to(const struct listener_options *listening)
{
    int client = raw_dial(&host.listener.addr);
    int server = raw_accept(&host.listener);
    struct addr from = raw_addr_of(client);
    atomic_fetch_add(&host.downstream.load, 1);
    downstream_open(&host.downstream, listening, server, &from);
    return client;
}

WEIR_SUSPENDS static inline int host_client(void)
{
    static const struct listener_options plain;
    return host_client_to(&plain);
}

/* The only client that there is. */
static inline struct client *host_only(void)
{
    must(!list_is_empty(&host.downstream.clients));
    return container_of(list_first(&host.downstream.clients), struct client, link);
}

static inline bool host_is_parked(void)
{
    return !list_is_empty(&host.downstream.clients) && !host_only()->co;
}

static inline void host_keep_body(const struct http_piece *piece)
{
    for (unsigned i = 0; i < piece->count; i++) {
        struct weir_slice slice = piece->slices[i];
        if (host.body_bytes + slice.len < HOST_BODY_SIZE)
            memcpy(host.body + host.body_bytes, slice.at, slice.len);
        host.body_bytes += slice.len;
    }
    if (host.body_bytes < HOST_BODY_SIZE)
        host.body[host.body_bytes] = '\0';
}

/* Reads the request's body to its end. */
WEIR_SUSPENDS static inline enum weir_err host_read_body(struct exchange *exchange)
{
    struct http_piece piece;
    host.body_bytes = 0;
    host.body[0] = '\0';
    do {
        TRY(exchange_recv_piece(exchange, &piece));
        host_keep_body(&piece);
    } while (!piece.last);
    return WEIR_OK;
}

static inline void host_note(struct exchange *exchange)
{
    host.requests++;
    host.error = exchange->error;
    host.at_limit = exchange->at_limit;
}

/* Answers 200 with method, path and body; an exchange that is no request, with its error. */
WEIR_SUSPENDS static inline void host_echo(void *owner, struct exchange *exchange)
{
    static char text[HOST_BODY_SIZE + 200];
    must(owner == &host);
    host_note(exchange);
    enum weir_err err = exchange->error;
    if (!err)
        err = host_read_body(exchange);
    host.error = err;
    if (err) {
        exchange_fail(exchange, err);
        return;
    }
    int length =
        snprintf(text, sizeof text, "[%.*s %.*s %s]", SLICE_ARGS(exchange->request->method_text),
                 SLICE_ARGS(exchange->request->path), host.body);
    host.error =
        exchange_answer(exchange, 200, SLICE("text/plain"), slice_of(text, (size_t)length));
    host.sent_bytes = exchange_sent_bytes(exchange);
    host.received_bytes = exchange->received_bytes;
}

/* The same without reading the body. */
WEIR_SUSPENDS static inline void host_ignore_body(void *owner, struct exchange *exchange)
{
    must(owner == &host);
    host_note(exchange);
    if (exchange->error)
        exchange_fail(exchange, exchange->error);
    else
        host.error = exchange_answer(exchange, 200, SLICE("text/plain"), SLICE("[ignored]"));
}

#endif
