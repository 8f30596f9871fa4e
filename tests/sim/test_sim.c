/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/slice.h"
#include "co/wait.h"
#include "tests/sim/server.h"
#include "tests/sim/sim.h"

#include "tests/check.h"

/* A world with one loop, and what most tests need there. */
struct fixture {
    struct sim_world world;
    struct loop loop;
    struct streams streams;
    struct server server;
    WEIR_SUSPENDS void (*run)(struct fixture *self);
};

static void fixture_main(void *argument)
{
    struct fixture *self = argument;
    self->run(self);
    loop_stop(&self->loop);
}

static void open_fixture(struct fixture *self, uint64_t seed)
{
    sim_world_init(&self->world, seed);
    CHECK_OK(sim_loop_init(&self->world, &self->loop, 0));
    streams_init(&self->streams, &self->loop);
}

/* Runs `run` in a coroutine; afterwards everything must be closed. */
static void run_fixture(struct fixture *self, WEIR_SUSPENDS void (*run)(struct fixture *self))
{
    self->run = run;
    CHECK_OK(co_spawn(&self->loop.sched, NULL, "test", fixture_main, self, NULL));
    loop_run(&self->loop);
    CHECK(!self->world.stuck);
    CHECK_EQ(0, self->world.open_count);
    streams_fini(&self->streams);
    sim_loop_fini(&self->loop);
    sim_world_fini(&self->world);
}

static void run_calm(uint64_t seed, WEIR_SUSPENDS void (*run)(struct fixture *self))
{
    struct fixture fixture;
    open_fixture(&fixture, seed);
    run_fixture(&fixture, run);
}

WEIR_SUSPENDS static enum weir_err dial(struct fixture *self, const struct addr *addr,
                                        struct weir_time deadline, struct stream **ret_stream)
{
    struct dial_options options = {0};
    return socket_stream_dial(&self->streams.sockets, addr, &options, deadline, ret_stream);
}

static struct addr address(const char *text)
{
    struct addr addr = {0};
    CHECK_OK(addr_parse(slice_str(text), &addr));
    return addr;
}

static struct weir_time in_ms(struct fixture *self, int64_t ms)
{
    return loop_deadline(&self->loop, weir_span_ms(ms));
}

TEST(a_world_with_nothing_to_do_is_stuck)
{
    struct sim_world world;
    struct loop loop;
    sim_world_init(&world, 1);
    CHECK_OK(sim_loop_init(&world, &loop, 0));
    loop_run(&loop);
    CHECK(world.stuck);
    sim_loop_fini(&loop);
    sim_world_fini(&world);
}

/* The clock. */

static void sleep_an_hour(struct fixture *self)
{
    struct weir_time before = loop_now(&self->loop);
    CHECK_OK(co_sleep(weir_span_s(3600)));
    int64_t slept_ms = weir_span_to_ms(weir_time_between(before, loop_now(&self->loop)));
    CHECK(slept_ms >= 3600000 && slept_ms <= 3600002);
}

TEST(the_clock_jumps_to_the_next_deadline)
{
    run_calm(1, sleep_an_hour);
}

/* Workers that are kept from their work. */

struct sleeper {
    struct loop loop;
    struct weir_span longest;
    bool ended;
};

static void sleep_often(void *argument)
{
    struct sleeper *self = argument;
    for (int i = 0; i < 1000; i++) {
        struct weir_time before = loop_now(&self->loop);
        CHECK_OK(co_sleep(weir_span_ms(1)));
        struct weir_span slept = weir_time_between(before, loop_now(&self->loop));
        self->longest = slept.ns > self->longest.ns ? slept : self->longest;
    }
    self->ended = true;
    loop_stop(&self->loop);
}

