/* SPDX-License-Identifier: MIT */
#ifndef SIM_MOVE_H
#define SIM_MOVE_H

/*
 * Connections that move between two loops, over any backends: two of one thread that turn by turns,
 * two of a simulated world, or two threads. So what the two share goes by mail.
 *
 *   home       the loop where a scenario runs, with the other end of every connection
 *   away       the other loop
 *   traveller  a connection that is moved; at each arrival its `live` runs, in a coroutine there
 *
 * The scenarios are in move_bytes.h and move_ends.h.
 */

#include "base/slice.h"
#include "co/scope.h"
#include "co/wait.h"
#include "io/sock.h"
#include "tests/sim/long_text.h"

#include "tests/check.h"

#include <sys/socket.h>

struct travels {
    struct loop *home, *away;
    const char *addr;   /* where the listener listens; as addr_parse() reads it */
    size_t flood_bytes; /* more than any of its buffers take */
    bool has_resets;    /* Unix sockets of the kernel have none: their peers see an end */
    bool in_kernel;
    const char *name;
    WEIR_SUSPENDS void (*run)(struct travels *self);
    bool done;
    struct sock listener;
    struct addr bound;
    int listening, accepted;
    bool has_accepted;
    struct co *waiting; /* for expect_soon() */
};

struct traveller {
    struct travels *travels;
    struct mail mail;
    struct sock sock;
    struct detached detached; /* on the way */
    struct loop *at;          /* whose it is, or will be */
    WEIR_SUSPENDS void (*live)(struct traveller *self);
    unsigned stops;
    size_t got;
    bool came_home;
};

static inline struct weir_time soon(const struct travels *self)
{
    return loop_deadline(self->home, weir_span_s(20));
}

/* Lets what was sent arrive, mostly; nothing that is checked hangs on it. */
WEIR_SUSPENDS static inline void nap(void)
{
    CHECK_OK(co_sleep(weir_span_ms(3)));
}

/* Parks until `*happened`, which somebody sets at home who then wakes self->waiting. */
WEIR_SUSPENDS static inline bool expect_soon(struct travels *self, const bool *happened)
{
    struct weir_time deadline = soon(self);
    self->waiting = co_self();
    while (!*happened && co_wait(deadline) == WEIR_OK)
        ;
    self->waiting = NULL;
    return *happened;
}

/* --- Bytes ----------------------------------------------------------------------------------- */

WEIR_SUSPENDS static inline enum weir_err send_text(struct sock *sock, const char *text)
{
    struct weir_slice slice = slice_str(text);
    return sock_send(sock, &slice, 1, loop_deadline(sock->loop, weir_span_s(20)), NULL);
}

/* Receives exactly this text. */
WEIR_SUSPENDS static inline bool recv_text(struct sock *sock, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        struct iobuf *buf;
        if (!CHECK_OK(sock_recv(sock, loop_deadline(sock->loop, weir_span_s(20)), &buf)))
            return false;
        struct weir_slice got = iobuf_slice(buf);
        bool same = got.len <= len && memcmp(got.at, text, got.len) == 0;
        text += same ? got.len : 0;
        len -= same ? got.len : 0;
        iobuf_give(&sock->loop->bufs, &buf);
        if (!CHECK(same))
            return false;
    }
    return true;
}

/* How the connection ends; nothing may come before. */
WEIR_SUSPENDS static inline enum weir_err recv_end(struct sock *sock)
{
    struct iobuf *buf = NULL;
    enum weir_err err = sock_recv(sock, loop_deadline(sock->loop, weir_span_s(20)), &buf);
    CHECK(!buf);
    iobuf_give(&sock->loop->bufs, &buf);
    return err;
}

/* Receives long text from byte *at on until an error, which it returns. */
WEIR_SUSPENDS static inline enum weir_err recv_long(struct sock *sock, size_t *at)
{
    for (;;) {
        struct iobuf *buf;
        TRY(sock_recv(sock, loop_deadline(sock->loop, weir_span_s(20)), &buf));
        CHECK(is_long_text(iobuf_slice(buf), *at));
        *at += iobuf_slice(buf).len;
        iobuf_give(&sock->loop->bufs, &buf);
    }
}

