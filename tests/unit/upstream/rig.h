/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_UPSTREAM_RIG_H
#define TESTS_UNIT_UPSTREAM_RIG_H

/*
 * A pool on the stage's loop and real servers on loopback, whose side of each connection the test
 * has in its hand as a plain socket.
 */

#include "base/log.h"
#include "tests/unit/http/raw.h"
#include "upstream/ask.h"
#include "upstream/pool.h"

enum { RIG_SERVERS = 3 };

struct rig {
    struct commons *commons;
    struct pool pool;
    struct upstream_stats stats[RIG_SERVERS];
    struct raw_listener servers[RIG_SERVERS];
    struct peer peers[RIG_SERVERS]; /* one for each server, with a group of its own */
};

static struct rig rig;

/* The peer of server `number`, with other limits. */
static inline void rig_peer(unsigned number, const struct peer_limits *limits)
{
    struct peer_options options;
    peer_options_init(&options);
    options.upstream = "web";
    options.upstream_number = number;
    options.addr = rig.servers[number].addr;
    if (limits)
        options.limits = *limits;
    peer_init(&rig.peers[number], &options);
}

/* A part of a pool of so many. */
static inline void rig_open_among(unsigned size, unsigned part_count)
{
    memset(rig.stats, 0, sizeof rig.stats);
    struct pool_options options = {
        .loop = &stage.loop,
        .streams = &stage.streams,
        .commons = rig.commons = commons_new(part_count, size),
        .stats = rig.stats,
        .seed = 1,
    };
    must(rig.commons);
    log_set_level(LOG_ERROR);
    pool_init(&rig.pool, &options);
    for (unsigned i = 0; i < RIG_SERVERS; i++) {
        raw_listen(&rig.servers[i]);
        rig_peer(i, NULL);
    }
}

static inline void rig_open(unsigned size)
{
    rig_open_among(size, 1);
}

/* Everything must be closed or idle. */
static inline void rig_close(void)
{
    pool_audit(&rig.pool);
    STAGE_UNTIL(pool_is_quiet(&rig.pool));
    pool_fini(&rig.pool);
    commons_free(&rig.commons);
    for (unsigned i = 0; i < RIG_SERVERS; i++) {
        CHECK_EQ(0, stat_read(&rig.stats[i].idle[HTTP_1]));
        CHECK_EQ(0, stat_read(&rig.stats[i].in_use[HTTP_1]));
        CHECK_EQ(0, stat_read(&rig.stats[i].dialling));
        raw_close(rig.servers[i].descriptor);
    }
}

/* One connection, seen from both ends. */
struct rig_pair {
    struct conn *conn;
    uint64_t id;
    int server;
};

/* Dials for a peer. */
WEIR_SUSPENDS static inline enum weir_err rig_connect(struct peer *peer, struct conn **ret_conn)
{
    struct ask_story story = {0};
    const struct ask_options options = {
        .key = pool_key_of(&rig.pool, peer),
        .peer = peer,
        .wants_fresh = true,
        .deadline = in_ms(5000),
    };
    must(options.key);
    return ask_for_conn(&rig.pool, &options, &story, ret_conn);
}

/* An idle connection for a peer that is alive; NULL. */
static inline struct conn *rig_take_for(struct peer *peer)
{
    unsigned dead;
    struct conn *conn = pool_take(&rig.pool, pool_key_of(&rig.pool, peer), LOOK_WELL, false, &dead);
    if (conn)
        pool_change_peer(conn, peer);
    return conn;
}

/* A new connection in use. */
WEIR_SUSPENDS static inline struct rig_pair rig_dial(unsigned number)
{
    struct rig_pair pair = {.server = -1};
    if (!CHECK_OK(rig_connect(&rig.peers[number], &pair.conn)))
        return pair;
    pair.id = pair.conn->id;
    pair.server = raw_accept(&rig.servers[number]);
    pool_audit(&rig.pool);
    return pair;
}

/* Gives a connection back after an exchange that left nothing to say against it. */
static inline void rig_put(struct rig_pair *pair)
{
    struct keep_facts facts = {0};
    pair->conn->requests++;
    pool_put(&pair->conn, &facts);
    CHECK(!pair->conn);
    pool_audit(&rig.pool);
}

/* A connection that is idle. */
WEIR_SUSPENDS static inline struct rig_pair rig_idle(unsigned number)
{
    struct rig_pair pair = rig_dial(number);
    if (pair.conn)
        rig_put(&pair);
    return pair;
}

/* Takes for the peer and tells which one came; 0: none. It stays in *pair's hand. */
static inline uint64_t rig_take(unsigned number, struct conn **ret_conn)
{
    struct conn *conn = rig_take_for(&rig.peers[number]);
    pool_audit(&rig.pool);
    *ret_conn = conn;
    if (!conn)
        return 0;
    CHECK_EQ(CONN_IN_USE, conn->state);
    CHECK(conn->peer == &rig.peers[number]);
    return conn->id;
}

static inline void rig_drop(struct conn **conn)
{
    pool_close(conn, CLOSE_ERROR, true);
    CHECK(!*conn);
    pool_audit(&rig.pool);
}

/* Takes and closes: for asking only which one would come. */
static inline uint64_t rig_pop(unsigned number)
{
    struct conn *conn;
    uint64_t id = rig_take(number, &conn);
    rig_drop(&conn);
    return id;
}

static inline uint64_t rig_closed(unsigned number, enum close_reason reason)
{
    return stat_read(&rig.stats[number].closed[reason]);
}

static inline uint64_t rig_not_kept(unsigned number, enum keep keep)
{
    return stat_read(&rig.stats[number].not_kept[keep]);
}

/* The server sees the end, as 0 or RAW_RESET. */
WEIR_SUSPENDS static inline void rig_check_end(struct rig_pair *pair, ssize_t want)
{
    CHECK_EQ(want, raw_await_end(pair->server));
    raw_close(pair->server);
}

#endif
