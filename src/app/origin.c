/* SPDX-License-Identifier: MIT */
#include "app/origin.h"

#include "base/check.h"
#include "downstream/fail.h"
#include "server/local.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES = 512, SHOWN_BYTES = 160 };

struct origin {
    struct local local;
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

enum weir_err origin_open(struct workers *workers, const struct addr *addr,
                          struct origin **ret_origin)
{
    struct origin *origin = calloc(1, sizeof *origin);
    if (!origin)
        return WEIR_E_NO_MEMORY;
    struct local_options options = {.handler = origin_serve, .owner = origin};
    enum weir_err err = local_open(&origin->local, workers, addr, &options);
    if (err)
        free(origin);
    else
        *ret_origin = origin;
    return err;
}

void origin_close(struct origin **origin)
{
    if (*origin)
        local_close(&(*origin)->local);
    free(*origin);
    *origin = NULL;
}
