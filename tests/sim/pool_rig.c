/* SPDX-License-Identifier: MIT */
#include "tests/sim/pool_rig.h"

#include "base/check.h"
#include "base/log.h"

#include <stdlib.h>

struct rig_peer {
    struct peer peer;
    struct pool_rig *rig;
};

static void free_peer(struct peer *peer)
{
    struct rig_peer *freed = container_of(peer, struct rig_peer, peer);
    must(peer->references == 0 && peer->drained);
    freed->rig->peers_alive--;
    free(freed);
}

void rig_new_peer(struct rig_part *part)
{
    struct rig_peer *added = malloc(sizeof *added);
    must(added && !part->peer);
    peer_init(&added->peer, &part->rig->options);
    added->peer.unused = free_peer;
    added->rig = part->rig;
    part->rig->peers_alive++;
    part->peer = &added->peer;
}

/* What is done in a loop is done in a coroutine there, which this one waits for. */
struct errand_there {
    struct rig_part *part;
    struct rig_get *get;
    bool done;
};

WEIR_SUSPENDS static void do_there(struct rig_part *part, co_fn *fn, struct errand_there *what)
{
    what->part = part;
    must(co_spawn(&part->loop.sched, NULL, "there", fn, what, NULL) == WEIR_OK);
    while (!what->done)
        rig_sleep_ms(1);
}

static void drain_there(void *argument)
{
    struct errand_there *self = argument;
    struct peer *peer = self->part->peer;
    self->part->peer = NULL;
    pool_drain_peer(&self->part->pool, peer);
    pool_audit(&self->part->pool);
    self->done = true;
}

void rig_drain_peer(struct rig_part *part)
{
    struct errand_there what = {0};
    do_there(part, drain_there, &what);
}

static void run_get(void *argument)
{
    struct rig_get *self = argument;
    struct rig_part *part = self->part;
    struct peer *peer = peer_ref(part->peer);
    self->err = connector_get(&part->pool, peer, self->want, WEIR_NEVER, &self->session);
    peer_unref(peer);
    pool_audit(&part->pool);
    self->done = true;
}

void rig_get(struct rig_get *get, struct rig_part *part, enum connector_want want)
{
    *get = (struct rig_get){.part = part, .want = want};
    must(co_spawn(&part->loop.sched, NULL, "get", run_get, get, &get->co) == WEIR_OK);
}

enum weir_err rig_await(struct rig_get *get)
{
    while (!get->done)
        rig_sleep_ms(1);
    return get->err;
}

uint64_t rig_id(const struct rig_get *get)
{
    must(get->session);
    return get->session->story.connection_id;
}

static void release_there(void *argument)
{
    struct errand_there *self = argument;
    session_release(&self->get->session, true);
    pool_audit(&self->part->pool);
    self->done = true;
}

void rig_release(struct rig_get *get)
{
    struct errand_there what = {.get = get};
    do_there(get->part, release_there, &what);
}

void rig_sleep_ms(int64_t ms)
{
    must(co_sleep(weir_span_ms(ms)) == WEIR_OK);
}

void rig_make_idle(struct rig_part *part, unsigned count)
{
    struct rig_get gets[8];
    must(count <= 8);
    for (unsigned i = 0; i < count; i++)
        rig_get(&gets[i], part, CONNECTOR_FRESH);
    for (unsigned i = 0; i < count; i++)
        must(rig_await(&gets[i]) == WEIR_OK);
    for (unsigned i = 0; i < count; i++)
        rig_release(&gets[i]);
}

static void serve_nothing(struct server *server, struct stream **stream, unsigned number)
{
    struct iobuf *buf;
    (void)number;
    while (stream_recv(*stream, WEIR_NEVER, &buf) == WEIR_OK)
        iobuf_give(&server->loop->bufs, &buf);
}

static void open_part(struct pool_rig *rig, unsigned number)
{
    struct rig_part *part = &rig->parts[number];
    part->rig = rig;
    must(sim_loop_init(&rig->world, &part->loop, number) == WEIR_OK);
    streams_init(&part->streams, &part->loop);
    pool_init(&part->pool, &(struct pool_options){
                               .loop = &part->loop,
                               .streams = &part->streams,
                               .commons = rig->commons,
                               .worker = number,
                               .stats = &part->stats,
                               .seed = rand_u64(&rig->world.rand),
                           });
}

void rig_open(struct pool_rig *rig, uint64_t seed, unsigned part_count, unsigned size,
              server_fn *serve)
{
    *rig = (struct pool_rig){.part_count = part_count};
    log_set_level(LOG_ERROR);
    sim_world_init(&rig->world, seed);
    rig->commons = commons_new(part_count, size);
    must(rig->commons && part_count <= RIG_PARTS_MAX);
    for (unsigned i = 0; i < part_count; i++)
        open_part(rig, i);
    struct loop *home = &rig->parts[0].loop;
    sim_enter(home);
    must(server_open(&rig->server, home, "10.0.0.1:80", serve ? serve : serve_nothing, rig) ==
         WEIR_OK);
    peer_options_init(&rig->options);
    rig->options.upstream = "sim";
    rig->options.addr = rig->server.addr;
}

static bool all_is_quiet(const struct pool_rig *rig)
{
    bool quiet = true;
    for (unsigned i = 0; i < rig->part_count; i++)
        quiet = quiet && pool_is_quiet(&rig->parts[i].pool);
    return quiet;
}

static void rig_main(void *argument)
{
    struct pool_rig *rig = argument;
    for (unsigned i = 0; i < rig->part_count; i++)
        rig_new_peer(&rig->parts[i]);
    rig->run(rig);
    for (unsigned i = 0; i < rig->part_count; i++)
        if (rig->parts[i].peer)
            rig_drain_peer(&rig->parts[i]);
    struct weir_time end = loop_deadline(&rig->parts[0].loop, weir_span_s(60));
    while (!all_is_quiet(rig) && weir_time_before(loop_now(&rig->parts[0].loop), end))
        rig_sleep_ms(1);
    must(all_is_quiet(rig));
    server_close(&rig->server);
    for (unsigned i = 0; i < rig->part_count; i++)
        loop_stop(&rig->parts[i].loop);
}

static void close_part(struct rig_part *part)
{
    sim_enter(&part->loop);
    must(part->pool.keys.count == 0);
    must(stat_read(&part->loop.bufs.used_count) == 0);
    must(part->pool.opened_count + part->pool.moved_in_count ==
         part->pool.closed_count + part->pool.moved_out_count);
    pool_fini(&part->pool);
    streams_fini(&part->streams);
    sim_loop_fini(&part->loop);
}

void rig_run(struct pool_rig *rig, WEIR_SUSPENDS void (*run)(struct pool_rig *rig))
{
    rig->run = run;
    must(co_spawn(&rig->parts[0].loop.sched, NULL, "test", rig_main, rig, NULL) == WEIR_OK);
    sim_run(&rig->world, WEIR_NEVER);
    must(!rig->world.stuck);
    for (unsigned i = 0; i < rig->part_count; i++)
        close_part(&rig->parts[i]);
    must(rig->peers_alive == 0);
    must(rig->world.open_count == 0);
    commons_free(&rig->commons);
    sim_world_fini(&rig->world);
}
