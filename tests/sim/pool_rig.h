/* SPDX-License-Identifier: MIT */
#ifndef SIM_POOL_RIG_H
#define SIM_POOL_RIG_H

/*
 * A pool of several parts in one simulated world, and one server: for tests that say themselves
 * what happens and when. The test runs in a coroutine of the first part, where the server lives
 * too; what others do is done in coroutines of their own part's loop.
 */

#include "co/wait.h"
#include "tests/sim/server.h"
#include "tests/sim/sim.h"
#include "upstream/connector.h"

enum { RIG_PARTS_MAX = 4 };

struct pool_rig;

struct rig_part {
    struct pool_rig *rig;
    struct loop loop;
    struct streams streams;
    struct pool pool;
    struct upstream_stats stats;
    struct peer *peer; /* the part's own */
};

struct pool_rig {
    struct sim_world world;
    struct commons *commons;
    struct rig_part parts[RIG_PARTS_MAX];
    unsigned part_count, peers_alive;
    struct server server;
    struct peer_options options; /* of new peers */
    WEIR_SUSPENDS void (*run)(struct pool_rig *rig);
    void *owner; /* the test's */
};

/* One request for a session, in a coroutine of its part. */
struct rig_get {
    struct rig_part *part;
    enum connector_want want;
    struct co *co;
    struct session *session;
    enum weir_err err;
    bool done;
};

/*
 * Opens the world with `part_count` parts and a server whose connections `serve` (NULL: it reads
 * all and answers nothing). Options may be changed before rig_run().
 */
void rig_open(struct pool_rig *rig, uint64_t seed, unsigned part_count, unsigned size,
              server_fn *serve);
/*
 * Each part gets its peer, and `run` runs. It leaves no session. Afterwards everything is closed,
 * and nothing may be left (checked).
 */
void rig_run(struct pool_rig *rig, WEIR_SUSPENDS void (*run)(struct pool_rig *rig));

/* Another peer in the place of the part's, which the caller has drained. */
void rig_new_peer(struct rig_part *part);
/* Drains the part's peer, in its own loop, and leaves none there. */
WEIR_SUSPENDS void rig_drain_peer(struct rig_part *part);

/* Begins to ask for a session for the part's peer. */
void rig_get(struct rig_get *get, struct rig_part *part, enum connector_want want);
/* As long as it waits for one. */
static inline bool rig_waits(const struct rig_get *get)
{
    return !get->done;
}
/* Waits for its end. */
WEIR_SUSPENDS enum weir_err rig_await(struct rig_get *get);
/* The id of the connection that it got, once it has one. */
uint64_t rig_id(const struct rig_get *get);
/* Gives the session back unused, in its part's loop. */
WEIR_SUSPENDS void rig_release(struct rig_get *get);

/* Lets time pass. */
WEIR_SUSPENDS void rig_sleep_ms(int64_t ms);
/* Gets a session for each of these and releases all: connections that rest. */
WEIR_SUSPENDS void rig_make_idle(struct rig_part *part, unsigned count);

static inline uint64_t rig_closed(const struct rig_part *part, enum close_reason reason)
{
    return stat_read(&part->stats.closed[reason]);
}

#endif
