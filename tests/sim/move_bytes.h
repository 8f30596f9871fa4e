/* SPDX-License-Identifier: MIT */
#ifndef SIM_MOVE_BYTES_H
#define SIM_MOVE_BYTES_H

/* Scenarios of bytes on connections that move: none is lost, none comes twice. */

#include "tests/sim/move.h"

static inline void answer_once(struct traveller *self)
{
    recv_text(&self->sock, "are you there?");
    CHECK_OK(send_text(&self->sock, "yes"));
    travel_home(self);
}

static inline void an_idle_connection_moves_and_goes_on(struct travels *self)
{
    for (unsigned i = 0; i < 6; i++) {
        struct sock other;
        struct traveller traveller;
        if (!connect_traveller(self, &other, &traveller, i % 2))
            return;
        for (int round = 0; round < 3; round++) {
            journey(&traveller, answer_once);
            CHECK_OK(send_text(&other, "are you there?"));
            recv_text(&other, "yes");
            CHECK(expect_soon(self, &traveller.came_home));
            CHECK_OK(send_text(&traveller.sock, "back again"));
            recv_text(&other, "back again");
            CHECK_OK(send_text(&other, "welcome"));
            recv_text(&traveller.sock, "welcome");
        }
        sock_close(&traveller.sock, false);
        CHECK_ERR(WEIR_E_EOF, recv_end(&other));
        sock_close(&other, false);
    }
}

static inline void receive_three(struct traveller *self)
{
    recv_text(&self->sock, "first, second, third");
    CHECK_OK(send_text(&self->sock, "in this order"));
    travel_home(self);
}

static inline void unread_bytes_come_first(struct travels *self)
{
    struct sock other;
    struct traveller traveller;
    if (!connect_traveller(self, &other, &traveller, false))
        return;
    CHECK_OK(send_text(&other, "first, "));
    nap();
    traveller.live = receive_three;
    sock_detach(&traveller.sock, &traveller.detached);
    CHECK_OK(send_text(&other, "second, "));
    nap();
    depart(&traveller, self->away);
    nap();
    CHECK_OK(send_text(&other, "third"));
    recv_text(&other, "in this order");
    CHECK(expect_soon(self, &traveller.came_home));
    sock_close(&traveller.sock, false);
    sock_close(&other, false);
}

/* Until this has come, on the descriptor of a connection that nobody owns. */
WEIR_SUSPENDS static inline void await_in_kernel(const struct travels *self, int descriptor)
{
    char byte;
    struct weir_time deadline = soon(self);
    while (self->in_kernel && recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           CHECK(weir_time_before(loop_now(self->home), deadline)))
        CHECK_OK(co_yield ());
}

static inline void look_at_once(struct traveller *self)
{
    struct iobuf *buf = NULL;
    CHECK_EQ(IO_BYTES, sock_look(&self->sock, LOOK_SURELY, &buf));
    if (buf)
        CHECK_SLICE(iobuf_slice(buf), "?");
    iobuf_give(&self->at->bufs, &buf);
    travel_home(self);
}

/* A look that wants to be sure finds what came while it belonged to nobody. */
static inline void a_look_right_after_the_move_is_sure(struct travels *self)
{
    struct sock other;
    struct traveller traveller;
    if (!connect_traveller(self, &other, &traveller, false))
        return;
    traveller.live = look_at_once;
    sock_detach(&traveller.sock, &traveller.detached);
    CHECK_OK(send_text(&other, "?"));
    nap();
    await_in_kernel(self, traveller.detached.descriptor);
    depart(&traveller, self->away);
    CHECK(expect_soon(self, &traveller.came_home));
    sock_close(&traveller.sock, false);
    sock_close(&other, false);
}

/* Where it goes next; it never stays. */
static inline struct loop *elsewhere(const struct traveller *self)
{
    return self->at == self->travels->home ? self->travels->away : self->travels->home;
}

/* Echoes one to four pieces of the text, mostly lets some wait unread, and moves on. */
static inline void echo_some(struct traveller *self)
{
    for (unsigned i = 0; i <= self->stops * 7 % 4; i++) {
        struct iobuf *buf = NULL;
        enum weir_err err = sock_recv(&self->sock, loop_deadline(self->at, weir_span_s(20)), &buf);
        if (err) {
            CHECK_ERR(WEIR_E_EOF, err);
            sock_shut(&self->sock);
            travel_home(self);
            return;
        }
        struct weir_slice bytes = iobuf_slice(buf);
        CHECK(is_long_text(bytes, self->got));
        self->got += bytes.len;
        CHECK_OK(sock_send(&self->sock, &bytes, 1, loop_deadline(self->at, weir_span_s(20)), NULL));
        iobuf_give(&self->at->bufs, &buf);
    }
    if (self->stops % 3 == 0)
        nap();
    travel(self, elsewhere(self));
}