static int64_t longest_sleep_ms(unsigned stall, unsigned loops)
{
    struct sim_world world;
    struct sleeper sleepers[2] = {0};
    int64_t longest_ms = 0;
    sim_world_init(&world, 1);
    world.faults.stall = stall;
    world.faults.stall_max = weir_span_ms(50);
    for (unsigned i = 0; i < loops; i++) {
        CHECK_OK(sim_loop_init(&world, &sleepers[i].loop, i));
        CHECK_OK(
            co_spawn(&sleepers[i].loop.sched, NULL, "sleeper", sleep_often, &sleepers[i], NULL));
    }
    sim_run(&world, WEIR_NEVER);
    CHECK(!world.stuck);
    for (unsigned i = 0; i < loops; i++) {
        CHECK(sleepers[i].ended);
        int64_t ms = weir_span_to_ms(sleepers[i].longest);
        longest_ms = ms > longest_ms ? ms : longest_ms;
        sim_loop_fini(&sleepers[i].loop);
    }
    sim_world_fini(&world);
    return longest_ms;
}

TEST(a_loop_may_be_kept_from_its_turn)
{
    for (unsigned loops = 1; loops <= 2; loops++) {
        CHECK(longest_sleep_ms(0, loops) <= 3);
        int64_t longest_ms = longest_sleep_ms(20, loops);
        CHECK(longest_ms > 30 && longest_ms < 200);
    }
}

static void serve_greeting(struct server *server, struct stream **stream, unsigned number)
{
    struct weir_slice text = SLICE("hello");
    (void)server, (void)number;
    enum weir_err err = stream_send(*stream, &text, 1, WEIR_NEVER, NULL);
    CHECK(!err || err == WEIR_E_RESET); /* who dialled may be gone */
}

static void measure_latency(struct fixture *self)
{
    struct stream *stream;
    struct iobuf *buf;
    self->world.faults.latency_min = weir_span_ms(10);
    self->world.faults.latency_max = weir_span_ms(12);
    CHECK_OK(server_open(&self->server, &self->loop, "10.0.0.1:80", serve_greeting, self));
    struct weir_time start = loop_now(&self->loop);
    CHECK_OK(dial(self, &self->server.addr, WEIR_NEVER, &stream));
    int64_t dial_ms = weir_span_to_ms(weir_time_between(start, loop_now(&self->loop)));
    CHECK(dial_ms >= 20 && dial_ms <= 24);
    CHECK_OK(stream_recv(stream, WEIR_NEVER, &buf));
    int64_t recv_ms = weir_span_to_ms(weir_time_between(start, loop_now(&self->loop)));
    CHECK(recv_ms >= 30 && recv_ms <= 36);
    iobuf_give(&self->loop.bufs, &buf);
    CHECK_ERR(WEIR_E_EOF, stream_recv(stream, WEIR_NEVER, &buf));
    stream_close(&stream, false);
    server_close(&self->server);
}

TEST(segments_take_their_time)
{
    run_calm(2, measure_latency);
}

/* Dialling. */

static void dial_in_vain(struct fixture *self)
{
    struct stream *stream = NULL;
    struct addr addr = address("10.0.0.1:80");
    CHECK_ERR(WEIR_E_REFUSED, dial(self, &addr, WEIR_NEVER, &stream));
    CHECK_OK(server_open(&self->server, &self->loop, "10.0.0.1:80", serve_greeting, self));
    sim_bar(&self->world, &addr, SIM_REFUSES);
    CHECK_ERR(WEIR_E_REFUSED, dial(self, &addr, WEIR_NEVER, &stream));
    sim_bar(&self->world, &addr, SIM_SWALLOWS);
    struct weir_time deadline = in_ms(self, 500);
    CHECK_ERR(WEIR_E_TIMEOUT, dial(self, &addr, deadline, &stream));
    CHECK(loop_now(&self->loop).ns >= deadline.ns);
    self->world.open_limit = 1;
    CHECK_ERR(WEIR_E_NO_DESCRIPTORS, dial(self, &addr, WEIR_NEVER, &stream));
    self->world.open_limit = 10;
    self->world.faults.no_ports = 1000;
    CHECK_ERR(WEIR_E_NO_PORTS, dial(self, &addr, WEIR_NEVER, &stream));
    self->world.faults.no_ports = 0;
    CHECK_EQ(0, self->server.accepted_count);
    sim_bar(&self->world, &addr, SIM_OPEN);
    CHECK_OK(dial(self, &addr, in_ms(self, 500), &stream));
    stream_close(&stream, false);
    server_close(&self->server);
}

