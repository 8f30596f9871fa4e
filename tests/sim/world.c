/* SPDX-License-Identifier: MIT */
#include "tests/sim/part.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The clock starts here: not at 0, which would hide who forgot to set a time. */
#define SIM_START WEIR_TIME_INIT(1000000000000)

void sim_world_init(struct sim_world *world, uint64_t seed)
{
    *world = (struct sim_world){
        .ops = sim_ops,
        .seed = seed,
        .now = SIM_START,
        .faults = sim_calm(),
        .open_limit = 100000,
        .next_port = 40000,
        .trace_hash = 0xcbf29ce484222325u,
        .tracing = getenv("SIM_TRACE") != NULL,
    };
    rand_init(&world->rand, seed);
    list_init(&world->events);
    list_init(&world->listeners);
    list_init(&world->barred);
    list_init(&world->backends);
    list_init(&world->ends);
}

/* How long a turn takes at least. */
enum { TURN_NS = 1000 };

struct barred {
    struct list link;
    struct addr addr;
    enum sim_bar bar;
};

void sim_world_fini(struct sim_world *world)
{
    must(list_is_empty(&world->backends));
    for (struct list *link; (link = list_pop_front(&world->events));)
        free(container_of(link, struct sim_event, link));
    for (struct list *link; (link = list_pop_front(&world->ends));)
        sim_end_free(container_of(link, struct sim_end, all_link));
    for (struct list *link; (link = list_pop_front(&world->listeners));)
        free(container_of(link, struct sim_listener, link));
    for (struct list *link; (link = list_pop_front(&world->barred));)
        free(container_of(link, struct barred, link));
    free(world->slots);
}

struct sim_faults sim_calm(void)
{
    return (struct sim_faults){
        .latency_min = weir_span_ns(20000),
        .latency_max = weir_span_ns(200000),
        .late_max = weir_span_ms(5),
        .window_min = 65536,
        .window_max = 65536,
    };
}

struct sim_faults sim_rough(struct sim_world *world)
{
    struct rand *rand = &world->rand;
    return (struct sim_faults){
        .latency_min = weir_span_ns(1),
        .latency_max = weir_span_ns(1 + (int64_t)rand_below(rand, 20000000)),
        .batch_max = weir_span_ns((int64_t)rand_below(rand, 5000000)),
        .late_max = weir_span_ns(1 + (int64_t)rand_below(rand, 100000000)),
        .window_min = 1 + rand_below(rand, 100),
        .window_max = 100 + rand_below(rand, 100000),
        .split = (unsigned)rand_below(rand, 500),
        .short_send = (unsigned)rand_below(rand, 300),
        .short_recv = (unsigned)rand_below(rand, 300),
        .late_end = (unsigned)rand_below(rand, 500),
        .late_announce = (unsigned)rand_below(rand, 300),
        .reset = (unsigned)rand_below(rand, 10),
        .reset_drops = (unsigned)rand_below(rand, 1000),
        .refuse = (unsigned)rand_below(rand, 50),
        .vanish = (unsigned)rand_below(rand, 30),
        .no_ports = (unsigned)rand_below(rand, 10),
        .late_detach = (unsigned)rand_below(rand, 500),
        .stall = (unsigned)rand_below(rand, 4),
        .stall_max = weir_span_ns(1 + (int64_t)rand_below(rand, 100000000)),
    };
}

bool sim_chance(struct sim_world *world, unsigned per_mille)
{
    return per_mille > 0 && rand_below(&world->rand, 1000) < per_mille;
}

struct weir_span sim_span(struct sim_world *world, struct weir_span min, struct weir_span max)
{
    must(min.ns <= max.ns);
    uint64_t width = (uint64_t)(max.ns - min.ns) + 1;
    return weir_span_ns(min.ns + (int64_t)rand_below(&world->rand, width));
}

/* FNV-1a over words. */
static void mix(struct sim_world *world, uint64_t word)
{
    world->trace_hash = (world->trace_hash ^ word) * 0x100000001b3u;
    world->trace_hash ^= world->trace_hash >> 29;
}

