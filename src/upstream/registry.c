/* SPDX-License-Identifier: MIT */
#include "upstream/registry.h"

#include "base/check.h"
#include "upstream/ask.h"
#include "upstream/conn_h2.h"
#include "upstream/pool.h"

void registry_note(struct conn *conn)
{
    if (!conn->h2)
        return;
    bool belongs = conn->state == CONN_IN_USE && conn->streams > 0 && conn_h2_has_room(conn);
    bool stands = !list_is_empty(&conn->h2->room_link);
    if (belongs && !stands)
        list_push_back(&conn->key->shared, &conn->h2->room_link);
    else if (!belongs && stands)
        list_remove(&conn->h2->room_link);
}

/*
 * Who has waited longest, where no more connections may be made, may be of another worker. Then no
 * more is begun here, so that the connection comes to rest and can go there.
 */
static bool must_go_elsewhere(const struct pool_key *key, const struct pool *pool)
{
    return gate_waits_elsewhere(gate_of(key), pool);
}

struct conn *registry_take(struct pool_key *key, enum look look)
{
    enum close_reason reason;
    for (struct list *link; (link = list_first(&key->shared));) {
        struct conn *conn = container_of(link, struct conn_h2, room_link)->conn;
        must(conn->magic == CONN_MAGIC && conn->key == key && conn->streams > 0);
        if (must_go_elsewhere(key, conn->pool))
            return NULL;
        if (conn_h2_is_silent(conn))
            conn_h2_suspect(conn);
        else if (look == LOOK_SURELY)
            (void)conn_h2_is_alive(conn, look, &reason);
        registry_note(conn); /* it may be too old by now */
        if (!list_is_empty(&conn->h2->room_link))
            return conn;
    }
    return NULL;
}

void registry_add_stream(struct conn *conn)
{
    must(conn->state == CONN_IN_USE && (conn->h2 || conn->streams == 0));
    conn->streams++;
    if (!conn->h2)
        return;
    conn->h2->promised++;
    stat_add(&conn_stats(conn)->streams, 1);
    if (conn->peer->options.counts_active)
        atomic_fetch_add_explicit(&gate_of(conn->key)->active, 1, memory_order_relaxed);
    registry_note(conn);
}

void registry_drop_stream(struct conn *conn)
{
    must(conn->streams > 0);
    conn->streams--;
    if (!conn->h2)
        return;
    stat_sub(&conn_stats(conn)->streams, 1);
    if (conn->peer->options.counts_active)
        atomic_fetch_sub_explicit(&gate_of(conn->key)->active, 1, memory_order_relaxed);
    registry_note(conn);
}

/* The oldest one; but who dials has something to come, and others may hope for that as well. */
static struct ask *next_ask(struct list *asks, const struct conn *conn)
{
    struct ask *dials = NULL;
    list_each (link, asks) {
        struct ask *ask = container_of(link, struct ask, key_link);
        if (!ask_may_have(ask, conn))
            continue;
        if (list_is_empty(&ask->dials))
            return ask;
        dials = dials ? dials : ask;
    }
    return dials;
}

void registry_serve(struct conn *conn)
{
    if (!conn->h2)
        return;
    struct pool_key *hoping = conn->h2->hoped_by;
    while (conn->streams > 0 && conn_h2_has_room(conn) &&
           !must_go_elsewhere(conn->key, conn->pool)) {
        struct ask *ask = next_ask(&conn->key->asks, conn);
        if (!ask && hoping && hoping != conn->key)
            ask = next_ask(&hoping->asks, conn);
        if (!ask)
            return;
        ask_give(ask, conn);
    }
}
