/* SPDX-License-Identifier: MIT */
#ifndef SIM_CONTRACT_BYTES_H
#define SIM_CONTRACT_BYTES_H

/* Scenarios of dialling, sending and receiving. */

#include "tests/sim/contract.h"

static void serve_echo(struct server *server, struct stream **stream, unsigned number)
{
    (void)number;
    struct iobuf *buf;
    while (stream_recv(*stream, WEIR_NEVER, &buf) == WEIR_OK) {
        struct weir_slice bytes = iobuf_slice(buf);
        enum weir_err err = stream_send(*stream, &bytes, 1, WEIR_NEVER, NULL);
        iobuf_give(&server->loop->bufs, &buf);
        if (err)
            return;
    }
}

struct upload {
    struct stream *stream;
    const char *text;
    size_t len, sent;
    struct weir_time deadline;
    enum weir_err err;
};

/* In several slices, some of them empty, as a head and its body come. */
static void upload(void *argument)
{
    struct upload *self = argument;
    while (self->sent < self->len && !self->err) {
        struct weir_slice slices[SEND_SLICES_MAX];
        size_t at = self->sent, took;
        for (unsigned i = 0; i < SEND_SLICES_MAX; i++) {
            size_t piece = i * i * 37;
            if (piece > self->len - at)
                piece = self->len - at;
            slices[i] = slice_of(self->text + at, piece);
            at += piece;
        }
        self->err = stream_send(self->stream, slices, SEND_SLICES_MAX, self->deadline, &took);
        self->sent += took;
        CHECK(self->err || self->sent == at);
    }
    if (!self->err)
        stream_shut(self->stream, WEIR_NEVER);
}

static void echoes_a_long_text(struct contract *self)
{
    enum { LEN = 1000003 };
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_echo, self));
    struct stream *stream = dial_server(self);
    char *text = long_text(LEN);
    struct upload up = {.stream = stream, .text = text, .len = LEN, .deadline = soon(self)};
    struct scope scope;
    size_t got = 0;
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "upload", upload, &up));
    CHECK_ERR(WEIR_E_EOF, recv_long(stream, WEIR_NEVER, &got));
    CHECK_OK(scope_join(&scope));
    CHECK_OK(up.err);
    CHECK_EQ(LEN, got);
    CHECK(stream_peer_ended(stream));
    stream_close(&stream, false);
    free(text);
    server_close(&self->server);
}

static void serve_count(struct server *server, struct stream **stream, unsigned number)
{
    (void)server, (void)number;
    size_t got = 0;
    char text[24];
    CHECK_ERR(WEIR_E_EOF, recv_long(*stream, WEIR_NEVER, &got));
    snprintf(text, sizeof text, "%zu bytes", got);
    CHECK_OK(send_text(*stream, text, WEIR_NEVER));
}

static void answers_after_a_half_close(struct contract *self)
{
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_count, self));
    struct stream *stream = dial_server(self);
    char *text = long_text(5000);
    struct upload up = {.stream = stream, .text = text, .len = 5000, .deadline = soon(self)};
    struct iobuf *buf;
    upload(&up);
    recv_text(stream, "5000 bytes", soon(self));
    CHECK_ERR(WEIR_E_EOF, stream_recv(stream, soon(self), &buf));
    CHECK_ERR(WEIR_E_EOF, stream_recv(stream, soon(self), &buf)); /* it stays so */
    stream_close(&stream, false);
    free(text);
    server_close(&self->server);
}

static void serve_reset(struct server *server, struct stream **stream, unsigned number)
{
    (void)server, (void)number;
    recv_text(*stream, "cut me", WEIR_NEVER);
    stream_close(stream, true);
}

static void tells_a_reset_from_an_end(struct contract *self)
{
    struct iobuf *buf;
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_reset, self));
    struct stream *stream = dial_server(self);
    CHECK_OK(send_text(stream, "cut me", soon(self)));
    CHECK_ERR(self->has_resets ? WEIR_E_RESET : WEIR_E_EOF, stream_recv(stream, soon(self), &buf));
    CHECK(stream_peer_ended(stream));
    CHECK_ERR(WEIR_E_RESET, send_text(stream, "anyone?", soon(self)));
    stream_close(&stream, false);
    server_close(&self->server);
}

static void refuses_where_nobody_listens(struct contract *self)
{
    struct stream *stream = NULL;
    struct dial_options options = {0};
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_echo, self));
    server_stop(&self->server);
    CHECK_ERR(WEIR_E_REFUSED, socket_stream_dial(&self->streams.sockets, &self->server.addr,
                                                 &options, soon(self), &stream));
    CHECK(!stream);
    server_close(&self->server);
}

static void a_receive_ends_at_its_deadline(struct contract *self)
{
    struct iobuf *buf;
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_echo, self));
    struct stream *stream = dial_server(self);
    struct weir_time deadline = loop_deadline(self->loop, weir_span_ms(20));
    CHECK_ERR(WEIR_E_TIMEOUT, stream_recv(stream, deadline, &buf));
    CHECK(loop_now(self->loop).ns >= deadline.ns);
    CHECK_ERR(WEIR_E_TIMEOUT, stream_recv(stream, deadline, &buf));
    CHECK_OK(send_text(stream, "still here", soon(self)));
    recv_text(stream, "still here", soon(self));
    stream_close(&stream, false);
    server_close(&self->server);
}

struct reception {
    struct stream *stream;
    struct iobuf *buf;
    enum weir_err err;
    struct co *co;
};

static void receive(void *argument)
{
    struct reception *self = argument;
    self->co = co_self();
    self->err = stream_recv(self->stream, WEIR_NEVER, &self->buf);
}