void sim_trace(struct sim_world *world, const char *what, uint64_t a, uint64_t b)
{
    mix(world, (uint64_t)world->now.ns);
    for (const char *at = what; *at; at++)
        mix(world, (unsigned char)*at);
    mix(world, a);
    mix(world, b);
    if (world->tracing)
        fprintf(stderr, "# %13.6f ms  %-9s %" PRIu64 " %" PRIu64 "\n",
                (double)(world->now.ns - SIM_START.ns) / 1e6, what, a, b);
}

void sim_note(struct sim_world *world, const char *what, uint64_t a, uint64_t b)
{
    sim_trace(world, what, a, b);
}

struct sim_event *sim_event_new(enum sim_kind kind, struct sim_end *end, size_t len)
{
    struct sim_event *event = malloc(sizeof *event + len);
    must(event);
    *event = (struct sim_event){.kind = kind, .end = end, .len = len};
    return event;
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at.ns != b->at.ns ? a->at.ns < b->at.ns : a->rank < b->rank;
}

void sim_event_post(struct sim_world *world, struct sim_event *event, struct weir_time at)
{
    event->at = at;
    event->rank = rand_u64(&world->rand);
    struct list *after = world->events.prev;
    while (after != &world->events && is_before(event, container_of(after, struct sim_event, link)))
        after = after->prev;
    list_insert(after, &event->link);
}

static bool is_stalled(const struct sim_world *world, const struct backend *backend)
{
    return weir_time_before(world->now, backend->stalled_until);
}

static bool all_are_stalled(struct sim_world *world)
{
    list_each (link, &world->backends)
        if (!is_stalled(world, container_of(link, struct backend, link)))
            return false;
    return true;
}

/* The first that a loop would take now, if it were due. */
static struct weir_time next_event(struct sim_world *world)
{
    if (all_are_stalled(world))
        return WEIR_NEVER;
    list_each (link, &world->events) {
        struct sim_event *event = container_of(link, struct sim_event, link);
        const struct backend *owner = sim_event_owner(event);
        if (!owner || !is_stalled(world, owner))
            return event->at;
    }
    return WEIR_NEVER;
}

/*
 * Moves the clock to the next event, or to `until` when that comes first. Where that has come, a
 * turn has still taken its time: who looks for something again and again sees it come.
 */
static void advance(struct sim_world *world, struct weir_time until)
{
    struct weir_time next = next_event(world);
    until.ns += !weir_time_before(world->now, until) ? TURN_NS : 0;
    if (weir_time_before(next, until)) {
        struct weir_span batch = sim_span(world, weir_span_ns(0), world->faults.batch_max);
        next = weir_time_min(weir_time_after(next, batch), until);
    } else {
        next = until;
    }
    if (weir_time_before(world->now, next))
        world->now = next;
}

/* The first event that is due and `backend`'s to deliver; NULL: none. */
static struct sim_event *next_due(struct sim_world *world, const struct backend *backend)
{
    list_each (link, &world->events) {
        struct sim_event *event = container_of(link, struct sim_event, link);
        if (weir_time_before(world->now, event->at))
            return NULL;
        const struct backend *owner = sim_event_owner(event);
        if (!owner || owner == backend)
            return event;
    }
    return NULL;
}

void sim_poll(struct backend *backend, struct weir_time until)
{
    struct sim_world *world = backend->world;
    if (!world->driven && !backend->interrupted) {
        must(backend->link.next == backend->link.prev); /* several loops: use sim_run() */
        if (weir_time_is_never(until) && list_is_empty(&world->events)) {
            world->stuck = true;
            loop_stop(backend->loop);
            return;
        }
        advance(world, until);
    }
    backend->interrupted = false;
    loop_read_clock(backend->loop);
    for (struct sim_event *event; (event = next_due(world, backend));) {
        list_remove(&event->link);
        world->event_count++;
        sim_event_fire(world, event);
        free(event);
    }
}

