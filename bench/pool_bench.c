/* SPDX-License-Identifier: MIT */
/* What the pool itself costs, without a request: two workers, on threads of their own, with one
   pool between them, and connections to an origin that nothing is ever sent to. Each key is an
   address of its own, 127.1.x.y.

   Connections are checked out and released in waves of as many, in an order that chance made.

     local    check out, release, and the next: in one turn of the loop
     looked   check out the wave, then release it, each wave in a turn of its own: who rested since
              an earlier turn is looked at before it is given out
     alone    the other worker's connections, one question at a time: what a request waits for
     together the same, the whole wave's questions at once: what it costs when there is traffic

   Prints names and figures, one pair a line.

   Usage: pool_bench --io epoll|uring --port 9001 --keys 1 */
#include "base/check.h"
#include "base/rand.h"
#include "base/slice.h"
#include "co/wait.h"
#include "io/choose.h"
#include "upstream/connector.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WORKERS = 2,
    WAVE = 64,
    LOCAL_WAVES = 2000,
    MOVE_WAVES = 100, /* there and back again */
    KEYS_MAX = 60000,
    DEADLINE_S = 10,
};

struct taking {
    struct worker *worker;
    struct peer *peer;
    struct session **session;
};

struct worker {
    struct bench *bench;
    unsigned number;
    struct loop loop;
    struct streams streams;
    struct pool pool;
    struct upstream_stats stats;
    struct peer *peers; /* one for each key */
    struct session *sessions[WAVE];
    struct co *co;
    struct mail turn_mail;
    bool has_turn;
    pthread_t thread;
};

struct bench {
    const struct backend_ops *ops;
    unsigned keys, *order; /* of the keys */
    uint16_t port;
    struct commons *commons;
    pthread_barrier_t barrier;
    struct worker workers[WORKERS];
    /* Written by who has the turn. */
    unsigned first; /* of the wave, in `order` */
    bool together, over;
    unsigned moved; /* how many were another worker's */
};

static int64_t ns_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

/* A wave that another process interrupted says nothing: so the one in the middle speaks. */
static double median(int64_t *times, unsigned count)
{
    qsort(times, count, sizeof *times, by_value);
    return (double)times[count / 2];
}

static struct peer *peer_at(const struct worker *worker, unsigned place)
{
    const struct bench *bench = worker->bench;
    return &worker->peers[bench->order[(bench->first + place) % bench->keys]];
}

/* Turns. */

static void on_turn(struct mail *mail)
{
    struct worker *worker = container_of(mail, struct worker, turn_mail);
    worker->has_turn = true;
    co_wake(worker->co);
}

static void pass_to(struct worker *worker)
{
    worker->turn_mail.deliver = on_turn;
    loop_post(&worker->loop, &worker->turn_mail);
}

WEIR_SUSPENDS static void wait_for_turn(struct worker *worker)
{
    while (!worker->has_turn)
        co_wait_firm();
    worker->has_turn = false;
}

/* Waves. */

WEIR_SUSPENDS static void take(struct worker *worker, struct peer *peer,
                               struct session **ret_session)
{
    struct weir_time deadline = loop_deadline(&worker->loop, weir_span_s(DEADLINE_S));
    enum weir_err err = connector_get(&worker->pool, peer, CONNECTOR_ANY, deadline, ret_session);
    if (!err)
        return;
    fprintf(stderr, "pool_bench: %s: %s\n", peer->address_text, weir_err_text(err));
    exit(1);
}

WEIR_SUSPENDS static void take_one(void *argument)
{
    struct taking *taking = argument;
    take(taking->worker, taking->peer, taking->session);
}

WEIR_SUSPENDS static void take_together(struct worker *worker)
{
    struct taking takings[WAVE];
    struct scope scope;
    scope_init(&scope);
    for (unsigned i = 0; i < WAVE; i++) {
        takings[i] = (struct taking){worker, peer_at(worker, i), &worker->sessions[i]};
        must(scope_spawn(&scope, "take", take_one, &takings[i]) == WEIR_OK);
    }
    must(scope_join(&scope) == WEIR_OK);
}

WEIR_SUSPENDS static void take_wave(struct worker *worker)
{
    struct bench *bench = worker->bench;
    if (bench->together) {
        take_together(worker);
        return;
    }
    for (unsigned i = 0; i < WAVE; i++)
        take(worker, peer_at(worker, i), &worker->sessions[i]);
}