/* Sends long text and the end, in a child of its own. */
struct upload {
    struct sock *sock;
    size_t len;
    enum weir_err err;
};

static inline void upload(void *argument)
{
    struct upload *self = argument;
    char *text = long_text(self->len);
    size_t at = 0;
    for (size_t piece = 1; at < self->len && !self->err; piece = piece * 3 % 70001) {
        struct weir_slice slice =
            slice_of(text + at, piece < self->len - at ? piece : self->len - at);
        size_t sent;
        self->err = sock_send(self->sock, &slice, 1,
                              loop_deadline(self->sock->loop, weir_span_s(20)), &sent);
        at += sent;
    }
    CHECK_OK(self->err);
    sock_shut(self->sock);
    free(text);
}

/* --- Travelling ------------------------------------------------------------------------------ */

static inline void run_traveller(void *argument)
{
    struct traveller *self = argument;
    self->stops++;
    self->live(self);
}

static inline void arrive(struct mail *mail)
{
    struct traveller *self = container_of(mail, struct traveller, mail);
    CHECK(loop_here() == self->at);
    if (CHECK_OK(sock_adopt(self->at, &self->sock, &self->detached)))
        CHECK_OK(co_spawn(&self->at->sched, NULL, "traveller", run_traveller, self, NULL));
}

/* After this it belongs to the other loop: who calls leaves it alone. */
static inline void depart(struct traveller *self, struct loop *to)
{
    self->at = to;
    self->mail.deliver = arrive;
    loop_post(to, &self->mail);
}

WEIR_SUSPENDS static inline void travel(struct traveller *self, struct loop *to)
{
    sock_detach(&self->sock, &self->detached);
    depart(self, to);
}

static inline void be_home(struct traveller *self)
{
    self->came_home = true;
    co_wake(self->travels->waiting);
}

WEIR_SUSPENDS static inline void travel_home(struct traveller *self)
{
    self->live = be_home;
    travel(self, self->travels->home);
}

/* Sends it away, to live there until it comes home. */
WEIR_SUSPENDS static inline void journey(struct traveller *self,
                                         WEIR_SUSPENDS void (*live)(struct traveller *self))
{
    self->live = live;
    self->came_home = false;
    travel(self, self->travels->away);
}

/* --- Connections ----------------------------------------------------------------------------- */

static inline void note_accepted(struct sock *listener, int descriptor, const struct addr *from)
{
    struct travels *self = listener->watch_owner;
    CHECK(from->len > 0);
    self->accepted = descriptor;
    self->has_accepted = true;
    co_wake(self->waiting);
}

static inline void open_listener(struct travels *self)
{
    struct loop *loop = self->home;
    struct listen_options options = {.backlog = 128};
    CHECK_OK(addr_parse(slice_str(self->addr), &self->bound));
    CHECK_OK(loop->ops->listen(loop->backend, &self->bound, &options, &self->listening));
    CHECK_OK(loop->ops->bound(loop->backend, self->listening, &self->bound));
    CHECK_OK(sock_accept(loop, &self->listener, self->listening, note_accepted, self));
}

static inline void close_listener(struct travels *self)
{
    sock_close(&self->listener, false);
    self->home->ops->close_descriptor(self->home->backend, self->listening);
}

/* Two ends of a connection, both at home; the traveller is the one that dialled, or accepted. */
WEIR_SUSPENDS static inline bool connect_traveller(struct travels *self, struct sock *other,
                                                   struct traveller *traveller, bool dials)
{
    struct dial_options options = {0};
    *traveller = (struct traveller){.travels = self, .at = self->home};
    self->has_accepted = false;
    return CHECK_OK(sock_dial(self->home, dials ? &traveller->sock : other, &self->bound, &options,
                              soon(self))) &&
           CHECK(expect_soon(self, &self->has_accepted)) &&
           CHECK_OK(sock_attach(self->home, dials ? other : &traveller->sock, self->accepted));
}

static inline void travels_main(void *argument)
{
    struct travels *self = argument;
    open_listener(self);
    self->run(self);
    close_listener(self);
    self->done = true;
    loop_stop(self->home);
}

#endif