static inline void a_stream_stays_whole_while_it_is_moved(struct travels *self)
{
    size_t len = self->in_kernel ? self->flood_bytes / 4 : self->flood_bytes;
    struct sock other;
    struct traveller traveller;
    struct scope scope;
    size_t echoed = 0;
    if (!connect_traveller(self, &other, &traveller, true))
        return;
    struct upload up = {.sock = &other, .len = len};
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "upload", upload, &up));
    journey(&traveller, echo_some);
    CHECK_ERR(WEIR_E_EOF, recv_long(&other, &echoed));
    CHECK_OK(scope_join(&scope));
    CHECK(expect_soon(self, &traveller.came_home));
    CHECK_EQ(len, traveller.got);
    CHECK_EQ(len, echoed);
    CHECK(traveller.stops > 10);
    sock_close(&traveller.sock, false);
    sock_close(&other, false);
}

static inline void receive_all(struct traveller *self)
{
    CHECK_ERR(WEIR_E_EOF, recv_long(&self->sock, &self->got));
    travel_home(self);
}

/* What waits unread is as much as both sides take; the peer is stopped, and goes on afterwards. */
static inline void a_flooded_connection_moves(struct travels *self)
{
    struct sock other;
    struct traveller traveller;
    struct scope scope;
    if (!connect_traveller(self, &other, &traveller, false))
        return;
    struct upload up = {.sock = &other, .len = self->flood_bytes};
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "upload", upload, &up));
    for (int i = 0; i < 10; i++)
        nap();
    CHECK(!scope_is_empty(&scope)); /* it waits */
    CHECK(stat_read(&self->home->bufs.used_count) < 80);
    journey(&traveller, receive_all);
    CHECK_OK(scope_join(&scope));
    CHECK(expect_soon(self, &traveller.came_home));
    CHECK_EQ(self->flood_bytes, traveller.got);
    sock_close(&traveller.sock, false);
    sock_close(&other, false);
}

struct long_send {
    struct traveller traveller;
    struct weir_slice left;
};

static inline void send_the_rest(struct traveller *self)
{
    struct long_send *send = container_of(self, struct long_send, traveller);
    CHECK_OK(
        sock_send(&self->sock, &send->left, 1, loop_deadline(self->at, weir_span_s(20)), NULL));
    sock_shut(&self->sock);
    travel_home(self);
}

/* A send that was given up for want of room goes on elsewhere, from where it was. */
static inline void a_send_goes_on_elsewhere(struct travels *self)
{
    struct long_send send;
    struct sock other;
    size_t sent, got = 0;
    if (!connect_traveller(self, &other, &send.traveller, false))
        return;
    char *text = long_text(self->flood_bytes);
    send.left = slice_of(text, self->flood_bytes);
    CHECK_ERR(WEIR_E_TIMEOUT, sock_send(&send.traveller.sock, &send.left, 1,
                                        loop_deadline(self->home, weir_span_ms(30)), &sent));
    send.left = slice_skip(send.left, sent);
    journey(&send.traveller, send_the_rest);
    CHECK_ERR(WEIR_E_EOF, recv_long(&other, &got));
    CHECK_EQ(self->flood_bytes, got);
    CHECK(expect_soon(self, &send.traveller.came_home));
    sock_close(&send.traveller.sock, false);
    sock_close(&other, false);
    free(text);
}

enum { GROUP = 150 };

struct group {
    struct sock others[GROUP];
    struct traveller travellers[GROUP];
};

static inline void leave_for_an_answer(void *argument)
{
    journey(argument, answer_once);
}

static inline void many_move_at_once(struct travels *self)
{
    struct group *group = calloc(1, sizeof *group);
    struct scope scope;
    bool all = true;
    must(group);
    for (int i = 0; i < GROUP && all; i++)
        all = connect_traveller(self, &group->others[i], &group->travellers[i], i % 2);
    for (int round = 0; round < 2 && all; round++) {
        scope_init(&scope);
        for (int i = 0; i < GROUP; i++)
            CHECK_OK(scope_spawn(&scope, "leave", leave_for_an_answer, &group->travellers[i]));
        for (int i = 0; i < GROUP; i++)
            CHECK_OK(send_text(&group->others[i], "are you there?"));
        CHECK_OK(scope_join(&scope));
        for (int i = 0; i < GROUP; i++)
            recv_text(&group->others[i], "yes");
        for (int i = 0; i < GROUP; i++)
            CHECK(expect_soon(self, &group->travellers[i].came_home));
    }
    for (int i = 0; i < GROUP; i++) {
        sock_close(&group->travellers[i].sock, i % 2);
        sock_close(&group->others[i], false);
    }
    free(group);
}

#endif