enum weir_err sim_loop_init(struct sim_world *world, struct loop *loop, unsigned worker)
{
    sched_enter(NULL);
    return loop_init(loop, &(struct loop_options){.ops = &world->ops, .worker = worker});
}

void sim_loop_fini(struct loop *loop)
{
    sim_enter(loop);
    loop_fini(loop);
}

void sim_enter(struct loop *loop)
{
    sched_enter(&loop->sched);
}

static bool is_busy(const struct sim_world *world, struct backend *backend)
{
    struct loop *loop = backend->loop;
    return backend->interrupted || !sched_is_idle(&loop->sched) ||
           !mailbox_is_empty(&loop->mailbox) ||
           !weir_time_before(world->now, timers_next(&loop->sched.timers));
}

/* Whether the loop has its turn now: a worker may be kept from its work for a while. */
static bool has_its_turn(struct sim_world *world, struct backend *backend)
{
    if (!is_stalled(world, backend) && sim_chance(world, world->faults.stall)) {
        struct weir_span stall = sim_span(world, weir_span_ns(1), world->faults.stall_max);
        backend->stalled_until = weir_time_after(world->now, stall);
        sim_trace(world, "stall", backend->loop->worker, (uint64_t)stall.ns);
    }
    return !is_stalled(world, backend);
}

/* Turns each loop once, in an order that the seed chooses. False when all have stopped. */
static bool turn_all(struct sim_world *world)
{
    struct list turned;
    bool running = false;
    size_t left = 0;
    list_init(&turned);
    list_each (link, &world->backends)
        left++;
    for (; left > 0; left--) {
        struct list *chosen = list_first(&world->backends);
        for (uint64_t skip = rand_below(&world->rand, left); skip > 0; skip--)
            chosen = chosen->next;
        struct backend *backend = container_of(chosen, struct backend, link);
        struct loop *loop = backend->loop;
        list_remove(chosen);
        list_push_back(&turned, chosen);
        if (has_its_turn(world, backend)) {
            sim_enter(loop);
            loop_turn(loop, world->now);
        }
        running |= !atomic_load(&loop->stopping);
    }
    list_splice(&world->backends, &turned);
    return running;
}

void sim_run(struct sim_world *world, struct weir_time until)
{
    world->driven = true;
    while (turn_all(world) && weir_time_before(world->now, until)) {
        if (world->turned)
            world->turned(world->owner);
        bool busy = !weir_time_before(world->now, next_event(world));
        struct weir_time next = until;
        list_each (link, &world->backends) {
            struct backend *backend = container_of(link, struct backend, link);
            bool stalled = is_stalled(world, backend);
            busy |= !stalled && is_busy(world, backend);
            next = weir_time_min(next, stalled ? backend->stalled_until
                                               : timers_next(&backend->loop->sched.timers));
        }
        if (busy)
            next = world->now;
        world->stuck = !busy && weir_time_is_never(next) && list_is_empty(&world->events);
        if (world->stuck)
            break;
        advance(world, next);
    }
    world->driven = false;
}

void sim_bar(struct sim_world *world, const struct addr *addr, enum sim_bar bar)
{
    list_each (link, &world->barred) {
        struct barred *barred = container_of(link, struct barred, link);
        if (addr_equal(&barred->addr, addr)) {
            barred->bar = bar;
            return;
        }
    }
    struct barred *barred = malloc(sizeof *barred);
    must(barred);
    barred->addr = *addr;
    barred->bar = bar;
    list_push_back(&world->barred, &barred->link);
}

enum sim_bar sim_bar_of(const struct sim_world *world, const struct addr *addr)
{
    const struct list *head = &world->barred;
    for (const struct list *link = head->next; link != head; link = link->next) {
        const struct barred *barred = container_of(link, const struct barred, link);
        if (addr_equal(&barred->addr, addr))
            return barred->bar;
    }
    return SIM_OPEN;
}
