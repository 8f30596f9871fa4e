/* SPDX-License-Identifier: MIT */
#include "app/origin.h"

#include "app/program.h"
#include "base/check.h"
#include "downstream/fail.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES = 512, SHOWN_BYTES = 160 };

struct origin {
    struct program *program;
    struct listener_group group;
    struct listener listener;
    struct client_options client;
    struct downstream downstream;
    uint64_t requests;
};

static struct weir_slice shorten(struct weir_slice slice)
{
    return slice_of(slice.at, slice.len < SHOWN_BYTES ? slice.len : SHOWN_BYTES);
}

/* Reads the request's body to its end, so that the connection stays. */
WEIR_SUSPENDS static enum weir_err read_body(struct exchange *exchange)
{
    struct http_piece piece;
    do
        TRY(exchange_recv_piece(exchange, &piece));
    while (!piece.last);
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err answer(struct origin *origin, struct exchange *exchange)
{
    char *text = arena_alloc(&exchange->arena, TEXT_BYTES);
    if (exchange->error)
        return exchange->error;
    if (!text)
        return WEIR_E_NO_MEMORY;
    TRY(read_body(exchange));
    const struct http_request *request = exchange->request;
    int len = snprintf(
        text, TEXT_BYTES, "Hello from the origin: %.*s %.*s, request %llu, body %llu bytes\n",
        SLICE_ARGS(shorten(request->method_text)), SLICE_ARGS(shorten(request->path)),
        (unsigned long long)++origin->requests, (unsigned long long)exchange->received_bytes);
    return exchange_answer(exchange, 200, SLICE("text/plain; charset=utf-8"),
                           slice_of(text, (size_t)len));
}

WEIR_SUSPENDS static void origin_serve(void *owner, struct exchange *exchange)
{
    enum weir_err err = answer(owner, exchange);
    if (err)
        exchange_fail(exchange, err);
}

enum weir_err origin_open(struct program *program, const struct addr *addr,
                          struct origin **ret_origin)
{
    struct origin *origin = calloc(1, sizeof *origin);
    if (!origin)
        return WEIR_E_NO_MEMORY;
    origin->program = program;
    client_options_init(&origin->client);
    enum weir_err err = listener_group_open(&origin->group, program->ops, NULL, addr);
    if (err)
        free(origin);
    else
        *ret_origin = origin;
    return err;
}

enum weir_err origin_start(struct origin *origin, struct worker *worker)
{
    struct downstream_options options = {
        .loop = &worker->loop,
        .streams = &worker->streams,
        .client = &origin->client,
        .handler = origin_serve,
        .owner = origin,
    };
    downstream_init(&origin->downstream, &options);
    origin->group.workers[0] = &origin->downstream;
    origin->group.worker_count = 1;
    return listener_start(&origin->listener, &origin->group, &origin->downstream);
}

void origin_drain(struct origin *origin)
{
    listener_stop(&origin->listener);
    downstream_drain(&origin->downstream);
    downstream_cancel(&origin->downstream);
}

bool origin_is_idle(const struct origin *origin)
{
    return downstream_is_empty(&origin->downstream);
}

void origin_stop(struct origin *origin)
{
    downstream_fini(&origin->downstream);
}

void origin_close(struct origin **origin)
{
    if (*origin)
        listener_group_close(&(*origin)->group, (*origin)->program->ops, NULL);
    free(*origin);
    *origin = NULL;
}
