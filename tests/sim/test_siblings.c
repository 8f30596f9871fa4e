/* SPDX-License-Identifier: MIT */
/*
 * A server whose name stands for several addresses: the first of them to connect serves (RFC 8305).
 * Over the simulator, whose addresses refuse or swallow dials as they are told.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "co/wait.h"
#include "tests/sim/server.h"
#include "tests/sim/sim.h"
#include "upstream/connector.h"

#include "tests/check.h"

#include <stdlib.h>

enum { ADDRESSES = 3 };

struct play {
    struct sim_world world;
    struct loop loop;
    struct streams streams;
    struct commons *commons;
    struct pool pool;
    struct upstream_stats stats;
    struct server servers[ADDRESSES];
    struct peer peers[ADDRESSES];
    WEIR_SUSPENDS void (*body)(struct play *play);
};

/* A server that keeps its connections. */
static void keep(struct server *server, struct stream **stream, unsigned number)
{
    struct iobuf *buf;
    (void)number;
    while (stream_recv(*stream, WEIR_NEVER, &buf) == WEIR_OK)
        iobuf_give(&server->loop->bufs, &buf);
}

static void open_address(struct play *play, unsigned number)
{
    char addr[32];
    struct peer_options options;
    snprintf(addr, sizeof addr, "10.0.0.%u:80", number + 1);
    CHECK_OK(server_open(&play->servers[number], &play->loop, addr, keep, NULL));
    peer_options_init(&options);
    options.addr = play->servers[number].addr;
    peer_init(&play->peers[number], &options);
    if (number > 0)
        list_insert(&play->peers[number - 1].sibling, &play->peers[number].sibling);
}

static void direct(void *argument)
{
    struct play *play = argument;
    for (unsigned i = 0; i < ADDRESSES; i++)
        open_address(play, i);
    play->body(play);
    pool_audit(&play->pool);
    pool_drain(&play->pool);
    while (!pool_is_quiet(&play->pool))
        CHECK_OK(co_sleep(weir_span_ms(10)));
    for (unsigned i = 0; i < ADDRESSES; i++)
        server_close(&play->servers[i]);
    loop_stop(&play->loop);
}

static void run_play(WEIR_SUSPENDS void (*body)(struct play *play))
{
    struct play *play = calloc(1, sizeof *play);
    must(play);
    log_set_level(LOG_ERROR);
    play->body = body;
    sim_world_init(&play->world, 1);
    play->world.faults = sim_calm();
    CHECK_OK(sim_loop_init(&play->world, &play->loop, 0));
    streams_init(&play->streams, &play->loop);
    play->commons = commons_new(1, 10);
    must(play->commons);
    pool_init(&play->pool, &(struct pool_options){.loop = &play->loop,
                                                  .streams = &play->streams,
                                                  .commons = play->commons,
                                                  .stats = &play->stats});
    CHECK_OK(co_spawn(&play->loop.sched, NULL, "direct", direct, play, NULL));
    sim_run(&play->world, WEIR_NEVER);
    must(!play->world.stuck);
    pool_fini(&play->pool);
    commons_free(&play->commons);
    streams_fini(&play->streams);
    sim_loop_fini(&play->loop);
    sim_world_fini(&play->world);
    free(play);
}

#define PLAY(test_name, body)                                                                      \
    TEST(test_name)                                                                                \
    {                                                                                              \
        run_play(body);                                                                            \
    }

static void bar(struct play *play, unsigned number, enum sim_bar how)
{
    sim_bar(&play->world, &play->peers[number].options.addr, how);
}

/* Asks for the first address; what comes is given back. *ret_took_ms: how long that took. */
WEIR_SUSPENDS static enum weir_err get(struct play *play, struct peer **ret_peer,
                                       int64_t *ret_took_ms)
{
    struct session *session = NULL;
    struct weir_time began = loop_now(&play->loop);
    enum weir_err err = connector_get(&play->pool, &play->peers[0], CONNECTOR_ANY,
                                      loop_deadline(&play->loop, weir_span_s(60)), &session);
    *ret_took_ms = weir_span_to_ms(weir_time_between(began, loop_now(&play->loop)));
    *ret_peer = err ? NULL : session->conn->peer;
    session_release(&session, true);
    return err;
}

static bool is_held(const struct play *play, unsigned number)
{
    return peer_is_held(&play->peers[number], loop_now(&play->loop));
}

static void all_is_well(struct play *play)
{
    struct peer *peer;
    int64_t took_ms;
    CHECK_OK(get(play, &peer, &took_ms));
    CHECK(peer == &play->peers[0]);
    CHECK_OK(co_sleep(weir_span_s(1)));
    CHECK_EQ(0, play->servers[1].accepted_count + play->servers[2].accepted_count);
}

