/* SPDX-License-Identifier: MIT */
#include "proxy/balance.h"

#include "base/check.h"
#include "upstream/pool.h"

/* How willingly a server is chosen, the lower the better. */
enum rank { RANK_READY, RANK_FULL, RANK_HELD, RANK_TRIED, RANK_UNWELL };

/* One pick: for whom, and who may be picked. */
struct choice {
    struct weir_time now;
    const struct balance_tried *tried;
    uint64_t hash;
    enum rank rank;
};

static bool was_tried(const struct balance_tried *tried, const struct peer *peer)
{
    for (unsigned i = 0; i < tried->count && i < BALANCE_TRIED_MAX; i++)
        if (tried->peers[i] == peer)
            return true;
    return false;
}

/* A request would stand in its queue. */
static bool is_full(const struct peer *peer)
{
    unsigned most = peer->options.limits.max_connections;
    return most > 0 && census_is_full(peer->known->census, most);
}

static enum rank rank_of(const struct choice *choice, const struct balance_server *server)
{
    if (server->unwell)
        return RANK_UNWELL;
    if (was_tried(choice->tried, server->peer))
        return RANK_TRIED;
    if (peer_is_held(server->peer, choice->now))
        return RANK_HELD;
    return is_full(server->peer) ? RANK_FULL : RANK_READY;
}

/* What other workers do may change ranks at any time, so each is looked at once a pick. */
static enum rank note_ranks(struct balance *balance, const struct choice *choice)
{
    enum rank best = RANK_UNWELL;
    for (unsigned i = 0; i < balance->count; i++) {
        enum rank rank = rank_of(choice, &balance->servers[i]);
        balance->servers[i].rank = rank;
        if (rank < best)
            best = rank;
    }
    return best;
}

static bool may_have(const struct choice *choice, const struct balance_server *server)
{
    return server->rank == choice->rank;
}

/* Sessions for each unit of weight, in a scale that keeps fractions; this request included. */
static uint64_t business(const struct balance_server *server)
{
    uint64_t active =
        server->active ? atomic_load_explicit(server->active, memory_order_relaxed) : 0;
    return (active + 1) * 1000000 / server->weight;
}

static uint64_t least_business(const struct balance *balance, const struct choice *choice)
{
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < balance->count; i++) {
        const struct balance_server *server = &balance->servers[i];
        if (may_have(choice, server) && business(server) < least)
            least = business(server);
    }
    return least;
}

/*
 * Each candidate, no busier than `busy_most`, earns its weight, the richest is chosen and pays what
 * all have earned: over one round everyone is chosen as often as his weight says.
 */
static struct balance_server *pick_in_turn(struct balance *balance, const struct choice *choice,
                                           uint64_t busy_most)
{
    struct balance_server *best = NULL;
    int64_t total = 0;
    for (unsigned i = 0; i < balance->count; i++) {
        struct balance_server *server = &balance->servers[i];
        if (!may_have(choice, server) || (busy_most < UINT64_MAX && business(server) > busy_most))
            continue;
        server->credit += server->weight;
        total += server->weight;
        if (!best || server->credit > best->credit)
            best = server;
    }
    if (best)
        best->credit -= total;
    return best;
}

/* By weight; `but` is not picked if there is anyone else. */
static struct balance_server *pick_by_chance(struct balance *balance, const struct choice *choice,
                                             const struct balance_server *but)
{
    uint64_t weights = 0;
    for (unsigned i = 0; i < balance->count; i++)
        if (may_have(choice, &balance->servers[i]) && &balance->servers[i] != but)
            weights += balance->servers[i].weight;
    if (weights == 0)
        return NULL;
    uint64_t at = rand_below(&balance->rand, weights);
    for (unsigned i = 0;; i++) {
        struct balance_server *server = &balance->servers[i];
        if (!may_have(choice, server) || server == but)
            continue;
        if (at < server->weight)
            return server;
        at -= server->weight;
    }
}

static struct balance_server *pick_of_two(struct balance *balance, const struct choice *choice)
{
    struct balance_server *one = pick_by_chance(balance, choice, NULL);
    struct balance_server *other = pick_by_chance(balance, choice, one);
    return other && business(other) < business(one) ? other : one;
}

static struct balance_server *pick_on_ring(const struct balance *balance,
                                           const struct choice *choice)
{
    const struct hash_ring *ring = &balance->ring;
    unsigned first = hash_ring_find(ring, choice->hash);
    for (unsigned i = 0;; i++) {
        const struct hash_ring_point *point = &ring->points[(first + i) % ring->count];
        must(i < ring->count);
        if (may_have(choice, &balance->servers[point->server]))
            return &balance->servers[point->server];
    }
}

static struct balance_server *pick(struct balance *balance, const struct choice *choice)
{
    switch (balance->policy) {
    case BALANCE_LEAST_CONNECTIONS: {
        uint64_t least = least_business(balance, choice);
        struct balance_server *server = pick_in_turn(balance, choice, least);
        /* Another worker may have made them busier since. */
        return server ? server : pick_in_turn(balance, choice, UINT64_MAX);
    }
    case BALANCE_RANDOM:
        return pick_of_two(balance, choice);
    case BALANCE_CONSISTENT_HASH:
        return pick_on_ring(balance, choice);
    default:
        return pick_in_turn(balance, choice, UINT64_MAX);
    }
}

struct balance_server *balance_pick(struct balance *balance, struct weir_time now,
                                    struct balance_tried *tried, uint64_t hash)
{
    struct choice choice = {.now = now, .tried = tried, .hash = hash};
    choice.rank = note_ranks(balance, &choice);
    if (choice.rank == RANK_UNWELL)
        return NULL;
    struct balance_server *picked = pick(balance, &choice);
    must(picked);
    tried->peers[tried->count++ % BALANCE_TRIED_MAX] = picked->peer;
    return picked;
}
