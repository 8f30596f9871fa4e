/* SPDX-License-Identifier: MIT */
/* Two workers' loops on one thread, turned by turns, so that each order of events can be had. */
#include "app/survey.h"
#include "upstream/ask.h"

#include "base/slice.h"
#include "tests/check.h"

enum { WORKERS = 2 };

static struct server_options server;
static struct upstream_options upstream;
static struct service_options options;
static struct snapshot snapshot = {.services = &options, .service_count = 1};
static struct worker workers[WORKERS];
static struct service *services[WORKERS];
static struct program program = {.snapshot = &snapshot,
                                 .workers = {.all = workers, .count = WORKERS}};
static struct surveyor surveyor = {.program = &program};
static int listening;

static struct commons *commons;

/* What the asking coroutine was told. */
static struct survey *survey;
static enum weir_err asked_err;
static bool asked;

/* The kernel completes connections to it; nobody needs to accept them. */
static void open_origin(void)
{
    struct listen_options listen = {.backlog = 16};
    struct addr addr;
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &addr));
    CHECK_OK(epoll_ops.listen(NULL, &addr, &listen, &listening));
    CHECK_OK(epoll_ops.bound(NULL, listening, &server.addr));
}

static void open_worker(unsigned number)
{
    struct worker *worker = &workers[number];
    struct loop_options loop = {.ops = &epoll_ops, .worker = number};
    worker->workers = &program.workers;
    worker->number = number;
    worker->services = &services[number];
    worker->service_count = 1;
    CHECK_OK(client_loop_init(&worker->loop, &loop));
    struct service_parts parts = {.loop = &worker->loop.loop,
                                  .streams = &worker->loop.streams,
                                  .worker = number,
                                  .commons = commons};
    CHECK_OK(service_open(&options, &parts, &services[number]));
    sched_enter(NULL);
}

static void set_up(void)
{
    open_origin();
    server.text = "origin";
    server.weight = 1;
    upstream_options_init(&upstream);
    upstream.name = "web";
    upstream.servers = &server;
    upstream.server_count = 1;
    service_options_init(&options);
    options.name = "edge";
    options.upstreams = &upstream;
    options.upstream_count = 1;
    commons = commons_new(WORKERS, options.upstream_keepalive_pool_size);
    must(commons);
    for (unsigned i = 0; i < WORKERS; i++)
        open_worker(i);
    survey = NULL;
    asked = false;
}

static void turn(unsigned worker)
{
    struct loop *loop = &workers[worker].loop.loop;
    sched_enter(&loop->sched);
    loop_turn(loop, loop_deadline(loop, weir_span_ms(1)));
    sched_enter(NULL);
}

static void tear_down(void)
{
    CHECK_EQ(0, surveyor.outstanding);
    for (unsigned i = 0; i < WORKERS; i++) {
        sched_enter(&workers[i].loop.loop.sched);
        service_drain(services[i]);
        service_close(&services[i]);
        client_loop_fini(&workers[i].loop);
    }
    commons_free(&commons);
    epoll_ops.close_descriptor(NULL, listening);
}

/* Dials a connection in the worker's pool, and lays it to rest there. */
WEIR_SUSPENDS static void dial_and_put(void *worker)
{
    struct service *service = services[((struct worker *)worker)->number];
    struct peer *peer = service->upstreams[0].balance.servers[0].peer;
    struct keep_facts facts = {0};
    struct conn *conn = NULL;
    struct ask_story story = {0};
    const struct ask_options wanted = {
        .key = pool_key_of(&service->pool, peer),
        .peer = peer,
        .wants_fresh = true,
        .deadline = WEIR_NEVER,
    };
    CHECK_OK(ask_for_conn(&service->pool, &wanted, &story, &conn));
    pool_put(&conn, &facts);
}

static void add_idle(unsigned worker)
{
    struct pool *pool = &services[worker]->pool;
    unsigned before = pool->idle_count;
    CHECK_OK(co_spawn(&workers[worker].loop.loop.sched, NULL, "dial", dial_and_put,
                      &workers[worker], NULL));
    while (pool->idle_count == before)
        turn(worker);
}

static struct conn *take(unsigned worker)
{
    struct service *service = services[worker];
    sched_enter(&workers[worker].loop.loop.sched);
    struct peer *peer = service->upstreams[0].balance.servers[0].peer;
    unsigned dead;
    struct conn *conn =
        pool_take(&service->pool, pool_key_of(&service->pool, peer), LOOK_WELL, false, &dead);
    sched_enter(NULL);
    return conn;
}

WEIR_SUSPENDS static void ask(void *patience)
{
    struct loop *loop = &workers[0].loop.loop;
    asked_err = survey_take(&surveyor, loop_deadline(loop, *(struct weir_span *)patience), &survey);
    asked = true;
}