static void release_wave(struct worker *worker)
{
    for (unsigned i = 0; i < WAVE; i++) {
        worker->bench->moved += worker->sessions[i]->story.source == SOURCE_TAKEN_OVER;
        session_release(&worker->sessions[i], true);
    }
}

static void next_wave(struct bench *bench)
{
    bench->first = (bench->first + WAVE) % bench->keys;
}

/* As many waves as meet each key at least once. */
static unsigned waves_of_all(const struct bench *bench)
{
    return (bench->keys + WAVE - 1) / WAVE;
}

/* Figures. */

WEIR_SUSPENDS static void dial_all(struct worker *self)
{
    for (unsigned i = 0; i < waves_of_all(self->bench); i++, next_wave(self->bench)) {
        take_wave(self);
        release_wave(self);
    }
}

WEIR_SUSPENDS static void measure_local(struct worker *self)
{
    int64_t *times = calloc(LOCAL_WAVES, sizeof *times);
    must(times);
    for (unsigned wave = 0; wave < LOCAL_WAVES; wave++, next_wave(self->bench)) {
        int64_t begun = ns_of(CLOCK_MONOTONIC);
        for (unsigned i = 0; i < WAVE; i++) {
            take(self, peer_at(self, i), &self->sessions[0]);
            session_release(&self->sessions[0], true);
        }
        times[wave] = ns_of(CLOCK_MONOTONIC) - begun;
    }
    printf("local_ns %.1f\n", median(times, LOCAL_WAVES) / WAVE);
    free(times);
}

WEIR_SUSPENDS static void measure_looked(struct worker *self)
{
    int64_t *times = calloc(LOCAL_WAVES, sizeof *times);
    must(times);
    for (unsigned wave = 0; wave < LOCAL_WAVES; wave++, next_wave(self->bench)) {
        int64_t begun = ns_of(CLOCK_MONOTONIC);
        take_wave(self);
        release_wave(self);
        times[wave] = ns_of(CLOCK_MONOTONIC) - begun;
        pass_to(self);
        wait_for_turn(self);
    }
    printf("looked_ns %.1f\n", median(times, LOCAL_WAVES) / WAVE);
    free(times);
}

/* The other worker takes a wave, and this one takes it back. *ret_wall_ns: its own taking. */
WEIR_SUSPENDS static void move_wave(struct worker *self, int64_t *ret_wall_ns)
{
    pass_to(&self->bench->workers[1]);
    wait_for_turn(self);
    int64_t begun = ns_of(CLOCK_MONOTONIC);
    take_wave(self);
    *ret_wall_ns = ns_of(CLOCK_MONOTONIC) - begun;
    release_wave(self);
}

WEIR_SUSPENDS static void measure_moves(struct worker *self, const char *name, bool together)
{
    struct bench *bench = self->bench;
    int64_t times[MOVE_WAVES];
    bench->together = together;
    /* Once round first: what a worker notes of a key when it meets it is not of this table. */
    for (unsigned i = 0; i < waves_of_all(bench); i++, next_wave(bench))
        move_wave(self, &times[0]);
    bench->moved = 0;
    int64_t begun = ns_of(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < MOVE_WAVES; i++, next_wave(bench))
        move_wave(self, &times[i]);
    int64_t processor = ns_of(CLOCK_PROCESS_CPUTIME_ID) - begun;
    unsigned expected = MOVE_WAVES * WAVE * 2;
    printf("%s_processor_ns %.1f\n%s_wall_ns %.1f\n", name, (double)processor / expected, name,
           median(times, MOVE_WAVES) / WAVE);
    printf("%s_not_moved %u\n", name, expected - bench->moved);
}

WEIR_SUSPENDS static void lead(void *argument)
{
    struct worker *self = argument;
    dial_all(self);
    measure_local(self);
    measure_looked(self);
    measure_moves(self, "alone", false);
    measure_moves(self, "together", true);
    self->bench->over = true;
    pass_to(&self->bench->workers[1]);
    loop_stop(&self->loop);
}