TEST(a_dial_fails_in_each_way)
{
    run_calm(3, dial_in_vain);
}

TEST(a_listener_on_every_address)
{
    struct fixture fixture;
    open_fixture(&fixture, 3);
    const struct backend_ops *ops = fixture.loop.ops;
    struct listen_options options = {0};
    struct addr any = address(":80"), one = address("10.1.2.3:80");
    int first, second;
    CHECK_OK(ops->listen(fixture.loop.backend, &any, &options, &first));
    CHECK_ERR(WEIR_E_ADDRESS_IN_USE, ops->listen(fixture.loop.backend, &any, &options, &second));
    CHECK_OK(ops->listen(fixture.loop.backend, &one, &options, &second));
    CHECK_EQ(2, fixture.world.open_count);
    ops->close_descriptor(fixture.loop.backend, first);
    CHECK_OK(ops->listen(fixture.loop.backend, &any, &options, &first));
    CHECK(first < second); /* the lowest free number, as with descriptors */
    ops->close_descriptor(fixture.loop.backend, first);
    ops->close_descriptor(fixture.loop.backend, second);
    streams_fini(&fixture.streams);
    sim_loop_fini(&fixture.loop);
    sim_world_fini(&fixture.world);
}

struct dialler {
    struct fixture *fixture;
    struct co *co;
    enum weir_err err;
};

static void dial_and_close(void *argument)
{
    struct dialler *self = argument;
    struct stream *stream = NULL;
    self->co = co_self();
    self->err = dial(self->fixture, &self->fixture->server.addr, WEIR_NEVER, &stream);
    stream_close(&stream, false);
}

static unsigned gave_up, arrived_late;

static void give_up_dialling(struct fixture *self)
{
    struct scope scope;
    struct dialler dialler = {.fixture = self};
    scope_init(&scope);
    self->world.faults.latency_max = weir_span_ms(100);
    CHECK_OK(server_open(&self->server, &self->loop, "10.0.0.1:80", serve_greeting, self));
    CHECK_OK(scope_spawn(&scope, "dialler", dial_and_close, &dialler));
    CHECK_OK(co_sleep(weir_span_ms((int64_t)rand_below(&self->world.rand, 150))));
    if (!scope_is_empty(&scope))
        co_cancel(dialler.co);
    CHECK_OK(scope_join(&scope));
    CHECK(dialler.err == WEIR_OK || dialler.err == WEIR_E_CANCELED);
    CHECK_OK(co_sleep(weir_span_s(1)));
    gave_up += dialler.err == WEIR_E_CANCELED;
    arrived_late += dialler.err == WEIR_E_CANCELED && self->server.accepted_count > 0;
    server_close(&self->server);
}

TEST(who_gives_up_dialling_may_still_arrive)
{
    gave_up = arrived_late = 0;
    for (uint64_t seed = 1; seed <= 100; seed++)
        run_calm(seed, give_up_dialling);
    CHECK(gave_up > 20);
    CHECK(arrived_late > 5 && arrived_late < gave_up);
}

/* Ends. */

static void serve_unread(struct server *server, struct stream **stream, unsigned number)
{
    (void)server, (void)stream, (void)number;
    CHECK_OK(co_sleep(weir_span_ms(10)));
}

static void leave_unread(struct fixture *self)
{
    struct stream *stream;
    struct weir_slice text = SLICE("nobody reads this");
    struct iobuf *buf;
    CHECK_OK(server_open(&self->server, &self->loop, "10.0.0.1:80", serve_unread, self));
    CHECK_OK(dial(self, &self->server.addr, WEIR_NEVER, &stream));
    CHECK_OK(stream_send(stream, &text, 1, WEIR_NEVER, NULL));
    CHECK_ERR(WEIR_E_RESET, stream_recv(stream, WEIR_NEVER, &buf));
    stream_close(&stream, false);

    /* Bytes that meet a closed end: first they go out, then the reset comes. */
    CHECK_OK(dial(self, &self->server.addr, WEIR_NEVER, &stream));
    CHECK_ERR(WEIR_E_EOF, stream_recv(stream, WEIR_NEVER, &buf));
    CHECK_OK(stream_send(stream, &text, 1, WEIR_NEVER, NULL));
    CHECK_OK(co_sleep(weir_span_ms(10)));
    CHECK_ERR(WEIR_E_RESET, stream_send(stream, &text, 1, WEIR_NEVER, NULL));
    stream_close(&stream, false);
    server_close(&self->server);
}