static struct co *spawn_ask(struct weir_span *patience)
{
    struct co *co = NULL;
    CHECK_OK(co_spawn(&workers[0].loop.loop.sched, NULL, "ask", ask, patience, &co));
    return co;
}

TEST(all_workers_are_added_up)
{
    struct weir_span patience = weir_span_s(30);
    set_up();
    add_idle(0);
    add_idle(1);
    struct conn *conn = take(1);
    add_idle(1);
    spawn_ask(&patience);
    while (!asked) {
        turn(0);
        turn(1);
    }
    CHECK_OK(asked_err);
    CHECK_EQ(WORKERS, survey->answered);
    CHECK_EQ(1, survey_peer_count(survey));
    CHECK_EQ(3, survey_peers(survey)[0].opened);
    CHECK_EQ(2, survey_peers(survey)[0].idle);
    CHECK_EQ(1, survey_peers(survey)[0].in_use);
    CHECK_EQ(0, survey_peers(survey)[0].dialling);
    CHECK_EQ(3, survey_conn_count(survey));
    const struct survey_conn *conns = survey_conns(survey);
    CHECK(conns[0].worker == 0 && conns[1].worker == 1 && conns[2].worker == 1);
    CHECK(conns[1].id < conns[2].id);
    CHECK(!conns[0].in_use && conns[1].in_use && !conns[2].in_use);
    CHECK_EQ((int64_t)conn->id, conns[1].id);
    survey_free(&survey);
    sched_enter(&workers[1].loop.loop.sched);
    pool_close(&conn, CLOSE_ERROR, false);
    sched_enter(NULL);
    tear_down();
}

/* One worker's connections speak HTTP/2: only their streams are counted. */
TEST(streams_are_added_up)
{
    struct weir_span patience = weir_span_s(30);
    set_up();
    add_idle(0);
    add_idle(1);
    struct conn *conns[] = {take(0), take(1)};
    conns[0]->streams = 1;
    conns[1]->streams = 30;
    conns[1]->protocol = HTTP_2; /* the counters of HTTP/1 have it */
    spawn_ask(&patience);
    while (!asked) {
        turn(0);
        turn(1);
    }
    CHECK_OK(asked_err);
    CHECK_EQ(1, survey_peer_count(survey));
    CHECK_EQ(30, survey_peers(survey)[0].streams);
    if (CHECK_EQ(2, survey_conn_count(survey))) {
        CHECK_EQ(HTTP_1, survey_conns(survey)[0].protocol);
        CHECK_EQ(0, survey_conns(survey)[0].streams);
        CHECK_EQ(HTTP_2, survey_conns(survey)[1].protocol);
        CHECK_EQ(30, survey_conns(survey)[1].streams);
    }
    survey_free(&survey);
    conns[1]->protocol = HTTP_1;
    for (unsigned i = 0; i < WORKERS; i++) {
        sched_enter(&workers[i].loop.loop.sched);
        conns[i]->streams = 0;
        pool_close(&conns[i], CLOSE_ERROR, false);
        sched_enter(NULL);
    }
    tear_down();
}

TEST(a_worker_that_does_not_answer_is_left_out_and_its_answer_is_not_lost)
{
    struct weir_span patience = weir_span_ms(5);
    set_up();
    add_idle(0);
    add_idle(1);
    spawn_ask(&patience);
    while (!asked)
        turn(0);
    CHECK_OK(asked_err);
    CHECK_EQ(1, survey->answered);
    CHECK_EQ(1, survey_peers(survey)[0].opened);
    CHECK_EQ(1, survey_conn_count(survey));
    CHECK_EQ(1, surveyor.outstanding);
    survey_free(&survey);
    CHECK(survey == NULL);
    CHECK_EQ(1, surveyor.outstanding);
    turn(1);
    turn(0);
    tear_down();
}

TEST(an_asker_that_is_canceled_leaves_at_once)
{
    struct weir_span patience = WEIR_FOREVER;
    set_up();
    struct co *co = spawn_ask(&patience);
    turn(0);
    CHECK(!asked);
    sched_enter(&workers[0].loop.loop.sched);
    co_cancel(co);
    sched_enter(NULL);
    turn(0);
    CHECK(asked);
    CHECK_ERR(WEIR_E_CANCELED, asked_err);
    CHECK(survey == NULL);
    turn(1);
    turn(0);
    tear_down();
}

/* A loop that ends delivers its mail first. */
TEST(a_worker_may_end_with_a_question_in_its_mailbox)
{
    struct weir_span patience = weir_span_ms(1);
    set_up();
    spawn_ask(&patience);
    while (!asked)
        turn(0);
    survey_free(&survey);
    sched_enter(&workers[1].loop.loop.sched);
    mailbox_deliver(&workers[1].loop.loop.mailbox);
    sched_enter(NULL);
    turn(0);
    tear_down();
}

CHECK_MAIN