static void a_canceled_receive_loses_nothing(struct contract *self)
{
    struct scope scope;
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_echo, self));
    struct stream *stream = dial_server(self);
    struct reception reception = {.stream = stream};
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "receive", receive, &reception));
    CHECK_OK(co_yield ());
    CHECK(reception.co);
    CHECK_OK(send_text(stream, "kept", soon(self)));
    co_cancel(reception.co);
    CHECK_OK(scope_join(&scope));
    CHECK_ERR(WEIR_E_CANCELED, reception.err);
    recv_text(stream, "kept", soon(self));
    stream_close(&stream, false);
    server_close(&self->server);
}

struct flooded {
    bool go, done;
    struct co *co;
    size_t got;
    enum weir_err err;
    struct contract *test;
};

static void serve_flood(struct server *server, struct stream **stream, unsigned number)
{
    (void)number;
    struct flooded *flooded = server->owner;
    flooded->co = co_self();
    while (!flooded->go && co_wait(WEIR_NEVER) == WEIR_OK)
        ;
    flooded->err = recv_long(*stream, WEIR_NEVER, &flooded->got);
    flooded->done = true;
    co_wake(flooded->test->waiting);
}

/* One send that the peer does not take; `cancel` or its deadline ends it. */
static void flood(struct contract *self, bool cancel)
{
    struct flooded flooded = {.test = self};
    struct scope scope;
    char *text = long_text(self->flood_bytes);
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_flood, &flooded));
    struct stream *stream = dial_server(self);
    CHECK_OK(co_sleep(weir_span_ms(1))); /* making the text has taken its time */
    struct upload up = {.stream = stream, .text = text, .len = self->flood_bytes};
    up.deadline = cancel ? WEIR_NEVER : loop_deadline(self->loop, weir_span_ms(50));
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "upload", upload, &up));
    CHECK_OK(co_sleep(weir_span_ms(cancel ? 50 : 100)));
    CHECK_EQ(!cancel, scope_is_empty(&scope));
    scope_cancel(&scope);
    CHECK_OK(scope_join(&scope));
    CHECK_ERR(cancel ? WEIR_E_CANCELED : WEIR_E_TIMEOUT, up.err);
    CHECK(up.sent < self->flood_bytes);
    stream_shut(stream, WEIR_NEVER);
    flooded.go = true;
    co_wake(flooded.co);
    CHECK(expect_soon(self, &flooded.done));
    CHECK_EQ(up.sent, flooded.got);
    CHECK_ERR(WEIR_E_EOF, flooded.err);
    stream_close(&stream, false);
    server_close(&self->server);
    free(text);
}

static void a_send_waits_until_its_deadline(struct contract *self)
{
    flood(self, false);
}

static void a_canceled_send_says_what_went_out(struct contract *self)
{
    flood(self, true);
}

static void serve_reset_unread(struct server *server, struct stream **stream, unsigned number)
{
    (void)server, (void)number;
    CHECK_OK(co_sleep(weir_span_ms(20)));
    stream_close(stream, true);
}

static void a_blocked_send_ends_with_the_connection(struct contract *self)
{
    char *text = long_text(self->flood_bytes);
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_reset_unread, self));
    struct stream *stream = dial_server(self);
    struct upload up = {
        .stream = stream, .text = text, .len = self->flood_bytes, .deadline = soon(self)};
    upload(&up);
    CHECK_ERR(WEIR_E_RESET, up.err);
    stream_close(&stream, false);
    server_close(&self->server);
    free(text);
}

static void knows_the_other_address(struct contract *self)
{
    struct addr addr;
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_echo, self));
    struct stream *stream = dial_server(self);
    CHECK_OK(stream_peer(stream, &addr));
    CHECK(addr_equal(&addr, &self->server.addr));
    stream_close(&stream, false);
    server_close(&self->server);
}

static void sending_to_one_that_closed_ends_in_a_reset(struct contract *self)
{
    enum weir_err err = WEIR_OK;
    struct iobuf *buf;
    struct weir_time deadline = soon(self);
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_orders, self));
    struct stream *stream = dial_server(self);
    CHECK_OK(send_text(stream, "c", soon(self)));
    CHECK_ERR(WEIR_E_EOF, stream_recv(stream, soon(self), &buf));
    while (!err && weir_time_before(loop_now(self->loop), deadline)) {
        err = send_text(stream, "x", soon(self));
        CHECK_OK(co_sleep(weir_span_ms(1)));
    }
    CHECK_ERR(WEIR_E_RESET, err);
    stream_close(&stream, false);
    server_close(&self->server);
}

struct visitor {
    struct contract *test;
    unsigned number;
};

static void visit_often(void *argument)
{
    struct visitor *self = argument;
    for (unsigned i = 0; i < 5; i++) {
        struct stream *stream = dial_server(self->test);
        char text[40];
        snprintf(text, sizeof text, "visitor %u comes for the time %u", self->number, i);
        if (!stream)
            return;
        for (int j = 0; j < 3; j++) {
            CHECK_OK(send_text(stream, text, soon(self->test)));
            recv_text(stream, text, soon(self->test));
        }
        stream_close(&stream, i % 2);
    }
}

static void serves_many_at_once(struct contract *self)
{
    struct visitor visitors[30];
    struct scope scope;
    scope_init(&scope);
    CHECK_OK(server_open(&self->server, self->loop, self->addr, serve_echo, self));
    for (unsigned i = 0; i < COUNT_OF(visitors); i++) {
        visitors[i] = (struct visitor){self, i};
        CHECK_OK(scope_spawn(&scope, "visitor", visit_often, &visitors[i]));
    }
    CHECK_OK(scope_join(&scope));
    CHECK_EQ(5 * COUNT_OF(visitors), self->server.accepted_count);
    server_close(&self->server);
}

#endif
