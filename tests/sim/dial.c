/* SPDX-License-Identifier: MIT */
/* Handles, listeners and dialling. Who dials may have given up when the listener gets its
 * connection. */
#include "tests/sim/part.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_HANDLE = 3, ACCEPT_REST_MS = 100 };

/* Handles: the lowest free number, as with descriptors. */

int sim_slot_take(struct sim_world *world, struct sim_slot slot)
{
    size_t at = FIRST_HANDLE;
    while (at < world->slot_count && (world->slots[at].end || world->slots[at].listener))
        at++;
    if (world->open_count >= world->open_limit)
        return -1;
    if (at >= world->slot_count) {
        size_t count = at * 2;
        world->slots = realloc(world->slots, count * sizeof *world->slots);
        must(world->slots);
        memset(world->slots + world->slot_count, 0,
               (count - world->slot_count) * sizeof *world->slots);
        world->slot_count = count;
    }
    world->numbers_reused += at < world->numbers_used;
    world->numbers_used = at < world->numbers_used ? world->numbers_used : at + 1;
    world->slots[at] = slot;
    world->open_count++;
    return (int)at;
}

struct sim_slot *sim_slot_of(struct sim_world *world, int number)
{
    must(number >= FIRST_HANDLE && (size_t)number < world->slot_count);
    struct sim_slot *slot = &world->slots[number];
    must(slot->end || slot->listener);
    return slot;
}

void sim_slot_release(struct sim_world *world, int number)
{
    *sim_slot_of(world, number) = (struct sim_slot){0};
    world->open_count--;
}

/* Listening. */

static struct sim_listener *find_listener(struct sim_world *world, const struct addr *addr)
{
    struct sim_listener *any = NULL;
    list_each (link, &world->listeners) {
        struct sim_listener *listener = container_of(link, struct sim_listener, link);
        const struct addr *own = &listener->addr;
        if (addr_equal(own, addr))
            return listener;
        bool every_ip = own->any.sa_family == AF_INET ? own->v4.sin_addr.s_addr == INADDR_ANY
                        : own->any.sa_family == AF_INET6
                            ? IN6_IS_ADDR_UNSPECIFIED(&own->v6.sin6_addr)
                            : false;
        if (every_ip && !addr_is_local(addr) && addr_port(own) == addr_port(addr))
            any = listener;
    }
    return any;
}

static uint16_t new_port(struct sim_world *world)
{
    if (world->next_port < 1024)
        world->next_port = 1024;
    return world->next_port++;
}

enum weir_err sim_listen(struct backend *backend, const struct addr *addr,
                         const struct listen_options *options, int *ret_descriptor)
{
    (void)options;
    struct sim_world *world = backend->world;
    struct sim_listener *listener = calloc(1, sizeof *listener);
    must(listener);
    listener->addr = *addr;
    if (!addr_is_local(addr) && addr_port(addr) == 0)
        addr_set_port(&listener->addr, new_port(world));
    list_init(&listener->backlog);
    list_init(&listener->acceptors);
    enum weir_err err = WEIR_OK;
    list_each (link, &world->listeners)
        if (addr_equal(&container_of(link, struct sim_listener, link)->addr, &listener->addr))
            err = WEIR_E_ADDRESS_IN_USE;
    if (!err) {
        listener->descriptor = sim_slot_take(world, (struct sim_slot){.listener = listener});
        err = listener->descriptor < 0 ? WEIR_E_NO_DESCRIPTORS : WEIR_OK;
    }
    if (err) {
        free(listener);
        return err;
    }
    list_push_back(&world->listeners, &listener->link);
    *ret_descriptor = listener->descriptor;
    return WEIR_OK;
}

enum weir_err sim_bound(struct backend *backend, int number, struct addr *ret_addr)
{
    struct sim_slot *slot = sim_slot_of(backend->world, number);
    *ret_addr = slot->listener ? slot->listener->addr : slot->end->here;
    return WEIR_OK;
}

/* Tells one of the loops that accept here, whichever the seed chooses, of one more connection. */
static void offer(struct sim_world *world, struct sim_listener *listener)
{
    size_t count = 0;
    list_each (link, &listener->acceptors)
        count++;
    if (count == 0)
        return;
    struct list *chosen = list_first(&listener->acceptors);
    for (uint64_t skip = rand_below(&world->rand, count); skip > 0; skip--)
        chosen = chosen->next;
    struct sim_event *event = sim_event_new(SIM_OFFER, NULL, 0);
    event->listener = container_of(chosen, struct sim_acceptor, link)->sock;
    sim_event_post(world, event, sim_later(world));
}

enum weir_err sim_accept(struct backend *backend, struct sock *sock)
{
    struct sim_listener *listener = sim_slot_of(backend->world, sock->descriptor)->listener;
    must(listener);
    struct sim_acceptor *acceptor = calloc(1, sizeof *acceptor);
    must(acceptor);
    acceptor->sock = sock;
    acceptor->listener = listener;
    sock->backend_part = acceptor;
    bool first = list_is_empty(&listener->acceptors);
    list_push_back(&listener->acceptors, &acceptor->link);
    if (first)
        list_each (link, &listener->backlog)
            offer(backend->world, listener);
    return WEIR_OK;
}

