/* SPDX-License-Identifier: MIT */
#include "tests/sim/pool_play.h"

#include "base/check.h"

#include <stdio.h>

static void check_stats(const struct play *play)
{
    uint64_t opened = 0, closed = 0, idle = 0, in_use = 0, dialling = 0, sessions = 0, news = 0;
    for (unsigned i = 0; i < play->peer_count; i++) {
        const struct upstream_stats *stats = &play->stats[i];
        opened += stat_read(&stats->opened);
        idle += stat_read(&stats->idle);
        in_use += stat_read(&stats->in_use);
        dialling += stat_read(&stats->dialling);
        news += stat_read(&stats->requests[SOURCE_NEW]);
        for (unsigned reason = 0; reason < CLOSE_COUNT; reason++)
            closed += stat_read(&stats->closed[reason]);
        for (unsigned source = 0; source < SOURCE_COUNT; source++)
            sessions += stat_read(&stats->requests[source]);
    }
    const struct pool *pool = &play->pool;
    must(opened == pool->opened_count && closed == pool->closed_count);
    must(idle == pool->idle_count && in_use == pool->in_use_count);
    must(dialling == pool->dialling_count);
    must(sessions == play->gets && news == opened);
}

/* Nobody else has this connection. */
static void check_owner(const struct client *self)
{
    for (unsigned i = 0; i < self->play->client_count; i++) {
        const struct client *other = self->play->clients[i];
        must(other == self || !other || other->connection != self->connection);
    }
}

/* Who was released last is taken first; who was released first is evicted first. */
static void check_order(const struct pool *pool)
{
    struct weir_time before = {0};
    const struct list *head = &pool->idle;
    for (const struct list *link = head->next; link != head; link = link->next) {
        const struct conn *conn = container_of(link, const struct conn, idle_link);
        const struct list *older = conn->key_link.next;
        must(!weir_time_before(conn->released, before));
        must(older == &conn->key->idle ||
             !weir_time_before(conn->released,
                               container_of(older, const struct conn, key_link)->released));
        before = conn->released;
    }
}

void rules_check(const struct play *play)
{
    unsigned held = 0;
    pool_audit(&play->pool);
    check_stats(play);
    check_order(&play->pool);
    for (unsigned i = 0; i < play->client_count; i++)
        held += play->clients[i] && play->clients[i]->session;
    must(held == play->pool.in_use_count);
    must(!play->pool.draining || play->pool.idle_count == 0);
    for (unsigned i = 0; i < play->origin_count; i++) {
        const char *breach = play->origins[i].breach;
        if (breach)
            fprintf(stderr, "# an origin saw: %s\n", breach);
        must(!breach);
    }
}

/*
 * What was taken from the pool is alive as far as this end can know: nothing lies there. Except
 * where it was released in this very turn, and so was looked at in it.
 */
void rules_check_taken(const struct client *self)
{
    const struct session_story *story = &self->session->story;
    const struct conn *conn = self->session->conn;
    const struct peer_limits *limits = &self->peer->options.limits;
    check_owner(self);
    must(story->connection_id == conn->id && key_equal(&conn->key->key, &self->peer->key));
    must(story->connection_requests == conn->requests);
    must(limits->max_requests_per_connection == 0 ||
         conn->requests <= limits->max_requests_per_connection);
    if (story->source == SOURCE_NEW) {
        must(conn->id > self->play->newest_connection && conn->requests == 1);
        self->play->newest_connection = conn->id;
        return;
    }
    struct iobuf *buf = NULL;
    must(conn->id <= self->play->newest_connection && conn->requests > 1);
    must(self->play->pool.size > 0 && limits->idle_timeout.ns > 0);
    must(!self->play->pool.draining);
    must(weir_span_is_forever(limits->idle_timeout) ||
         story->connection_idle.ns <= limits->idle_timeout.ns + 3000000);
    must(story->connection_age.ns < conn->max_age.ns || weir_span_is_forever(conn->max_age));
    if (conn->released_turn != self->play->loop.turn)
        must(stream_look(conn->stream, LOOK_WELL, &buf) == STREAM_QUIET);
}
