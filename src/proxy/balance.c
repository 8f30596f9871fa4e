/* SPDX-License-Identifier: MIT */
#include "proxy/balance.h"

#include "base/check.h"

/* How willingly a server is chosen, the lower the better. */
enum rank { RANK_READY, RANK_HELD, RANK_TRIED };

static enum rank rank_of(const struct balance_server *server, struct weir_time now,
                         uint64_t request)
{
    if (server->tried_by == request)
        return RANK_TRIED;
    return weir_time_before(now, server->held_until) ? RANK_HELD : RANK_READY;
}

static enum rank best_rank(const struct balance *balance, struct weir_time now, uint64_t request)
{
    enum rank best = RANK_TRIED;
    for (unsigned i = 0; i < balance->count; i++) {
        enum rank rank = rank_of(&balance->servers[i], now, request);
        if (rank < best)
            best = rank;
    }
    return best;
}

/*
 * Each candidate earns its weight, the richest is chosen and pays what all have earned: over one
 * round everyone is chosen as often as his weight says.
 */
struct balance_server *balance_pick(struct balance *balance, struct weir_time now, uint64_t request)
{
    enum rank rank = best_rank(balance, now, request);
    struct balance_server *best = NULL;
    int64_t total = 0;
    must(balance->count > 0);
    for (unsigned i = 0; i < balance->count; i++) {
        struct balance_server *server = &balance->servers[i];
        if (rank_of(server, now, request) != rank)
            continue;
        server->credit += server->weight;
        total += server->weight;
        if (!best || server->credit > best->credit)
            best = server;
    }
    best->credit -= total;
    best->tried_by = request;
    return best;
}

void balance_hold(struct balance_server *server, struct weir_time until)
{
    server->held_until = until;
}
