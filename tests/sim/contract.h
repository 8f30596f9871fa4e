/* SPDX-License-Identifier: MIT */
#ifndef SIM_CONTRACT_H
#define SIM_CONTRACT_H

/*
 * What every backend must do, as tests that run over any of them: the kernel's sockets must pass
 * them, and so must the simulated ones, or what the simulator proves would mean nothing.
 *
 * The scenarios are in contract_bytes.h, contract_now.h and contract_watch.h.
 */

#include "base/check.h"
#include "base/slice.h"
#include "co/scope.h"
#include "co/wait.h"
#include "tests/sim/long_text.h"
#include "tests/sim/server.h"

#include "tests/check.h"

/* One backend at one address, and the scenario that runs there. */
struct contract {
    struct loop *loop;
    const char *addr;   /* where servers listen; tells the port 0 or a Unix path, as addr_parse() */
    size_t flood_bytes; /* more than any of its buffers take */
    bool has_resets;    /* Unix sockets of the kernel have none: their peers see an end */
    const char *name;
    WEIR_SUSPENDS void (*run)(struct contract *self);
    struct streams streams;
    struct server server;
    struct co *waiting; /* for expect_soon() */
};

#define CONTRACT_SOON weir_span_s(5)

static struct weir_time soon(const struct contract *self)
{
    return loop_deadline(self->loop, CONTRACT_SOON);
}

WEIR_SUSPENDS static enum weir_err send_text(struct stream *stream, const char *text,
                                             struct weir_time deadline)
{
    struct weir_slice slice = slice_str(text);
    return stream_send(stream, &slice, 1, deadline, NULL);
}

/* Receives exactly this text. */
WEIR_SUSPENDS static bool recv_text(struct stream *stream, const char *text,
                                    struct weir_time deadline)
{
    size_t at = 0, len = strlen(text);
    while (at < len) {
        struct iobuf *buf;
        if (!CHECK_OK(stream_recv(stream, deadline, &buf)))
            return false;
        struct weir_slice got = iobuf_slice(buf);
        bool same = CHECK(got.len > 0 && got.len <= len - at) &&
                    CHECK(memcmp(got.at, text + at, got.len) == 0);
        at += got.len;
        iobuf_give(&stream->loop->bufs, &buf);
        if (!same)
            return false;
    }
    return true;
}

/* Receives long text from byte *at on until an error, which it returns. */
WEIR_SUSPENDS static enum weir_err recv_long(struct stream *stream, struct weir_time deadline,
                                             size_t *at)
{
    for (;;) {
        struct iobuf *buf;
        TRY(stream_recv(stream, deadline, &buf));
        struct weir_slice got = iobuf_slice(buf);
        CHECK(got.len > 0 && is_long_text(got, *at));
        *at += got.len;
        iobuf_give(&stream->loop->bufs, &buf);
    }
}

WEIR_SUSPENDS static struct stream *dial_server(struct contract *self)
{
    struct stream *stream = NULL;
    struct dial_options options = {0};
    enum weir_err err = socket_stream_dial(&self->streams.sockets, &self->server.addr, &options,
                                           soon(self), &stream);
    CHECK_OK(err);
    return stream;
}

/* Parks until `*happened`, which somebody sets who then wakes self->waiting. */
WEIR_SUSPENDS static bool expect_soon(struct contract *self, const bool *happened)
{
    struct weir_time deadline = soon(self);
    self->waiting = co_self();
    while (!*happened && co_wait(deadline) == WEIR_OK)
        ;
    self->waiting = NULL;
    return *happened;
}

static void contract_main(void *argument)
{
    struct contract *self = argument;
    self->run(self);
    loop_stop(self->loop);
}

/* Runs one scenario; everything that it used must be gone afterwards. */
static void contract_run_one(struct contract *self)
{
    struct loop *loop = self->loop;
    unsigned failures = check_failures;
    atomic_store(&loop->stopping, false);
    streams_init(&self->streams, loop);
    CHECK_OK(co_spawn(&loop->sched, NULL, "test", contract_main, self, NULL));
    loop_run(loop);
    CHECK_EQ(0, loop->bufs.used_count);
    CHECK_EQ(0, loop->sched.co_count);
    streams_fini(&self->streams);
    if (check_failures != failures)
        printf("# so much for %s at %s (%s)\n", self->name, self->addr, loop->ops->name);
}

/* Does what the letters say, one for each byte that comes. */
static void serve_orders(struct server *server, struct stream **stream, unsigned number)
{
    (void)number;
    struct iobuf *buf;
    while (*stream && stream_recv(*stream, WEIR_NEVER, &buf) == WEIR_OK) {
        struct weir_slice orders = iobuf_slice(buf);
        for (size_t i = 0; i < orders.len && *stream; i++) {
            if (orders.at[i] == 's')
                CHECK_OK(send_text(*stream, "!", WEIR_NEVER));
            else
                stream_close(stream, orders.at[i] == 'r');
        }
        iobuf_give(&server->loop->bufs, &buf);
    }
}

#endif
