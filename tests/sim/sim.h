/* SPDX-License-Identifier: MIT */
#ifndef SIM_SIM_H
#define SIM_SIM_H

/*
 * The third backend: a network in memory and a clock of its own. One seed decides everything that
 * is left to chance, so the same seed gives the same run, event by event (see trace_hash).
 *
 *   world    the network, the clock and the faults; shared by its loops, all on one thread
 *   end      one side of a connection; its descriptor is a number, reused like a descriptor's
 *   segment  bytes, an end or a reset on the way from one end to the other; they keep their order
 *   batch    what one poll finds: all that happened in a short time
 *
 * Waiting moves the clock to the next event or deadline; nothing ever sleeps. Where nothing can
 * happen any more the world is stuck, and the loops stop. Set the environment's SIM_TRACE to see
 * every event.
 */

#include "base/rand.h"
#include "io/loop.h"
#include "io/sock.h"

/* What may go wrong; chances are per thousand. sim_calm() is where to start. */
struct sim_faults {
    struct weir_span latency_min, latency_max; /* of a segment; at least 1 ns */
    struct weir_span batch_max;                /* a poll finds what happened within up to this */
    struct weir_span late_max;                 /* of a late end, and of a late announcement */
    size_t window_min, window_max; /* bytes that a receiver queues before its sender waits */
    unsigned split;                /* a send goes as several segments */
    unsigned short_send;           /* a send takes less than there is room for */
    unsigned short_recv;           /* a receive brings less than there is */
    unsigned late_end;             /* an end takes longer than bytes do */
    unsigned late_announce; /* what has come is announced some polls later; looking finds it */
    unsigned reset;         /* a segment is lost with its connection */
    unsigned reset_drops;   /* a reset takes with it what had come and was not received yet */
    unsigned refuse;        /* a dial is refused */
    unsigned vanish;        /* a dial is never answered */
    unsigned no_ports;      /* a dial finds no source port */
    unsigned late_detach;   /* a sock leaves its loop later, with what came meanwhile */
    unsigned stall;         /* a loop is not turned for a while, of up to this: */
    struct weir_span stall_max;
};

struct sim_end;

struct sim_world {
    struct backend_ops ops; /* what the loops of this world are opened with */
    uint64_t seed;
    struct rand rand;
    struct weir_time now;
    struct sim_faults faults;
    struct list events;    /* by time */
    struct list listeners; /* those that are open */
    struct list barred;    /* addresses that refuse or swallow */
    struct list backends;
    struct sim_slot *slots; /* by descriptor */
    size_t slot_count, open_count, open_limit;
    size_t numbers_used; /* one more than the highest ever */
    uint64_t numbers_reused;
    struct list ends; /* all that ever were */
    uint64_t next_end;
    uint16_t next_port;
    uint64_t trace_hash, event_count;
    bool stuck;  /* nothing can happen any more */
    bool driven; /* sim_run() moves the clock */
    bool tracing;
    void (*turned)(void *owner); /* sim_run() calls it when all loops have turned; may be NULL */
    void *owner;
};

extern const struct backend_ops sim_ops;

void sim_world_init(struct sim_world *world, uint64_t seed);
/* The loops must be closed (checked). */
void sim_world_fini(struct sim_world *world);

/* No faults; short, varying latency. */
struct sim_faults sim_calm(void);
/* A bit of each; how much, the seed decides. */
struct sim_faults sim_rough(struct sim_world *world);

/* True with a chance of `per_mille`; a number below `limit`; both from the seed. */
bool sim_chance(struct sim_world *world, unsigned per_mille);
struct weir_span sim_span(struct sim_world *world, struct weir_span min, struct weir_span max);

/* A loop in this world, and its end. The loop that was opened or entered last is the thread's. */
enum weir_err sim_loop_init(struct sim_world *world, struct loop *loop, unsigned worker);
void sim_loop_fini(struct loop *loop);
/* Makes `loop` the thread's: before its coroutines, streams or pools are touched from outside. */
void sim_enter(struct loop *loop);

/*
 * Turns all loops until they are stopped, `until` has come, or the world is stuck. A world with one
 * loop may as well use loop_run().
 */
void sim_run(struct sim_world *world, struct weir_time until);

/* From now on dials to `addr` are refused, or never answered, or as they were. */
enum sim_bar { SIM_OPEN, SIM_REFUSES, SIM_SWALLOWS };
void sim_bar(struct sim_world *world, const struct addr *addr, enum sim_bar bar);

/* Notes something of the test in the trace. */
void sim_note(struct sim_world *world, const char *what, uint64_t a, uint64_t b);

#endif
