/* SPDX-License-Identifier: MIT */
#include "downstream/listener.h"

#include "tests/unit/downstream/host.h"

#include <pthread.h>

static struct listener_group group;

STAGE_TEST(a_port_that_is_taken_is_told)
{
    struct listener_group second;
    struct listener_options any = {.expects_preface = false};
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &any.addr));
    if (!CHECK_OK(listener_group_open(&group, &epoll_ops, stage.loop.backend, &any)))
        return;
    CHECK(addr_port(&group.options.addr) != 0);
    CHECK_ERR(WEIR_E_ADDRESS_IN_USE,
              listener_group_open(&second, &epoll_ops, stage.loop.backend, &group.options));
    listener_group_close(&group, &epoll_ops, stage.loop.backend);
    CHECK_EQ(-1, group.descriptor);
}

/* A second downstream that is only a number: connections for it would go to another worker. */
STAGE_TEST(the_least_loaded_worker_gets_it_and_this_one_among_equals)
{
    static struct downstream others[2];
    struct listener listener;
    host_open(host_echo);
    struct listener_options any = {.expects_preface = false};
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &any.addr));
    CHECK_OK(listener_group_open(&group, &epoll_ops, stage.loop.backend, &any));
    group.worker_count = 3;
    group.workers[0] = &others[0];
    group.workers[1] = &host.downstream;
    group.workers[2] = &others[1];
    /* The others are as loaded or more so: all stay here until this one is the fullest. */
    atomic_store(&others[0].load, 3);
    atomic_store(&others[1].load, 2);
    CHECK_OK(listener_start(&listener, &group, &host.downstream));
    int clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = raw_dial(&group.options.addr);
        raw_send(clients[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        CHECK(raw_read(clients[i], "[GET / ]") > 0);
        CHECK_EQ(i + 1, atomic_load(&host.downstream.load));
    }
    CHECK_EQ(3, stat_read(&host.downstream.open));
    CHECK_EQ(3, atomic_load(&others[0].load));
    CHECK_EQ(2, atomic_load(&others[1].load));
    for (int i = 0; i < 3; i++)
        raw_close(clients[i]);
    listener_stop(&listener);
    listener_group_close(&group, &epoll_ops, stage.loop.backend);
    host_close();
}

enum { WORKERS = 3, PER_WORKER = 8 };

/* A worker with a thread and a loop of its own, as the program has them. */
struct worker {
    pthread_t thread;
    unsigned number;
    struct loop loop;
    struct streams streams;
    struct downstream downstream;
    struct listener listener;
    struct mail stop;
    bool failed;
};

static struct worker workers[WORKERS];
static struct client_options options;
static pthread_barrier_t barrier;

/* Says which worker it is. */
WEIR_SUSPENDS static void tell_number(void *owner, struct exchange *exchange)
{
    const struct worker *worker = owner;
    char text[] = {'[', (char)('0' + worker->number), ']'};
    if (exchange->error ||
        exchange_answer(exchange, 200, SLICE("text/plain"), slice_of(text, sizeof text)) != WEIR_OK)
        exchange_fail(exchange, WEIR_E_IO);
}

static void stop_worker(struct mail *mail)
{
    struct worker *worker = container_of(mail, struct worker, stop);
    listener_stop(&worker->listener);
    downstream_drain(&worker->downstream);
    loop_stop(&worker->loop);
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    struct loop_options how = {.ops = &epoll_ops, .worker = worker->number};
    must(loop_init(&worker->loop, &how) == WEIR_OK);
    streams_init(&worker->streams, &worker->loop);
    struct downstream_options parts = {
        .loop = &worker->loop,
        .streams = &worker->streams,
        .client = &options,
        .handler = tell_number,
        .owner = worker,
    };
    downstream_init(&worker->downstream, &parts);
    worker->stop.deliver = stop_worker;
    group.workers[worker->number] = &worker->downstream;
    pthread_barrier_wait(&barrier); /* all stand in the group */
    pthread_barrier_wait(&barrier); /* the address is bound */
    worker->failed = listener_start(&worker->listener, &group, &worker->downstream) != WEIR_OK;
    pthread_barrier_wait(&barrier);
    loop_run(&worker->loop);
    pthread_barrier_wait(&barrier); /* no mail for another one is under way */
    worker->failed |= !downstream_is_empty(&worker->downstream);
    downstream_fini(&worker->downstream);
    streams_fini(&worker->streams);
    loop_fini(&worker->loop);
    return NULL;
}

static void start_workers(void)
{
    struct listener_options any = {.expects_preface = false};
    client_options_init(&options);
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &any.addr));
    group.worker_count = WORKERS;
    must(pthread_barrier_init(&barrier, NULL, WORKERS + 1) == 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].number = i;
        must(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) == 0);
    }
    pthread_barrier_wait(&barrier);
    CHECK_OK(listener_group_open(&group, &epoll_ops, NULL, &any));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
}

static void stop_workers(void)
{
    for (unsigned i = 0; i < WORKERS; i++)
        loop_post(&workers[i].loop, &workers[i].stop);
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        CHECK(!workers[i].failed);
    }
    listener_group_close(&group, &epoll_ops, NULL);
    pthread_barrier_destroy(&barrier);
}

/* Few clients and several workers: each serves as many as the others. */
STAGE_TEST(clients_are_spread_evenly_over_threads)
{
    int clients[WORKERS * PER_WORKER];
    unsigned served[WORKERS] = {0};
    start_workers();
    for (unsigned i = 0; i < COUNT_OF(clients); i++) {
        clients[i] = raw_dial(&group.options.addr);
        raw_send(clients[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        if (raw_read_head(clients[i]) && CHECK_EQ(3, raw_read(clients[i], "]")))
            served[(raw_text[1] - '0') % WORKERS]++;
    }
    for (unsigned i = 0; i < COUNT_OF(clients); i++)
        raw_close(clients[i]);
    for (unsigned i = 0; i < WORKERS; i++)
        CHECK_EQ(PER_WORKER, served[i]);
    stop_workers();
}

CHECK_MAIN
