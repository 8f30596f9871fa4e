/* SPDX-License-Identifier: MIT */
#include "tests/sim/pool_play.h"

#include "base/check.h"
#include "upstream/ask.h"
#include "upstream/keys.h"

#include <stdio.h>

/* A timer's tick, and the way from one worker to another. */
enum { REST_LATE_NS = 50000000 };

/* What all parts have counted. */
struct books {
    uint64_t opened, closed, moved_in, moved_out, idle, in_use, dialling, sessions, news;
};

static void add_stats(const struct part *part, unsigned peer_count, struct books *books)
{
    for (unsigned i = 0; i < peer_count; i++) {
        const struct upstream_stats *stats = &part->stats[i];
        books->opened += stat_read(&stats->opened);
        books->idle += stat_read(&stats->idle[HTTP_1]);
        books->in_use += stat_read(&stats->in_use[HTTP_1]);
        books->dialling += stat_read(&stats->dialling);
        books->news += stat_read(&stats->requests[SOURCE_NEW]);
        for (unsigned reason = 0; reason < CLOSE_COUNT; reason++)
            books->closed += stat_read(&stats->closed[reason]);
        for (unsigned source = 0; source < SOURCE_COUNT; source++)
            books->sessions += stat_read(&stats->requests[source]);
    }
}

static void add_part(const struct part *part, struct books *books)
{
    books->opened += part->pool.opened_count;
    books->closed += part->pool.closed_count;
    books->moved_in += part->pool.moved_in_count;
    books->moved_out += part->pool.moved_out_count;
    books->idle += part->pool.idle_count;
    books->in_use += part->pool.in_use_count;
    books->dialling += part->pool.dialling_count;
}

/* Nothing is lost and nothing is there twice, over all parts and what is between them. */
static void check_stats(const struct play *play)
{
    struct books stats = {0}, pools = {0};
    for (unsigned i = 0; i < play->part_count; i++) {
        add_stats(&play->parts[i], play->peer_count, &stats);
        add_part(&play->parts[i], &pools);
    }
    must(stats.opened == pools.opened && stats.closed == pools.closed);
    must(stats.idle == pools.idle && stats.in_use == pools.in_use);
    must(stats.dialling == pools.dialling);
    must(stats.sessions == play->gets && stats.news <= stats.opened);
    must(pools.moved_out >= pools.moved_in);
    must(pools.opened - pools.closed ==
         pools.idle + pools.in_use + pools.moved_out - pools.moved_in);
    must(pools.idle <= play->commons->places.size);
}

/* What any part knows of the key. */
static const struct pool_key *find_somewhere(const struct play *play, const struct key *key)
{
    const struct pool_key *found = NULL;
    for (unsigned i = 0; i < play->part_count && !found; i++)
        found = key_find(&play->parts[i].pool, key);
    return found;
}

/* No more connections to an address than its limit allows. */
static void check_limits(const struct play *play)
{
    for (unsigned i = 0; i < play->peer_count; i++) {
        const struct peer_limits *limits = &play->kinds[i].options.limits;
        const struct pool_key *key = find_somewhere(play, &play->kinds[i].key);
        unsigned connections, dials;
        if (!key)
            continue;
        gate_count(gate_of(key), &connections, &dials);
        must(limits->max_connections == 0 || connections <= limits->max_connections);
        must(limits->max_dials == 0 || dials <= limits->max_dials);
    }
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

static bool is_wanted(const struct part *part, const struct pool_key *key)
{
    for (unsigned i = 0; i < part->play->peer_count; i++)
        if (part->peers[i] && key_equal(&part->peers[i]->key, &key->key))
            return true;
    return false;
}

/* Who waits has been told: for another's connection, for a dial, or at the gate. */
static void check_waiting(const struct part *part, const struct pool_key *key)
{
    list_each (link, (struct list *)&key->asks)
        must(!container_of(link, struct ask, key_link)->peer->drained);
    list_each (link, &gate_of(key)->asks) {
        const struct ask *ask = container_of(link, struct ask, gate_link);
        must(ask->pool != &part->pool || !ask->peer->drained || ask_is_settled(ask));
    }
}

/*
 * Where a peer was drained nothing of it rests, nobody waits for it, and its key is forgotten as
 * soon as nothing is left.
 */
static void check_drained(const struct part *part)
{
    list_each (link, (struct list *)&part->pool.idle)
        must(!container_of(link, struct conn, idle_link)->peer->drained);
    for (size_t i = 0; i < part->pool.keys.bucket_count; i++)
        for (struct map_link *at = part->pool.keys.buckets[i]; at; at = at->next) {
            const struct pool_key *key = container_of(at, struct pool_key, link);
            must(key->unwanted || is_wanted(part, key));
            must(!key->unwanted || key->holds + key->idle_count + key->in_use_count > 0);
            check_waiting(part, key);
        }
}

static void check_part(const struct part *part)
{
    pool_audit(&part->pool);
    check_order(&part->pool);
    check_drained(part);
    must(!part->pool.draining || part->pool.idle_count == 0);
}

void rules_check(const struct play *play)
{
    unsigned held = 0, in_use = 0;
    for (unsigned i = 0; i < play->part_count; i++) {
        check_part(&play->parts[i]);
        in_use += play->parts[i].pool.in_use_count;
    }
    check_stats(play);
    check_limits(play);
    for (unsigned i = 0; i < play->client_count; i++)
        held += play->clients[i] && play->clients[i]->session;
    must(held <= in_use);
    for (unsigned i = 0; i < play->origin_count; i++) {
        const char *breach = play->origins[i].breach;
        if (breach)
            fprintf(stderr, "# an origin saw: %s\n", breach);
        must(!breach);
    }
}

void rules_check_identity(const struct client *self, uint64_t accepted_as)
{
    struct play *play = self->play;
    unsigned origin = self->peer_number / KEYS_PER_ORIGIN;
    uint64_t id = self->connection;
    must(id > 0 && id < CONNECTIONS_MAX && accepted_as > 0 && accepted_as < CONNECTIONS_MAX);
    unsigned *number = &play->accepted_as[id];
    uint64_t *known_as = &play->ids[origin][accepted_as];
    must((*number == 0 || *number == accepted_as) && (*known_as == 0 || *known_as == id));
    *number = (unsigned)accepted_as;
    *known_as = id;
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
    must(story->connection_requests == conn->requests && conn->pool == &self->part->pool);
    must(limits->max_requests_per_connection == 0 ||
         conn->requests <= limits->max_requests_per_connection);
    if (story->source == SOURCE_NEW) {
        must(conn->requests == 1);
        return;
    }
    struct iobuf *buf = NULL;
    must(conn->requests > 1 || conn->rested);
    must(weir_span_is_forever(limits->idle_timeout) ||
         story->connection_idle.ns <= limits->idle_timeout.ns + REST_LATE_NS);
    if (conn->released_turn != self->part->loop.turn)
        must(stream_look(conn->stream, LOOK_WELL, &buf) == STREAM_QUIET);
}
