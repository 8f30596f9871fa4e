/* SPDX-License-Identifier: MIT */
#ifndef SIM_PART_H
#define SIM_PART_H

/* Between world.c (clock, order, chance) and net.c (ends, listeners, the vtable). */

#include "tests/sim/sim.h"

enum sim_kind {
    SIM_INCOMING, /* a dial reaches its address */
    SIM_ANSWER,   /* the dialling end learns how it went */
    SIM_OFFER,    /* a listener has a connection for `listener` */
    SIM_BYTES,
    SIM_FIN,
    SIM_RESET,
    SIM_ANNOUNCE, /* the loop is told what its end has */
    SIM_ROOM,     /* the loop is told that its end may send again */
    SIM_DETACHED, /* the end leaves its loop */
};

struct sim_event {
    struct list link;
    struct weir_time at;
    uint64_t rank; /* the order of those at the same time */
    enum sim_kind kind;
    struct sim_end *end;
    struct sock *listener;
    enum weir_err answer;
    size_t len;
    char bytes[];
};

struct sim_end {
    uint64_t id;
    int descriptor; /* -1 before it is accepted and when it is closed */
    struct list all_link, backlog_link;
    struct sim_end *peer;
    struct sock *sock; /* NULL while no worker has attached it, and when it is closed */
    struct addr here, there;
    char *queue; /* `window` bytes */
    size_t window, queue_start, queued, in_flight;
    size_t newest_segment; /* its length; it lies at the queue's end */
    bool fin_came, reset_came;
    bool shut, closed, connected;
    bool starved;                 /* a send found no room */
    bool announcing, giving_room; /* such an event is on its way */
    struct weir_time last_out;    /* when the last segment it sent arrives */
};

struct sim_listener {
    struct list link;
    int descriptor;
    struct addr addr;
    struct list backlog;
    struct list acceptors; /* of the loops that accept here */
};

struct sim_acceptor {
    struct list link;
    struct sock *sock;
    struct sim_listener *listener;
};

struct sim_slot {
    struct sim_end *end;
    struct sim_listener *listener;
};

struct backend {
    struct list link;
    struct sim_world *world;
    struct loop *loop;
    bool interrupted;
    struct weir_time stalled_until;
};

/* world.c */
struct sim_event *sim_event_new(enum sim_kind kind, struct sim_end *end, size_t len);
void sim_event_post(struct sim_world *world, struct sim_event *event, struct weir_time at);
void sim_trace(struct sim_world *world, const char *what, uint64_t a, uint64_t b);
void sim_poll(struct backend *backend, struct weir_time until);
enum sim_bar sim_bar_of(const struct sim_world *world, const struct addr *addr);

/* net.c */
void sim_event_fire(struct sim_world *world, struct sim_event *event);
/* The backend whose poll delivers the event; NULL: whichever polls first. */
struct backend *sim_event_owner(const struct sim_event *event);

/* link.c */
struct sim_end *sim_end_new(struct sim_world *world);
void sim_end_close(struct sim_world *world, struct sim_end *end, bool reset);
void sim_end_free(struct sim_end *end);
/* When something that is sent now arrives. */
struct weir_time sim_later(struct sim_world *world);
void sim_post_reset(struct sim_world *world, struct sim_end *from);
/* Has the loop told what the end has. */
void sim_announce(struct sim_world *world, struct sim_end *end);
void sim_fire_bytes(struct sim_world *world, struct sim_end *end, const struct sim_event *event);
void sim_fire_fin(struct sim_world *world, struct sim_end *end);
void sim_fire_reset(struct sim_world *world, struct sim_end *end);
void sim_fire_announce(struct sim_end *end);
void sim_fire_room(struct sim_end *end);
void sim_fire_detached(struct sim_end *end);
enum io_got sim_look(struct sock *sock, bool surely, struct iobuf **ret_buf);
enum io_got sim_recv(struct sock *sock, struct iobuf **ret_buf);
void sim_send(struct sock *sock, struct send_op *op);
void sim_send_cancel(struct sock *sock, struct send_op *op);
size_t sim_send_now(struct sock *sock, struct weir_slice bytes);
void sim_shut(struct sock *sock);

/* dial.c */
/* A number for what `slot` tells; -1: none is left. */
int sim_slot_take(struct sim_world *world, struct sim_slot slot);
struct sim_slot *sim_slot_of(struct sim_world *world, int number);
void sim_slot_release(struct sim_world *world, int number);
enum weir_err sim_listen(struct backend *backend, const struct addr *addr,
                         const struct listen_options *options, int *ret_descriptor);
enum weir_err sim_bound(struct backend *backend, int number, struct addr *ret_addr);
enum weir_err sim_accept(struct backend *backend, struct sock *sock);
enum weir_err sim_dial(struct backend *backend, struct sock *sock, const struct addr *addr,
                       const struct dial_options *options);
void sim_acceptor_close(struct sim_world *world, struct sock *sock);
void sim_listener_close(struct sim_world *world, struct sim_listener *listener);
void sim_fire_incoming(struct sim_world *world, const struct sim_event *event);
void sim_fire_answer(struct sim_end *end, enum weir_err answer);
void sim_fire_offer(struct sim_world *world, struct sock *sock);

#endif
