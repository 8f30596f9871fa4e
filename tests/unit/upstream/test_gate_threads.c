/* SPDX-License-Identifier: MIT */
/*
 * Workers on threads of their own meet at one gate: they dial where nobody listens, wait for room,
 * and give up at the very moment in which they are let in. The simulator has one thread and cannot
 * see that. Afterwards the gate's books must balance; commons_free() looks at them too.
 */
#include "upstream/connector.h"

#include "base/log.h"
#include "base/slice.h"
#include "co/wait.h"
#include "tests/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORKERS = 2, ASKERS = 24, ROUNDS = 150 };

struct worker {
    unsigned number, alive;
    pthread_t thread;
    struct loop loop;
    struct streams streams;
    struct pool pool;
    struct upstream_stats stats;
    struct peer peer;
    uint64_t refused, told_late;
};

static struct commons *commons;
static struct addr nobody;
static pthread_barrier_t barrier;

/* A port that was just given up. */
static void find_nobody(void)
{
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &nobody));
    must(descriptor >= 0 && bind(descriptor, &nobody.any, nobody.len) == 0);
    must(getsockname(descriptor, &nobody.any, &nobody.len) == 0);
    close(descriptor);
}

/* The first wait in the queue ends by its time or by a cancellation, whichever chance brings. */
WEIR_SUSPENDS static void ask(void *argument)
{
    struct worker *self = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct session *session = NULL;
        enum weir_err err =
            connector_get(&self->pool, &self->peer, CONNECTOR_ANY,
                          loop_deadline(&self->loop, weir_span_ms(i % 3)), &session);
        self->refused += err == WEIR_E_REFUSED;
        self->told_late += err == WEIR_E_QUEUE_TIMEOUT || err == WEIR_E_CONNECT_TIMEOUT;
        must(err && !session);
    }
    if (--self->alive == 0)
        loop_stop(&self->loop);
}

static void open_worker(struct worker *self)
{
    struct peer_options options;
    must(loop_init(&self->loop, &(struct loop_options){.ops = &epoll_ops}) == WEIR_OK);
    streams_init(&self->streams, &self->loop);
    pool_init(&self->pool, &(struct pool_options){.loop = &self->loop,
                                                  .streams = &self->streams,
                                                  .commons = commons,
                                                  .worker = self->number,
                                                  .stats = &self->stats});
    peer_options_init(&options);
    options.addr = nobody;
    options.limits.max_connections = 1;
    options.limits.queue_timeout = weir_span_ms(2);
    peer_init(&self->peer, &options);
    self->alive = ASKERS;
    for (unsigned i = 0; i < ASKERS; i++)
        must(co_spawn(&self->loop.sched, NULL, "ask", ask, self, NULL) == WEIR_OK);
}

static void *run_worker(void *argument)
{
    struct worker *self = argument;
    open_worker(self);
    pthread_barrier_wait(&barrier);
    loop_run(&self->loop);
    while (!pool_is_quiet(&self->pool))
        loop_turn(&self->loop, loop_deadline(&self->loop, weir_span_ms(1)));
    pthread_barrier_wait(&barrier); /* nobody posts to the other any more */
    pool_fini(&self->pool);
    streams_fini(&self->streams);
    loop_fini(&self->loop);
    return NULL;
}

TEST(who_gives_up_while_he_is_let_in_leaves_the_books_in_order)
{
    struct worker *workers = calloc(WORKERS, sizeof *workers);
    uint64_t refused = 0, told_late = 0;
    must(workers && pthread_barrier_init(&barrier, NULL, WORKERS) == 0);
    log_set_level(LOG_ERROR);
    find_nobody();
    commons = commons_new(WORKERS, 4);
    must(commons);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].number = i;
        must(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        must(pthread_join(workers[i].thread, NULL) == 0);
        refused += workers[i].refused;
        told_late += workers[i].told_late;
        CHECK_EQ(0, stat_read(&workers[i].stats.waiting));
        CHECK_EQ(0, stat_read(&workers[i].stats.dialling));
    }
    CHECK(refused > 0 && told_late > 0);
    commons_free(&commons);
    pthread_barrier_destroy(&barrier);
    free(workers);
}

CHECK_MAIN
