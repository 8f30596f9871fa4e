/* SPDX-License-Identifier: MIT */
/* What the kernel holds of a socket while its owner goes on, gives up or closes it. */
#include "io/backend.h"

#include "base/slice.h"
#include "io/kernel.h"
#include "tests/unit/io/drive.h"

#include <stdlib.h>

/* --- Sends that are given up ----------------------------------------------------------------- */

enum { LONG = 4 << 20, STACK_SAMPLE = 2000 };

struct sender {
    struct drive *drive;
    struct sock *sock;
    char *text;
    struct co *co;
    unsigned slices;
    size_t sent;
    enum weir_err err;
};

/* The stack below this frame, where the operation lay that was given up. */
__attribute__((noinline)) WEIR_SUSPENDS static void watch_the_stack(struct sender *self)
{
    volatile unsigned char sample[STACK_SAMPLE];
    for (int i = 0; i < STACK_SAMPLE; i++)
        sample[i] = (unsigned char)(i * 5);
    let_turn(self->drive, 10);
    bool same = true;
    for (int i = 0; i < STACK_SAMPLE; i++)
        same &= sample[i] == (unsigned char)(i * 5);
    CHECK(same);
}

static void send_until_canceled(void *argument)
{
    struct sender *self = argument;
    struct weir_slice slices[2] = {slice_of(self->text, LONG / 2),
                                   slice_of(self->text + LONG / 2, LONG / 2)};
    slices[0].len += self->slices == 1 ? LONG / 2 : 0;
    self->co = co_self();
    self->err = sock_send(self->sock, slices, self->slices, WEIR_NEVER, &self->sent);
    memset(self->text, 'X', LONG); /* it is the sender's again */
    co_uncancel();
    watch_the_stack(self);
}

/* Everything up to the end; no byte of what was written into the text after the send. */
WEIR_SUSPENDS static size_t read_to_end(struct drive *drive, int descriptor)
{
    char piece[4096];
    size_t got = 0;
    bool same = true;
    struct weir_time deadline = within_s(drive, 5);
    while (CHECK(weir_time_before(loop_now(&drive->loop), deadline))) {
        ssize_t count = read(descriptor, piece, sizeof piece);
        if (count == 0)
            break;
        for (ssize_t i = 0; i < count; i++)
            same &= piece[i] == 's';
        got += count > 0 ? (size_t)count : 0;
        if (count < 0)
            let_turn(drive, 1);
    }
    CHECK(same);
    return got;
}

WEIR_SUSPENDS static void cancel_a_send(struct drive *drive, unsigned slices, unsigned turns,
                                        bool reads_before)
{
    struct sock sock;
    struct scope scope;
    static char piece[70000];
    size_t got = 0;
    int other = attach_one_end(drive, &sock);
    struct sender sender = {.drive = drive, .sock = &sock, .text = malloc(LONG), .slices = slices};
    must(sender.text);
    memset(sender.text, 's', LONG);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "send", send_until_canceled, &sender));
    CHECK_OK(co_yield ());
    let_turn(drive, turns);
    if (reads_before) {
        ssize_t count = read(other, piece, sizeof piece);
        got += count > 0 ? (size_t)count : 0;
    }
    co_cancel(sender.co);
    CHECK_OK(scope_join(&scope));
    CHECK_ERR(WEIR_E_CANCELED, sender.err);
    sock_close(&sock, false);
    let_turn(drive, 2);
    got += read_to_end(drive, other);
    CHECK_EQ(sender.sent, got);
    CHECK(turns == 0 || (got > 0 && got < LONG));
    close(other);
    free(sender.text);
}

static void cancel_sends(struct drive *drive)
{
    for (unsigned slices = 1; slices <= 2; slices++)
        for (unsigned turns = 0; turns <= 3; turns++) {
            cancel_a_send(drive, slices, turns, false);
            cancel_a_send(drive, slices, turns, true);
        }
}

DRIVE_EACH(a_canceled_send_tells_what_went_out_and_lets_go, cancel_sends)

/* The peer is gone while the kernel waits for room. */
static void lose_the_peer(struct drive *drive)
{
    struct sock sock;
    struct scope scope;
    int other = attach_one_end(drive, &sock);
    struct sender sender = {.drive = drive, .sock = &sock, .text = malloc(LONG), .slices = 2};
    must(sender.text);
    memset(sender.text, 's', LONG);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "send", send_until_canceled, &sender));
    let_turn(drive, 3);
    close(other);
    CHECK_OK(scope_join(&scope));
    CHECK_ERR(WEIR_E_RESET, sender.err);
    CHECK(sender.sent > 0 && sender.sent < LONG);
    sock_close(&sock, false);
    free(sender.text);
}

DRIVE_EACH(a_send_ends_with_its_peer, lose_the_peer)

/* --- Dials that are given up ----------------------------------------------------------------- */

/* A listener that nobody serves and whose backlog is full: connecting there hangs. */
struct wall {
    struct addr addr;
    int descriptor;
    int filling[8];
};

static void build_wall(struct wall *wall)
{
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &wall->addr));
    CHECK_OK(kernel_listen(&wall->addr, &(struct listen_options){.backlog = 0}, &wall->descriptor));
    CHECK_OK(kernel_bound(wall->descriptor, &wall->addr));
    for (int i = 0; i < 8; i++) {
        wall->filling[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(wall->filling[i], &wall->addr.any, wall->addr.len);
    }
}