PLAY(one_that_connects_at_once_stays_alone, all_is_well)

/* And the one that was slow is pooled when it does connect, or forgotten when it does not. */
static void first_swallows(struct play *play)
{
    struct peer *peer;
    int64_t took_ms;
    bar(play, 0, SIM_SWALLOWS);
    CHECK_OK(get(play, &peer, &took_ms));
    CHECK(peer == &play->peers[1]);
    CHECK(took_ms >= 250 && took_ms < 300);
    CHECK(is_held(play, 0) && !is_held(play, 1));
    CHECK_EQ(1, play->pool.dialling_count);
    CHECK_EQ(1, play->pool.idle_count);
    CHECK_OK(co_sleep(weir_span_s(6)));
    CHECK_EQ(0, play->pool.dialling_count);
    CHECK_EQ(1, stat_read(&play->stats.connect_errors[WEIR_E_CONNECT_TIMEOUT]));
    CHECK_EQ(0, play->servers[2].accepted_count);
}

PLAY(one_that_is_slow_gets_company, first_swallows)

static void two_swallow(struct play *play)
{
    struct peer *peer;
    int64_t took_ms;
    bar(play, 0, SIM_SWALLOWS);
    bar(play, 1, SIM_SWALLOWS);
    CHECK_OK(get(play, &peer, &took_ms));
    CHECK(peer == &play->peers[2]);
    CHECK(took_ms >= 500 && took_ms < 560);
    CHECK(is_held(play, 0) && is_held(play, 1));
}

PLAY(and_then_the_next_one_too, two_swallow)

static void first_refuses(struct play *play)
{
    struct peer *peer;
    int64_t took_ms;
    bar(play, 0, SIM_REFUSES);
    CHECK_OK(get(play, &peer, &took_ms));
    CHECK(peer == &play->peers[1]);
    CHECK(took_ms < 100);
    CHECK(is_held(play, 0));
    CHECK_EQ(1, stat_read(&play->stats.connect_errors[WEIR_E_REFUSED]));
    CHECK_EQ(1, stat_read(&play->stats.waits[WAIT_DIALLED]));
}

PLAY(one_that_refuses_is_followed_at_once, first_refuses)

/* The refusal does not end the wait for the one that may still connect. */
static void one_swallows_two_refuse(struct play *play)
{
    struct peer *peer;
    int64_t took_ms;
    bar(play, 0, SIM_SWALLOWS);
    bar(play, 1, SIM_REFUSES);
    bar(play, 2, SIM_REFUSES);
    CHECK_ERR(WEIR_E_CONNECT_TIMEOUT, get(play, &peer, &took_ms));
    CHECK(took_ms >= 5000);
    CHECK_EQ(2, stat_read(&play->stats.connect_errors[WEIR_E_REFUSED]));
}

PLAY(refusals_do_not_end_the_wait_for_the_slow_one, one_swallows_two_refuse)

static void all_refuse(struct play *play)
{
    struct peer *peer;
    int64_t took_ms;
    for (unsigned i = 0; i < ADDRESSES; i++)
        bar(play, i, SIM_REFUSES);
    CHECK_ERR(WEIR_E_REFUSED, get(play, &peer, &took_ms));
    CHECK_EQ(3, stat_read(&play->stats.connect_errors[WEIR_E_REFUSED]));
    CHECK_EQ(1, stat_read(&play->stats.waits[WAIT_FAILED]));
}

PLAY(when_all_refuse_it_is_told, all_refuse)

/* It goes on with those that are left. */
static void one_is_drained_meanwhile(struct play *play)
{
    struct peer *peer;
    int64_t took_ms;
    bar(play, 0, SIM_SWALLOWS);
    pool_drain_peer(&play->pool, &play->peers[1]);
    CHECK_OK(get(play, &peer, &took_ms));
    CHECK(peer == &play->peers[2]);
    CHECK_EQ(0, play->servers[1].accepted_count);
}

PLAY(a_drained_one_is_no_sibling_any_more, one_is_drained_meanwhile)

/* A success ends what a failure began. */
static void it_comes_back(struct play *play)
{
    struct peer *peer;
    int64_t took_ms;
    bar(play, 0, SIM_REFUSES);
    CHECK_OK(get(play, &peer, &took_ms));
    CHECK(is_held(play, 0));
    bar(play, 0, SIM_OPEN);
    CHECK_OK(get(play, &peer, &took_ms));
    CHECK(peer == &play->peers[0]);
    CHECK(!is_held(play, 0));
}

PLAY(one_that_connects_is_held_no_more, it_comes_back)

CHECK_MAIN