/* What was offered to this loop goes to another one, or waits in the backlog. */
void sim_acceptor_close(struct sim_world *world, struct sock *sock)
{
    struct sim_acceptor *acceptor = sock->backend_part;
    struct list withdrawn;
    list_init(&withdrawn);
    list_remove(&acceptor->link);
    list_each (link, &world->events) {
        if (container_of(link, struct sim_event, link)->listener == sock) {
            list_remove(link);
            list_push_back(&withdrawn, link);
        }
    }
    for (struct list *link; (link = list_pop_front(&withdrawn));) {
        free(container_of(link, struct sim_event, link));
        offer(world, acceptor->listener);
    }
    free(acceptor);
}

void sim_listener_close(struct sim_world *world, struct sim_listener *listener)
{
    must(list_is_empty(&listener->acceptors));
    for (struct list *link; (link = list_pop_front(&listener->backlog));)
        sim_end_close(world, container_of(link, struct sim_end, backlog_link), true);
    sim_slot_release(world, listener->descriptor);
    list_remove(&listener->link);
    free(listener);
}

void sim_fire_offer(struct sim_world *world, struct sock *sock)
{
    struct sim_listener *listener = ((struct sim_acceptor *)sock->backend_part)->listener;
    struct list *link = list_first(&listener->backlog);
    if (!link)
        return;
    struct sim_end *end = container_of(link, struct sim_end, backlog_link);
    end->descriptor = sim_slot_take(world, (struct sim_slot){.end = end});
    if (end->descriptor < 0) {
        struct sim_event *again = sim_event_new(SIM_OFFER, NULL, 0);
        again->listener = sock;
        sim_event_post(world, again, weir_time_after(world->now, weir_span_ms(ACCEPT_REST_MS)));
        return;
    }
    list_remove(link);
    sim_trace(world, "accept", end->id, (uint64_t)end->descriptor);
    struct addr from = end->there;
    sock->accepted(sock, end->descriptor, &from);
}

/* Dialling. */

enum weir_err sim_dial(struct backend *backend, struct sock *sock, const struct addr *addr,
                       const struct dial_options *options)
{
    struct sim_world *world = backend->world;
    if (sim_chance(world, world->faults.no_ports))
        return WEIR_E_NO_PORTS;
    struct sim_end *end = sim_end_new(world);
    end->descriptor = sim_slot_take(world, (struct sim_slot){.end = end});
    if (end->descriptor < 0)
        return WEIR_E_NO_DESCRIPTORS;
    end->there = *addr;
    end->here = options->source;
    if (end->here.len == 0)
        end->here = (struct addr){.len = sizeof end->here.v4, .v4 = {.sin_family = AF_INET}};
    if (addr_is_local(addr))
        end->here = (struct addr){.len = sizeof(sa_family_t), .any = {.sa_family = AF_UNIX}};
    else
        addr_set_port(&end->here, new_port(world));
    end->sock = sock;
    sock->descriptor = end->descriptor;
    sock->backend_part = end;
    sock->connecting = true;
    sim_trace(world, "dial", end->id, addr_port(addr));
    if (!sim_chance(world, world->faults.vanish)) {
        struct sim_event *event = sim_event_new(SIM_INCOMING, end, 0);
        event->answer = sim_chance(world, world->faults.refuse) ? WEIR_E_REFUSED : WEIR_OK;
        sim_event_post(world, event, sim_later(world));
    }
    return WEIR_OK;
}

static struct weir_time post_answer(struct sim_world *world, struct sim_end *end,
                                    enum weir_err answer)
{
    struct sim_event *event = sim_event_new(SIM_ANSWER, end, 0);
    struct weir_time at = sim_later(world);
    event->answer = answer;
    sim_event_post(world, event, at);
    return at;
}

void sim_fire_incoming(struct sim_world *world, const struct sim_event *event)
{
    struct sim_end *end = event->end;
    enum sim_bar bar = sim_bar_of(world, &end->there);
    struct sim_listener *listener = find_listener(world, &end->there);
    if (bar == SIM_SWALLOWS)
        return;
    if (bar == SIM_REFUSES || event->answer || !listener) {
        post_answer(world, end, WEIR_E_REFUSED);
        return;
    }
    /* Who has given up says so, but not always before the listener has a connection. */
    if (end->closed && sim_chance(world, 500))
        return;
    struct sim_end *other = sim_end_new(world);
    other->peer = end;
    end->peer = other;
    other->here = end->there;
    other->there = end->here;
    other->connected = true;
    other->last_out = post_answer(world, end, WEIR_OK);
    if (end->closed)
        sim_post_reset(world, end);
    list_push_back(&listener->backlog, &other->backlog_link);
    offer(world, listener);
}

void sim_fire_answer(struct sim_end *end, enum weir_err answer)
{
    struct sock *sock = end->sock;
    if (!sock)
        return;
    sock->connecting = false;
    sock->writable = true;
    sock->dial_result = answer;
    end->connected = answer == WEIR_OK;
    end->reset_came = answer != WEIR_OK;
    sock_notify_writable(sock);
}