TEST(a_closed_end_resets_what_it_did_not_read)
{
    run_calm(4, leave_unread);
}

static bool looked_quiet, looked_ended;

static void look_before_the_end_is_announced(struct fixture *self)
{
    struct stream *stream;
    struct iobuf *buf = NULL;
    CHECK_OK(server_open(&self->server, &self->loop, "10.0.0.1:80", serve_unread, self));
    CHECK_OK(dial(self, &self->server.addr, WEIR_NEVER, &stream));
    self->world.faults.late_announce = 1000;
    self->world.faults.late_max = weir_span_ms(50);
    CHECK_OK(co_sleep(weir_span_ms(15)));
    if (stream_look(stream, LOOK_TOLD, &buf) == STREAM_QUIET) {
        looked_quiet = true;
        looked_ended |= stream_look(stream, LOOK_WELL, &buf) == STREAM_ENDED;
        CHECK(!stream_peer_ended(stream));
        CHECK_ERR(WEIR_E_EOF, stream_recv(stream, WEIR_NEVER, &buf));
    }
    stream_close(&stream, false);
    server_close(&self->server);
}

TEST(an_end_may_be_there_before_it_is_announced)
{
    looked_quiet = looked_ended = false;
    for (uint64_t seed = 1; seed <= 20; seed++)
        run_calm(seed, look_before_the_end_is_announced);
    CHECK(looked_quiet && looked_ended);
}

/* A coroutine that waits for ever is found, not waited for. */

static void wait_for_ever(void *argument)
{
    *(enum weir_err *)argument = co_wait(WEIR_NEVER);
}

TEST(a_coroutine_that_nobody_will_wake_is_found)
{
    struct fixture fixture;
    struct co *co;
    enum weir_err err = WEIR_OK;
    open_fixture(&fixture, 1);
    CHECK_OK(co_spawn(&fixture.loop.sched, NULL, "lost", wait_for_ever, &err, &co));
    loop_run(&fixture.loop);
    CHECK(fixture.world.stuck);
    CHECK_EQ(1, fixture.loop.sched.co_count);
    co_cancel(co);
    sched_run(&fixture.loop.sched);
    CHECK_ERR(WEIR_E_CANCELED, err);
    streams_fini(&fixture.streams);
    sim_loop_fini(&fixture.loop);
    sim_world_fini(&fixture.world);
}

/* Faults. */

enum { RIDERS = 6, RIDES = 8 };

struct rider {
    struct fixture *fixture;
    struct weir_span patience;
    unsigned exact, failed;
};

enum { MESSAGE_MAX = 700 };

struct message {
    size_t len; /* with the two bytes that tell it */
    unsigned char bytes[MESSAGE_MAX + 2];
};