static void tear_down_wall(struct wall *wall)
{
    for (int i = 0; i < 8; i++)
        close(wall->filling[i]);
    close(wall->descriptor);
}

struct dialler {
    struct loop *loop;
    const struct wall *wall;
    struct weir_time deadline;
    struct sock sock;
    struct co *co;
    enum weir_err err;
};

static void dial_the_wall(void *argument)
{
    struct dialler *self = argument;
    struct dial_options options = {0};
    self->co = co_self();
    self->err = sock_dial(self->loop, &self->sock, &self->wall->addr, &options, self->deadline);
}

/* Before the kernel was told, when it has just been, and long after that. */
static void give_up_dials(struct drive *drive)
{
    struct wall wall;
    build_wall(&wall);
    for (unsigned turns = 0; turns < 4; turns++) {
        struct scope scope;
        struct dialler dialler = {.loop = &drive->loop, .wall = &wall, .deadline = WEIR_NEVER};
        scope_init(&scope);
        CHECK_OK(scope_spawn(&scope, "dial", dial_the_wall, &dialler));
        CHECK_OK(co_yield ());
        let_turn(drive, turns);
        CHECK(dialler.co && !scope_is_empty(&scope));
        scope_cancel(&scope);
        CHECK_OK(scope_join(&scope));
        CHECK_ERR(WEIR_E_CANCELED, dialler.err);
        dialler.deadline = loop_deadline(&drive->loop, weir_span_ms(turns));
        dial_the_wall(&dialler);
        CHECK_ERR(WEIR_E_TIMEOUT, dialler.err);
    }
    tear_down_wall(&wall);
}

DRIVE_EACH(dials_can_be_given_up_at_any_time, give_up_dials)

/* --- Loops that end at once ------------------------------------------------------------------ */

static void ignore(struct sock *sock, void *owner)
{
    (void)sock, (void)owner;
}

static void refuse(struct sock *listener, int descriptor, const struct addr *from)
{
    (void)from;
    close(descriptor);
    listener->watch_owner = NULL;
}

/* All kinds of things are on their way when the loop ends right after the closes. */
static void leave_in_a_hurry(const struct backend_ops *ops)
{
    unsigned descriptors = count_descriptors();
    for (unsigned turns = 0; turns < 4; turns++) {
        struct loop loop;
        struct sock idle, unread, ended, listener;
        struct addr addr;
        int listening;
        CHECK_OK(loop_init(&loop, &(struct loop_options){.ops = ops}));
        int ends[3][2];
        for (int i = 0; i < 3; i++)
            must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends[i]) == 0);
        CHECK_OK(sock_attach(&loop, &idle, ends[0][0]));
        CHECK_OK(sock_attach(&loop, &unread, ends[1][0]));
        CHECK_OK(sock_attach(&loop, &ended, ends[2][0]));
        sock_watch(&idle, ignore, NULL);
        CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &addr));
        CHECK_OK(kernel_listen(&addr, &(struct listen_options){.backlog = 8}, &listening));
        CHECK_OK(kernel_bound(listening, &addr));
        CHECK_OK(sock_accept(&loop, &listener, listening, refuse, &loop));
        write_text(ends[1][1], "nobody reads this");
        CHECK_EQ(0, shutdown(ends[2][1], SHUT_RDWR));
        for (unsigned i = 0; i < turns; i++)
            loop_turn(&loop, loop_now(&loop));
        int visitor = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(0, connect(visitor, &addr.any, addr.len));
        if (turns == 2)
            write_text(ends[0][1], "and this came too late");
        sock_close(&idle, false);
        sock_close(&unread, true);
        sock_close(&ended, false);
        sock_close(&listener, false);
        CHECK_EQ(0, stat_read(&loop.bufs.used_count));
        loop_fini(&loop);
        close(visitor);
        close(listening);
        for (int i = 0; i < 3; i++)
            close(ends[i][1]);
    }
    CHECK_EQ(descriptors, count_descriptors());
}

TEST_EACH_KERNEL(a_loop_may_end_right_after_the_closes, leave_in_a_hurry)

/* A connection that came for a listener which is closed by now must not stay open for ever. */
static void come_too_late(struct drive *drive)
{
    struct loop *loop = &drive->loop;
    for (int i = 0; i < 3; i++) {
        struct sock listener;
        struct addr addr;
        int listening;
        char byte;
        CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &addr));
        CHECK_OK(kernel_listen(&addr, &(struct listen_options){.backlog = 8}, &listening));
        CHECK_OK(kernel_bound(listening, &addr));
        CHECK_OK(sock_accept(loop, &listener, listening, refuse, drive));
        let_turn(drive, (unsigned)i);
        int visitor = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(0, connect(visitor, &addr.any, addr.len));
        sock_close(&listener, false);
        loop->ops->close_descriptor(loop->backend, listening);
        let_turn(drive, 10);
        CHECK(recv(visitor, &byte, 1, MSG_DONTWAIT) <= 0 && errno != EAGAIN);
        close(visitor);
    }
}

DRIVE_EACH(who_comes_too_late_is_turned_away, come_too_late)

CHECK_MAIN
