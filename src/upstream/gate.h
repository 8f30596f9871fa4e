/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_GATE_H
#define UPSTREAM_GATE_H

/*
 * The way to one address, for all workers of a service: how many connections there are, how many
 * are being dialled, and who waits because there may be no more of either. First come, first
 * served, over all workers.
 *
 * The lock is held for a few instructions, and taken by who dials, closes, or waits, and by who
 * gives one of these a connection; a request that finds an idle connection, and nobody who wants it
 * when it is released, never takes it.
 *
 * Who dials stands by meanwhile, at the census of its key, and may be given a connection that
 * another worker has no use for.
 *
 * An ask that waits here is taken off the queue by whoever has something for it: room to dial, or a
 * connection. The answer goes to its worker by mail, or is given there at once, and exactly once.
 */

#include "base/list.h"
#include "base/map.h"
#include "io/addr.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ask;
struct census;
struct pool;

struct gate {
    struct map_link link; /* in commons.gates */
    struct addr addr;
    struct list censuses; /* of the keys with this address, under the lock of the commons */
    _Atomic unsigned census_count;
    pthread_mutex_t lock;
    _Atomic unsigned connections; /* idle, in use and being dialled; may be read without the lock */
    unsigned dials;
    struct list asks;         /* who waits, oldest first */
    uint64_t last_ticket;     /* of who began to wait last */
    _Atomic unsigned waiting; /* how many; may be read without the lock */
    _Atomic unsigned active;  /* sessions now; counted where balancing asks for it */
};

/* NULL when memory is out. */
struct gate *gate_new(const struct addr *addr);
void gate_free(struct gate *gate);

enum gate_entry {
    GATE_DIAL, /* dial: a connection and a dial are counted already */
    GATE_WAIT, /* the ask stands in the queue */
    GATE_FULL, /* the queue is full */
};

/* Asks for room to dial within the limits of the ask's peer. */
enum gate_entry gate_enter(struct gate *gate, struct ask *ask);

/* As gate_enter(), for who rather does not dial than wait. */
bool gate_enter_now(struct gate *gate, unsigned connections_max, unsigned dials_max);

/* A dial has ended: there is a connection now, or not. */
void gate_dialled(struct gate *gate, bool connected);
/* A connection has been closed. */
void gate_closed(struct gate *gate);

static inline bool gate_has_waiting(const struct gate *gate)
{
    return atomic_load(&gate->waiting) > 0;
}

/* Whether the oldest one waits at another worker than that of this part. */
bool gate_waits_elsewhere(struct gate *gate, const struct pool *pool);

/* Takes the oldest one off the queue, to give it a connection; NULL. It must be answered. */
struct ask *gate_take_oldest(struct gate *gate);
/* Who was taken off the queue and cannot have the connection stands in its old place again. */
void gate_put_back(struct ask *ask);

/* An ask that dials would as well have a connection that becomes free before. */
void gate_stand_by(struct gate *gate, struct ask *ask);
/* Takes the one that has stood by for longest; NULL. It must be answered. */
struct ask *gate_take_standing_by(struct census *census);

/* Takes an ask away from where it stands. False: an answer is on its way already. */
bool gate_leave(struct gate *gate, struct ask *ask);

/* Both, at one moment. */
void gate_count(struct gate *gate, unsigned *ret_connections, unsigned *ret_dials);

#endif
