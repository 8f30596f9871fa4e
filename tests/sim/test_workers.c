/* SPDX-License-Identifier: MIT */
/* Several loops in one world: they share a listener, and hand connections to each other by mail. */
#include "base/check.h"
#include "base/slice.h"
#include "stream/streams.h"
#include "tests/sim/sim.h"

#include "tests/check.h"

#include <stdlib.h>

enum { WORKERS = 3, CALLS = 40 };

struct worker {
    struct loop loop;
    struct sock listener;
    struct streams streams;
    struct workers *workers;
    unsigned answered, called, refused;
};

struct workers {
    struct sim_world world;
    struct worker each[WORKERS];
    struct addr addr;
    int descriptor;
    unsigned callers;
};

/* A connection on its way from the worker that accepted it to the one that will serve it. */
struct handing {
    struct mail mail;
    struct worker *to;
    int descriptor;
};

struct call {
    struct worker *worker;
    struct stream *stream;
};

static void answer_call(void *argument)
{
    struct call *call = argument;
    struct weir_slice text = SLICE("here");
    if (stream_send(call->stream, &text, 1, WEIR_NEVER, NULL) == WEIR_OK)
        call->worker->answered++;
    stream_close(&call->stream, false);
    free(call);
}

static void take_call(struct mail *mail)
{
    struct handing *handing = container_of(mail, struct handing, mail);
    struct call *call = calloc(1, sizeof *call);
    must(call && loop_here() == &handing->to->loop);
    call->worker = handing->to;
    CHECK_OK(
        socket_stream_attach(&handing->to->streams.sockets, handing->descriptor, &call->stream));
    CHECK_OK(co_spawn(&handing->to->loop.sched, NULL, "answer", answer_call, call, NULL));
    free(handing);
}

/* Hands the connection to any worker, itself included. */
static void hand_call(struct sock *listener, int number, const struct addr *from)
{
    struct workers *workers = listener->watch_owner;
    must(loop_here() == listener->loop && from->len > 0);
    struct handing *handing = calloc(1, sizeof *handing);
    must(handing);
    handing->to = &workers->each[rand_below(&workers->world.rand, WORKERS)];
    handing->descriptor = number;
    handing->mail.deliver = take_call;
    loop_post(&handing->to->loop, &handing->mail);
}

static void make_calls(void *argument)
{
    struct worker *self = argument;
    struct workers *workers = self->workers;
    struct dial_options options = {0};
    for (int i = 0; i < CALLS; i++) {
        struct stream *stream;
        struct iobuf *buf;
        enum weir_err err = socket_stream_dial(&self->streams.sockets, &workers->addr, &options,
                                               WEIR_NEVER, &stream);
        self->refused += err != WEIR_OK;
        if (err)
            continue;
        self->called++;
        for (err = WEIR_OK; !err;) {
            err = stream_recv(stream, WEIR_NEVER, &buf);
            if (!err)
                iobuf_give(&self->loop.bufs, &buf);
        }
        CHECK_ERR(WEIR_E_EOF, err);
        stream_close(&stream, false);
    }
    if (--workers->callers == 0)
        for (int i = 0; i < WORKERS; i++)
            loop_stop(&workers->each[i].loop);
}

static void open_workers(struct workers *workers, uint64_t seed)
{
    struct listen_options options = {0};
    *workers = (struct workers){
        .callers = WORKERS,
    };
    CHECK_OK(addr_parse(SLICE("10.0.0.1:80"), &workers->addr));
    sim_world_init(&workers->world, seed);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers->each[i];
        worker->workers = workers;
        CHECK_OK(sim_loop_init(&workers->world, &worker->loop, i));
        streams_init(&worker->streams, &worker->loop);
        if (i == 0)
            CHECK_OK(worker->loop.ops->listen(worker->loop.backend, &workers->addr, &options,
                                              &workers->descriptor));
        CHECK_OK(
            sock_accept(&worker->loop, &worker->listener, workers->descriptor, hand_call, workers));
        CHECK_OK(co_spawn(&worker->loop.sched, NULL, "calls", make_calls, worker, NULL));
    }
}

static void close_workers(struct workers *workers)
{
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers->each[i];
        sim_enter(&worker->loop);
        sock_close(&worker->listener, false);
        if (i == WORKERS - 1)
            worker->loop.ops->close_descriptor(worker->loop.backend, workers->descriptor);
        streams_fini(&worker->streams);
        sim_loop_fini(&worker->loop);
    }
    CHECK_EQ(0, workers->world.open_count);
    sim_world_fini(&workers->world);
}

static uint64_t run_workers(uint64_t seed)
{
    struct workers workers;
    unsigned answered = 0, called = 0;
    open_workers(&workers, seed);
    sim_run(&workers.world, WEIR_NEVER);
    CHECK(!workers.world.stuck);
    for (int i = 0; i < WORKERS; i++) {
        CHECK(workers.each[i].answered > 10);
        answered += workers.each[i].answered;
        called += workers.each[i].called;
    }
    CHECK_EQ(WORKERS * CALLS, called);
    CHECK_EQ(called, answered);
    uint64_t hash = workers.world.trace_hash;
    close_workers(&workers);
    return hash;
}

TEST(loops_share_a_listener_and_hand_connections_over)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint64_t hash = run_workers(seed);
        CHECK(hash == run_workers(seed));
        CHECK(hash != run_workers(seed + 100));
    }
}

CHECK_MAIN
