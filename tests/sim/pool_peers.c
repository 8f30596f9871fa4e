/* SPDX-License-Identifier: MIT */
/*
 * Peers that go and come back, as after a change of names: each part drains its own at a moment of
 * its own, and has another one in its place at once, or later, or never.
 */
#include "tests/sim/pool_play.h"

#include "base/check.h"
#include "co/wait.h"

#include <stdlib.h>

struct play_peer {
    struct peer peer;
    struct play *play;
};

static void free_peer(struct peer *peer)
{
    struct play_peer *freed = container_of(peer, struct play_peer, peer);
    must(peer->references == 0 && peer->drained);
    freed->play->peers_alive--;
    free(freed);
}

/* Every second key of each origin is one of a name that stands for all origins. */
static void relate(struct part *part, struct peer *peer, unsigned number)
{
    for (unsigned i = number % KEYS_PER_ORIGIN; i < part->play->peer_count; i += KEYS_PER_ORIGIN)
        if (part->peers[i]) {
            list_insert(&part->peers[i]->sibling, &peer->sibling);
            return;
        }
}

static void add_peer(struct play *play, struct part *part, unsigned number)
{
    struct play_peer *added = malloc(sizeof *added);
    must(added);
    peer_init(&added->peer, &play->kinds[number].options);
    added->peer.unused = free_peer;
    added->play = play;
    play->peers_alive++;
    if (number % KEYS_PER_ORIGIN == 1)
        relate(part, &added->peer, number);
    part->peers[number] = &added->peer;
}

/* The new one, if there is one, is known before the old one goes, or after that. */
static void drain_peer(struct part *part, unsigned number, bool replace)
{
    struct play *play = part->play;
    struct peer *peer = part->peers[number];
    bool before = replace && sim_chance(&play->world, 500);
    part->peers[number] = NULL;
    if (before)
        add_peer(play, part, number);
    sim_note(&play->world, "drain", part->loop.worker, number);
    pool_drain_peer(&part->pool, peer);
    if (replace && !before)
        add_peer(play, part, number);
    play->tally->drains++;
    rules_check(play);
}

static void change_peers(void *argument)
{
    struct part *part = argument;
    struct play *play = part->play;
    struct rand *rand = &play->world.rand;
    for (unsigned left = (unsigned)rand_below(rand, 12); left > 0; left--) {
        must(co_sleep(weir_span_ns((int64_t)rand_below(rand, 500000000))) == WEIR_OK);
        unsigned number = (unsigned)rand_below(rand, play->peer_count);
        if (part->peers[number])
            drain_peer(part, number, sim_chance(&play->world, 500));
        else
            add_peer(play, part, number);
    }
    play->changing--;
}

void peers_open(struct play *play, const struct peer_options *options)
{
    unsigned number = play->peer_count++;
    peer_init(&play->kinds[number], options);
    play->kinds[number].options.upstream_number = number;
    for (unsigned i = 0; i < play->part_count; i++)
        add_peer(play, &play->parts[i], number);
}

void peers_change(struct play *play)
{
    for (unsigned i = 0; i < play->part_count; i++) {
        struct part *part = &play->parts[i];
        play->changing++;
        must(co_spawn(&part->loop.sched, NULL, "peers", change_peers, part, NULL) == WEIR_OK);
    }
}

void peers_close(struct part *part)
{
    for (unsigned i = 0; i < part->play->peer_count; i++)
        if (part->peers[i])
            pool_drain_peer(&part->pool, part->peers[i]);
    must(part->pool.keys.count == 0);
}