WEIR_SUSPENDS static enum weir_err recv_message(struct stream *stream, struct weir_time deadline,
                                                struct message *message)
{
    size_t want = 2;
    message->len = 0;
    while (message->len < want) {
        struct iobuf *buf;
        TRY(stream_recv(stream, deadline, &buf));
        struct weir_slice got = iobuf_slice(buf);
        must(got.len > 0 && got.len <= sizeof message->bytes - message->len);
        memcpy(message->bytes + message->len, got.at, got.len);
        message->len += got.len;
        iobuf_give(&stream->loop->bufs, &buf);
        if (message->len >= 2)
            want = 2 + message->bytes[0] + 256u * message->bytes[1];
    }
    CHECK_EQ(want, message->len);
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err send_message(struct stream *stream, struct weir_time deadline,
                                                const struct message *message)
{
    struct weir_slice slices[2] = {slice_of((const char *)message->bytes, 2),
                                   slice_of((const char *)message->bytes + 2, message->len - 2)};
    return stream_send(stream, slices, 2, deadline, NULL);
}

static void serve_echo(struct server *server, struct stream **stream, unsigned number)
{
    struct message message;
    (void)server, (void)number;
    while (recv_message(*stream, WEIR_NEVER, &message) == WEIR_OK)
        if (send_message(*stream, WEIR_NEVER, &message))
            break;
}

/* Sends some bytes, each telling its place, and receives them all again; WEIR_OK if so. */
WEIR_SUSPENDS static enum weir_err ride(struct rider *self, struct stream *stream)
{
    struct loop *loop = &self->fixture->loop;
    struct message message;
    struct weir_time deadline = loop_deadline(loop, self->patience);
    size_t len = rand_below(&self->fixture->world.rand, MESSAGE_MAX + 1);
    message.len = len + 2;
    message.bytes[0] = (unsigned char)(len % 256);
    message.bytes[1] = (unsigned char)(len / 256);
    for (size_t i = 2; i < message.len; i++)
        message.bytes[i] = (unsigned char)(i * 7 + len);
    TRY(send_message(stream, deadline, &message));
    TRY(recv_message(stream, deadline, &message));
    CHECK_EQ(len + 2, message.len);
    for (size_t i = 2; i < message.len; i++)
        if (!CHECK(message.bytes[i] == (unsigned char)(i * 7 + len)))
            break;
    return WEIR_OK;
}

static void ride_often(void *argument)
{
    struct rider *self = argument;
    for (int i = 0; i < RIDES; i++) {
        struct stream *stream = NULL;
        struct weir_time deadline = loop_deadline(&self->fixture->loop, self->patience);
        enum weir_err err = dial(self->fixture, &self->fixture->server.addr, deadline, &stream);
        while (!err && sim_chance(&self->fixture->world, 700))
            err = ride(self, stream);
        bool known = !err || err == WEIR_E_REFUSED || err == WEIR_E_TIMEOUT ||
                     err == WEIR_E_RESET || err == WEIR_E_NO_PORTS;
        CHECK(known);
        self->exact += !err;
        self->failed += err != WEIR_OK;
        stream_close(&stream, sim_chance(&self->fixture->world, 300));
    }
}

static unsigned exact, failed;
static struct weir_span patience;

static void ride_all(struct fixture *self)
{
    struct scope scope;
    struct rider riders[RIDERS];
    scope_init(&scope);
    CHECK_OK(server_open(&self->server, &self->loop, "10.0.0.1:80", serve_echo, self));
    for (int i = 0; i < RIDERS; i++) {
        riders[i] = (struct rider){.fixture = self, .patience = patience};
        CHECK_OK(scope_spawn(&scope, "rider", ride_often, &riders[i]));
    }
    CHECK_OK(scope_join(&scope));
    for (int i = 0; i < RIDERS; i++) {
        exact += riders[i].exact;
        failed += riders[i].failed;
    }
    server_close(&self->server);
    sim_note(&self->world, "end", exact, failed);
}

static uint64_t run_rough(uint64_t seed, bool lossless)
{
    struct fixture fixture;
    open_fixture(&fixture, seed);
    struct sim_faults faults = sim_rough(&fixture.world);
    if (lossless)
        faults.reset = faults.refuse = faults.vanish = faults.no_ports = 0;
    fixture.world.faults = faults;
    patience = lossless ? WEIR_FOREVER : weir_span_s(60);
    exact = failed = 0;
    run_fixture(&fixture, ride_all);
    return fixture.world.trace_hash;
}

TEST(bytes_keep_their_order_however_they_are_cut)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        run_rough(seed, true);
        CHECK_EQ(RIDERS * RIDES, exact);
        CHECK_EQ(0, failed);
    }
}

TEST(the_same_seed_gives_the_same_run)
{
    unsigned failed_at_all = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        uint64_t hash = run_rough(seed, false);
        failed_at_all += failed;
        CHECK(hash == run_rough(seed, false));
        CHECK(hash != run_rough(seed + 1000, false));
    }
    CHECK(failed_at_all > 100);
}

CHECK_MAIN
