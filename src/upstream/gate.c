/* SPDX-License-Identifier: MIT */
#include "upstream/gate.h"

#include "base/check.h"
#include "upstream/ask.h"
#include "upstream/peer.h"
#include "upstream/pool.h"

#include <stdlib.h>

struct gate *gate_new(const struct addr *addr)
{
    struct gate *gate = calloc(1, sizeof *gate);
    if (!gate)
        return NULL;
    gate->addr = *addr;
    list_init(&gate->censuses);
    list_init(&gate->asks);
    must(pthread_mutex_init(&gate->lock, NULL) == 0);
    return gate;
}

void gate_free(struct gate *gate)
{
    must(list_is_empty(&gate->asks) && list_is_empty(&gate->censuses));
    must(gate->connections == 0 && gate->dials == 0);
    pthread_mutex_destroy(&gate->lock);
    free(gate);
}

static bool has_room(const struct gate *gate, unsigned connections_max, unsigned dials_max)
{
    return (connections_max == 0 || gate->connections < connections_max) &&
           (dials_max == 0 || gate->dials < dials_max);
}

static bool has_room_for(const struct gate *gate, const struct ask *ask)
{
    const struct peer_limits *limits = &ask->peer->options.limits;
    return has_room(gate, limits->max_connections, limits->max_dials);
}

static struct ask *oldest(struct gate *gate)
{
    struct list *link = list_first(&gate->asks);
    return link ? container_of(link, struct ask, gate_link) : NULL;
}

/* Who stood in the queue before has its old place again, which is nearly always the first. */
static void enqueue(struct gate *gate, struct ask *ask)
{
    struct list *next = &gate->asks;
    if (ask->ticket == 0)
        ask->ticket = ++gate->last_ticket;
    else
        next = gate->asks.next;
    while (next != &gate->asks && container_of(next, struct ask, gate_link)->ticket < ask->ticket)
        next = next->next;
    list_push_back(next, &ask->gate_link);
    atomic_fetch_add(&gate->waiting, 1);
}

static void dequeue(struct gate *gate, struct ask *ask)
{
    list_remove(&ask->gate_link);
    atomic_fetch_sub(&gate->waiting, 1);
}

static void dismiss(struct ask *ask)
{
    list_remove(&ask->gate_link);
    atomic_fetch_sub(&ask->key->census->standing_by_count, 1);
}

/* Who waits for a dial alone waits as long as for any dial: only a limit makes a queue. */
static bool queue_is_full(const struct gate *gate, const struct ask *ask)
{
    const struct peer_limits *limits = &ask->peer->options.limits;
    bool stood_there = ask->ticket > 0;
    return !stood_there && limits->max_connections > 0 &&
           gate->connections >= limits->max_connections &&
           atomic_load(&gate->waiting) >= limits->queue_size;
}

enum gate_entry gate_enter(struct gate *gate, struct ask *ask)
{
    enum gate_entry entry = GATE_WAIT;
    pthread_mutex_lock(&gate->lock);
    if (list_is_empty(&gate->asks) && has_room_for(gate, ask)) {
        gate->connections++;
        gate->dials++;
        entry = GATE_DIAL;
    } else if (queue_is_full(gate, ask)) {
        entry = GATE_FULL;
    } else {
        enqueue(gate, ask);
    }
    pthread_mutex_unlock(&gate->lock);
    return entry;
}

bool gate_enter_now(struct gate *gate, unsigned connections_max, unsigned dials_max)
{
    pthread_mutex_lock(&gate->lock);
    bool enters = list_is_empty(&gate->asks) && has_room(gate, connections_max, dials_max);
    if (enters) {
        gate->connections++;
        gate->dials++;
    }
    pthread_mutex_unlock(&gate->lock);
    return enters;
}

/*
 * Takes those off the queue for whom there is room now, and unlocks before it tells them. Who gives
 * up meanwhile must find that it does not stand there any more: so they are in no list.
 */
static void let_in_and_unlock(struct gate *gate)
{
    struct ask *first = NULL, **end = &first;
    for (struct ask *ask; (ask = oldest(gate)) && has_room_for(gate, ask);) {
        gate->connections++;
        gate->dials++;
        dequeue(gate, ask);
        ask->next_let_in = NULL;
        *end = ask;
        end = &ask->next_let_in;
    }
    pthread_mutex_unlock(&gate->lock);
    for (struct ask *ask; (ask = first);) {
        first = ask->next_let_in; /* once it is told it may be gone */
        ask_answer(ask, ANSWER_DIAL);
    }
}

void gate_dialled(struct gate *gate, bool connected)
{
    pthread_mutex_lock(&gate->lock);
    must(gate->dials > 0 && gate->connections > 0);
    gate->dials--;
    gate->connections -= connected ? 0 : 1;
    let_in_and_unlock(gate);
}

void gate_closed(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    must(gate->connections > 0);
    gate->connections--;
    let_in_and_unlock(gate);
}

bool gate_waits_elsewhere(struct gate *gate, const struct pool *pool)
{
    if (!gate_has_waiting(gate))
        return false;
    pthread_mutex_lock(&gate->lock);
    struct list *first = list_first(&gate->asks);
    bool elsewhere = first && container_of(first, struct ask, gate_link)->pool != pool;
    pthread_mutex_unlock(&gate->lock);
    return elsewhere;
}

struct ask *gate_take_oldest(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    struct ask *ask = oldest(gate);
    if (ask)
        dequeue(gate, ask);
    pthread_mutex_unlock(&gate->lock);
    return ask;
}

void gate_put_back(struct ask *ask)
{
    struct gate *gate = ask->key->census->gate;
    pthread_mutex_lock(&gate->lock);
    enqueue(gate, ask);
    let_in_and_unlock(gate);
}

void gate_stand_by(struct gate *gate, struct ask *ask)
{
    struct census *census = ask->key->census;
    pthread_mutex_lock(&gate->lock);
    list_push_back(&census->standing_by, &ask->gate_link);
    atomic_fetch_add(&census->standing_by_count, 1);
    pthread_mutex_unlock(&gate->lock);
}

struct ask *gate_take_standing_by(struct census *census)
{
    struct ask *ask = NULL;
    pthread_mutex_lock(&census->gate->lock);
    struct list *link = list_first(&census->standing_by);
    if (link) {
        ask = container_of(link, struct ask, gate_link);
        dismiss(ask);
    }
    pthread_mutex_unlock(&census->gate->lock);
    return ask;
}

bool gate_leave(struct gate *gate, struct ask *ask)
{
    pthread_mutex_lock(&gate->lock);
    bool was_there = !list_is_empty(&ask->gate_link);
    if (was_there && ask->place == STANDING_BY)
        dismiss(ask);
    else if (was_there)
        dequeue(gate, ask);
    pthread_mutex_unlock(&gate->lock);
    return was_there;
}

void gate_count(struct gate *gate, unsigned *ret_connections, unsigned *ret_dials)
{
    pthread_mutex_lock(&gate->lock);
    *ret_connections = gate->connections;
    *ret_dials = gate->dials;
    pthread_mutex_unlock(&gate->lock);
}
