/* SPDX-License-Identifier: MIT */
#ifndef SIM_CONTRACT_NOW_H
#define SIM_CONTRACT_NOW_H

/* Scenarios of what is sent without waiting. */

#include "tests/sim/contract_bytes.h"

static void a_few_words_go_at_once(struct contract *self)
{
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_echo, self));
    struct stream *stream = dial_server(self);
    CHECK_EQ(0, stream_send_now(stream, SLICE("")));
    CHECK_EQ(6, stream_send_now(stream, SLICE("first,")));
    CHECK_EQ(7, stream_send_now(stream, SLICE(" second")));
    recv_text(stream, "first, second", soon(self));
    CHECK_OK(send_text(stream, "waited for,", soon(self)));
    CHECK_EQ(7, stream_send_now(stream, SLICE(" and so")));
    CHECK_OK(send_text(stream, " on", soon(self)));
    recv_text(stream, "waited for, and so on", soon(self));
    stream_close(&stream, false);
    server_close(&self->server);
}

/* Until it is full; what was told to have gone comes, and no more. */
static void what_goes_at_once_is_told(struct contract *self)
{
    struct flooded flooded = {.test = self};
    char *text = long_text(self->flood_bytes);
    size_t sent = 0, count;
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_flood, &flooded));
    struct stream *stream = dial_server(self);
    do {
        size_t left = self->flood_bytes - sent;
        count = stream_send_now(stream, slice_of(text + sent, left < 50000 ? left : 50000));
        sent += count;
    } while (count > 0 && sent < self->flood_bytes);
    CHECK(sent > 0 && sent < self->flood_bytes);
    CHECK_OK(co_sleep(weir_span_ms(20)));
    stream_shut(stream, WEIR_NEVER);
    CHECK_EQ(0, stream_send_now(stream, SLICE("too late")));
    flooded.go = true;
    co_wake(flooded.co);
    CHECK(expect_soon(self, &flooded.done));
    CHECK_EQ(sent, flooded.got);
    CHECK_ERR(WEIR_E_EOF, flooded.err);
    stream_close(&stream, false);
    server_close(&self->server);
    free(text);
}

/* Between the bytes of a send no others may go. */
static void nothing_goes_at_once_while_somebody_sends(struct contract *self)
{
    struct flooded flooded = {.test = self};
    struct scope scope;
    char *text = long_text(self->flood_bytes);
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_flood, &flooded));
    struct stream *stream = dial_server(self);
    struct upload up = {
        .stream = stream, .text = text, .len = self->flood_bytes, .deadline = soon(self)};
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "upload", upload, &up));
    CHECK_OK(co_sleep(weir_span_ms(20)));
    CHECK(!scope_is_empty(&scope));
    flooded.go = true;
    co_wake(flooded.co);
    while (!scope_is_empty(&scope)) {
        CHECK_EQ(0, stream_send_now(stream, SLICE("!")));
        if (!CHECK_OK(co_sleep(weir_span_ms(1))))
            break;
    }
    CHECK_OK(scope_join(&scope));
    CHECK_OK(up.err);
    CHECK(expect_soon(self, &flooded.done));
    CHECK_EQ(self->flood_bytes, flooded.got);
    stream_close(&stream, false);
    server_close(&self->server);
    free(text);
}

static void nothing_goes_at_once_to_one_that_is_gone(struct contract *self)
{
    struct iobuf *buf;
    struct weir_time deadline = soon(self);
    size_t count = 1;
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_orders, self));
    struct stream *stream = dial_server(self);
    CHECK_OK(send_text(stream, "c", soon(self)));
    CHECK_ERR(WEIR_E_EOF, stream_recv(stream, soon(self), &buf));
    while (count > 0 && weir_time_before(loop_now(self->loop), deadline)) {
        count = stream_send_now(stream, SLICE("x"));
        CHECK_OK(co_sleep(weir_span_ms(1)));
    }
    CHECK_EQ(0, count);
    stream_close(&stream, false);
    server_close(&self->server);
}

#endif
