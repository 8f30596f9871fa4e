/* SPDX-License-Identifier: MIT */
#ifndef SIM_MOVE_ENDS_H
#define SIM_MOVE_ENDS_H

/* Scenarios of ends, watches and drops of connections that move. */

#include "tests/sim/move.h"

static inline void hear_the_end(struct traveller *self)
{
    recv_text(&self->sock, "last words");
    CHECK_ERR(WEIR_E_EOF, recv_end(&self->sock));
    CHECK(self->sock.ended);
    CHECK_OK(send_text(&self->sock, "heard")); /* this way it is still open */
    travel_home(self);
}

/* An end that came long before the move, or about with it. */
static inline void an_end_is_told_to_the_new_owner(struct travels *self)
{
    for (int i = 0; i < 4; i++) {
        struct sock other;
        struct traveller traveller;
        if (!connect_traveller(self, &other, &traveller, i % 2))
            return;
        CHECK_OK(send_text(&other, "last words"));
        if (i == 0)
            nap();
        sock_shut(&other);
        if (i != 3)
            nap();
        journey(&traveller, hear_the_end);
        recv_text(&other, "heard");
        CHECK(expect_soon(self, &traveller.came_home));
        CHECK_ERR(WEIR_E_EOF, recv_end(&traveller.sock)); /* here too */
        sock_close(&traveller.sock, false);
        CHECK_ERR(WEIR_E_EOF, recv_end(&other));
        sock_close(&other, false);
    }
}

static inline void hear_the_reset(struct traveller *self)
{
    CHECK_ERR(self->travels->has_resets ? WEIR_E_RESET : WEIR_E_EOF, recv_end(&self->sock));
    CHECK_ERR(WEIR_E_RESET, send_text(&self->sock, "anyone?"));
    travel_home(self);
}

static inline void a_reset_is_told_to_the_new_owner(struct travels *self)
{
    for (int i = 0; i < 2; i++) {
        struct sock other;
        struct traveller traveller;
        if (!connect_traveller(self, &other, &traveller, false))
            return;
        sock_close(&other, true);
        if (i == 0)
            nap();
        journey(&traveller, hear_the_reset);
        CHECK(expect_soon(self, &traveller.came_home));
        sock_close(&traveller.sock, false);
    }
}

static inline void note_watched(struct sock *sock, void *owner)
{
    struct traveller *self = owner;
    CHECK(sock == &self->sock && self->at->sched.running == NULL);
    sock_watch(sock, NULL, NULL);
    CHECK_OK(co_spawn(&self->at->sched, NULL, "watched", run_traveller, self, NULL));
}

/* Is watched until bytes come, and again until the end. */
static inline void be_watched(struct traveller *self)
{
    struct iobuf *buf = NULL;
    switch (sock_look(&self->sock, LOOK_TOLD, &buf)) {
    case IO_NOTHING:
        break;
    case IO_BYTES:
        CHECK_SLICE(iobuf_slice(buf), "w");
        iobuf_give(&self->at->bufs, &buf);
        CHECK_OK(send_text(&self->sock, "awake"));
        break;
    default:
        travel_home(self);
        return;
    }
    sock_watch(&self->sock, note_watched, self);
}

static inline void a_watch_works_at_the_new_owner(struct travels *self)
{
    struct sock other;
    struct traveller traveller;
    if (!connect_traveller(self, &other, &traveller, true))
        return;
    journey(&traveller, be_watched);
    nap();
    CHECK_OK(send_text(&other, "w"));
    recv_text(&other, "awake");
    nap();
    sock_shut(&other);
    CHECK(expect_soon(self, &traveller.came_home));
    CHECK_ERR(WEIR_E_EOF, recv_end(&traveller.sock));
    sock_close(&traveller.sock, false);
    sock_close(&other, false);
}

static inline void note_call(struct sock *sock, void *owner)
{
    unsigned *calls = owner;
    (void)sock;
    ++*calls;
}

/* No other turn comes between. */
WEIR_SUSPENDS static inline void send_at_once(struct travels *self, struct sock *sock,
                                              const char *text)
{
    if (self->in_kernel)
        CHECK_EQ(strlen(text), send(sock->descriptor, text, strlen(text), MSG_DONTWAIT));
    else
        CHECK_OK(send_text(sock, text));
}

/* The old owner's watch is not called any more, not even by what comes during the detach. */
static inline void a_watch_ends_with_the_detach(struct travels *self)
{
    struct sock other;
    struct traveller traveller;
    unsigned calls = 0;
    if (!connect_traveller(self, &other, &traveller, false))
        return;
    sock_watch(&traveller.sock, note_call, &calls);
    nap();
    send_at_once(self, &other, "unread");
    calls = 0;
    sock_detach(&traveller.sock, &traveller.detached);
    nap();
    CHECK_EQ(0, calls);
    traveller.live = be_home;
    depart(&traveller, self->home);
    CHECK(expect_soon(self, &traveller.came_home));
    recv_text(&traveller.sock, "unread");
    sock_close(&traveller.sock, false);
    sock_close(&other, false);
}

/* Who is canceled finishes what he has begun. */
static inline void a_detach_cannot_be_canceled(struct travels *self)
{
    struct sock other;
    struct traveller traveller;
    if (!connect_traveller(self, &other, &traveller, false))
        return;
    CHECK_OK(send_text(&other, "unread"));
    nap();
    co_cancel(co_self());
    sock_detach(&traveller.sock, &traveller.detached);
    co_uncancel();
    CHECK(traveller.detached.done);
    traveller.live = be_home;
    depart(&traveller, self->home);
    CHECK(expect_soon(self, &traveller.came_home));
    recv_text(&traveller.sock, "unread");
    sock_close(&traveller.sock, false);
    sock_close(&other, false);
}

static inline void tell_of_drop(struct mail *mail)
{
    be_home(container_of(mail, struct traveller, mail));
}

static inline void drop_away(struct mail *mail)
{
    struct traveller *self = container_of(mail, struct traveller, mail);
    sock_drop(self->travels->away, &self->detached);
    self->mail.deliver = tell_of_drop;
    loop_post(self->travels->home, &self->mail);
}

WEIR_SUSPENDS static inline void drop(struct travels *self, struct traveller *traveller, bool away)
{
    sock_detach(&traveller->sock, &traveller->detached);
    if (away) {
        traveller->mail.deliver = drop_away;
        loop_post(self->away, &traveller->mail);
        CHECK(expect_soon(self, &traveller->came_home));
    } else {
        sock_drop(self->home, &traveller->detached);
    }
    CHECK_EQ(0, stat_read(&self->home->bufs.used_count));
    CHECK_EQ(0, stat_read(&self->away->bufs.used_count));
}

static inline void a_drop_closes_it(struct travels *self)
{
    for (int i = 0; i < 4; i++) {
        struct sock other;
        struct traveller traveller;
        if (!connect_traveller(self, &other, &traveller, i % 2))
            return;
        if (i >= 2)
            CHECK_OK(send_text(&other, "never read"));
        nap();
        drop(self, &traveller, i % 2);
        enum weir_err err = recv_end(&other);
        CHECK(err == WEIR_E_EOF || (i >= 2 && err == WEIR_E_RESET)); /* bytes were thrown away */
        sock_close(&other, false);
    }
}

#endif
