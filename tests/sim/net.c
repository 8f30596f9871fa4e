/* SPDX-License-Identifier: MIT */
/* The backend: its vtable, and which event means what. */
#include "tests/sim/part.h"

#include "base/check.h"
#include "io/poller.h"

#include <stdlib.h>

struct backend *sim_event_owner(const struct sim_event *event)
{
    const struct sock *sock = event->kind == SIM_OFFER ? event->listener : event->end->sock;
    return sock ? sock->loop->backend : NULL;
}

void sim_event_fire(struct sim_world *world, struct sim_event *event)
{
    static const char *const names[] = {
        [SIM_INCOMING] = "incoming", [SIM_ANSWER] = "answer", [SIM_OFFER] = "offer",
        [SIM_BYTES] = "bytes",       [SIM_FIN] = "fin",       [SIM_RESET] = "reset",
        [SIM_ANNOUNCE] = "announce", [SIM_ROOM] = "room",     [SIM_DETACHED] = "detached",
    };
    struct sim_end *end = event->end;
    sim_trace(world, names[event->kind], end ? end->id : 0, event->len);
    switch (event->kind) {
    case SIM_INCOMING:
        sim_fire_incoming(world, event);
        break;
    case SIM_ANSWER:
        sim_fire_answer(end, event->answer);
        break;
    case SIM_OFFER:
        sim_fire_offer(world, event->listener);
        break;
    case SIM_BYTES:
        sim_fire_bytes(world, end, event);
        break;
    case SIM_FIN:
        sim_fire_fin(world, end);
        break;
    case SIM_RESET:
        sim_fire_reset(world, end);
        break;
    case SIM_ANNOUNCE:
        sim_fire_announce(end);
        break;
    case SIM_ROOM:
        sim_fire_room(end);
        break;
    case SIM_DETACHED:
        sim_fire_detached(end);
        break;
    }
}

static struct sim_end *end_of(const struct sock *sock)
{
    return sock->backend_part;
}

static struct sim_world *world_of(const struct sock *sock)
{
    return sock->loop->backend->world;
}

static enum weir_err sim_attach(struct backend *backend, struct sock *sock)
{
    struct sim_end *end = sim_slot_of(backend->world, sock->descriptor)->end;
    must(end && !end->sock);
    end->sock = sock;
    sock->backend_part = end;
    sock->writable = true;
    if (end->queued > 0 || end->fin_came || end->reset_came)
        sim_announce(backend->world, end);
    return WEIR_OK;
}

static enum weir_err sim_peer(struct sock *sock, struct addr *ret_addr)
{
    *ret_addr = end_of(sock)->there;
    return WEIR_OK;
}

static void sim_detach(struct sock *sock, struct detached *what)
{
    struct sim_world *world = world_of(sock);
    sock->detaching = what;
    if (sim_chance(world, world->faults.late_detach)) {
        sim_event_post(world, sim_event_new(SIM_DETACHED, end_of(sock), 0), sim_later(world));
        return;
    }
    end_of(sock)->sock = NULL;
    what->done = true;
}

static void sim_close_sock(struct sock *sock, bool reset)
{
    if (sock->accepted)
        sim_acceptor_close(world_of(sock), sock);
    else
        sim_end_close(world_of(sock), end_of(sock), reset);
    sock->backend_part = NULL;
    sock->descriptor = -1;
}

static void sim_close_descriptor(struct backend *backend, int number)
{
    struct sim_slot *slot = sim_slot_of(backend->world, number);
    if (slot->listener) {
        sim_listener_close(backend->world, slot->listener);
    } else {
        must(!slot->end->sock);
        sim_end_close(backend->world, slot->end, false);
    }
}

/* There are no other descriptors in this world. */
static enum weir_err sim_follow(struct backend *backend, struct poller *poller)
{
    (void)backend;
    return poller->want_read || poller->want_write ? WEIR_E_IO : WEIR_OK;
}

/* Opening and closing. */

static enum weir_err sim_open(struct loop *loop, const struct io_sizes *sizes,
                              struct backend **ret_backend)
{
    (void)sizes;
    struct backend *backend = calloc(1, sizeof *backend);
    must(backend);
    backend->world = container_of(loop->ops, struct sim_world, ops);
    backend->loop = loop;
    list_push_back(&backend->world->backends, &backend->link);
    *ret_backend = backend;
    return WEIR_OK;
}

static void sim_close(struct backend **backend)
{
    list_each (link, &(*backend)->world->ends) {
        const struct sim_end *end = container_of(link, struct sim_end, all_link);
        must(!end->sock || end->sock->loop != (*backend)->loop);
    }
    list_remove(&(*backend)->link);
    free(*backend);
    *backend = NULL;
}

static struct weir_time sim_now(struct backend *backend)
{
    return backend->world->now;
}

static void sim_interrupt(struct backend *backend)
{
    backend->interrupted = true;
}

const struct backend_ops sim_ops = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close,
    .now = sim_now,
    .poll = sim_poll,
    .interrupt = sim_interrupt,
    .listen = sim_listen,
    .bound = sim_bound,
    .accept = sim_accept,
    .dial = sim_dial,
    .attach = sim_attach,
    .recv = sim_recv,
    .look = sim_look,
    .send = sim_send,
    .send_cancel = sim_send_cancel,
    .send_now = sim_send_now,
    .shut = sim_shut,
    .peer = sim_peer,
    .detach = sim_detach,
    .close_sock = sim_close_sock,
    .follow = sim_follow,
    .close_descriptor = sim_close_descriptor,
};