WEIR_SUSPENDS static void follow(void *argument)
{
    struct worker *self = argument;
    for (;;) {
        wait_for_turn(self);
        if (self->bench->over)
            break;
        take_wave(self);
        release_wave(self);
        pass_to(&self->bench->workers[0]);
    }
    loop_stop(&self->loop);
}

/* Beginning and end. */

static void make_peers(struct worker *worker)
{
    const struct bench *bench = worker->bench;
    worker->peers = calloc(bench->keys, sizeof *worker->peers);
    must(worker->peers);
    for (unsigned i = 0; i < bench->keys; i++) {
        char text[ADDR_TEXT_SIZE];
        struct peer_options options;
        peer_options_init(&options);
        snprintf(text, sizeof text, "127.1.%u.%u:%u", i / 250, 1 + i % 250, bench->port);
        must(addr_parse(slice_str(text), &options.addr) == WEIR_OK);
        peer_init(&worker->peers[i], &options);
        must(pool_adopt_peer(&worker->pool, &worker->peers[i]) == WEIR_OK);
    }
}

static void open_worker(struct worker *worker)
{
    struct bench *bench = worker->bench;
    struct loop_options loop_options = {.ops = bench->ops, .worker = worker->number};
    struct pool_options options = {
        .loop = &worker->loop,
        .streams = &worker->streams,
        .commons = bench->commons,
        .worker = worker->number,
        .stats = &worker->stats,
        .seed = 1,
    };
    must(loop_init(&worker->loop, &loop_options) == WEIR_OK);
    streams_init(&worker->streams, &worker->loop);
    pool_init(&worker->pool, &options);
    make_peers(worker);
}

static void close_worker(struct worker *worker)
{
    for (unsigned i = 0; i < worker->bench->keys; i++)
        pool_drain_peer(&worker->pool, &worker->peers[i]);
    pool_fini(&worker->pool);
    streams_fini(&worker->streams);
    loop_fini(&worker->loop);
    free(worker->peers);
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    open_worker(worker);
    must(co_spawn(&worker->loop.sched, NULL, "bench", worker->number == 0 ? lead : follow, worker,
                  &worker->co) == WEIR_OK);
    pthread_barrier_wait(&worker->bench->barrier);
    loop_run(&worker->loop);
    /* Who has posted may still touch the other's loop. */
    pthread_barrier_wait(&worker->bench->barrier);
    close_worker(worker);
    return NULL;
}

static unsigned *shuffled(unsigned count)
{
    struct rand rand;
    unsigned *order = calloc(count, sizeof *order);
    must(order);
    rand_init(&rand, 1);
    for (unsigned i = 0; i < count; i++) {
        unsigned place = (unsigned)rand_below(&rand, i + 1);
        order[i] = order[place];
        order[place] = i;
    }
    return order;
}

static void run(struct bench *bench)
{
    bench->order = shuffled(bench->keys);
    bench->commons = commons_new(WORKERS, bench->keys + WAVE);
    must(bench->commons && pthread_barrier_init(&bench->barrier, NULL, WORKERS) == 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &bench->workers[i];
        worker->bench = bench;
        worker->number = i;
        must(pthread_create(&worker->thread, NULL, run_worker, worker) == 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(bench->workers[i].thread, NULL);
    pthread_barrier_destroy(&bench->barrier);
    commons_free(&bench->commons);
    free(bench->order);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    char text[BACKEND_TEXT_SIZE];
    bool usable = argc == 7 && strcmp(argv[1], "--io") == 0 && strcmp(argv[3], "--port") == 0 &&
                  strcmp(argv[5], "--keys") == 0;
    unsigned long port = usable ? strtoul(argv[4], NULL, 10) : 0;
    unsigned long keys = usable ? strtoul(argv[6], NULL, 10) : 0;
    if (port == 0 || port > UINT16_MAX || keys == 0 || keys > KEYS_MAX) {
        fprintf(stderr, "usage: %s --io epoll|uring --port PORT --keys 1..%d\n", argv[0], KEYS_MAX);
        return 2;
    }
    bench.port = (uint16_t)port;
    bench.keys = (unsigned)keys;
    enum io_choice choice = strcmp(argv[2], "epoll") == 0 ? IO_EPOLL : IO_URING;
    if (backend_choose(choice, text, &bench.ops) != WEIR_OK) {
        fprintf(stderr, "%s\n", text);
        return 1;
    }
    run(&bench);
    return 0;
}
