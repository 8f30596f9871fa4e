/* SPDX-License-Identifier: MIT */
/* What every backend must do with sockets stands in tests/sim/contract.h; here is the rest. */
#include "io/sock.h"

#include "base/slice.h"
#include "tests/unit/io/drive.h"

#include <stdlib.h>

enum { GUESTS = 16 };

/* Collects the connections that come. */
struct host {
    struct drive *drive;
    struct sock listener;
    struct addr addr;
    int descriptor;
    int guests[GUESTS];
    int guest_count, guests_wanted;
    bool full;
};

static void welcome(struct sock *listener, int descriptor, const struct addr *from)
{
    struct host *host = listener->watch_owner;
    CHECK(!co_self() && from->len > 0);
    host->guests[host->guest_count++] = descriptor;
    host->full = host->guest_count >= host->guests_wanted;
    if (host->full)
        co_wake(host->drive->waiting);
}

static void host_open(struct host *host, struct drive *drive, int backlog)
{
    struct loop *loop = &drive->loop;
    struct listen_options options = {.backlog = backlog};
    *host = (struct host){.drive = drive};
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &host->addr));
    CHECK_OK(loop->ops->listen(loop->backend, &host->addr, &options, &host->descriptor));
    CHECK_OK(loop->ops->bound(loop->backend, host->descriptor, &host->addr));
}

static void host_close(struct host *host)
{
    struct loop *loop = &host->drive->loop;
    sock_close(&host->listener, false);
    loop->ops->close_descriptor(loop->backend, host->descriptor);
}

static void accept_and_attach(struct drive *drive)
{
    struct host host;
    struct sock dialled, accepted;
    struct dial_options options = {0};
    struct iobuf *buf = NULL;
    size_t sent = 99;
    host_open(&host, drive, 16);
    host.guests_wanted = 1;
    CHECK_OK(sock_accept(&drive->loop, &host.listener, host.descriptor, welcome, &host));
    CHECK_OK(sock_dial(&drive->loop, &dialled, &host.addr, &options, within_s(drive, 5)));
    CHECK(expect_soon(drive, &host.full));
    CHECK_OK(sock_attach(&drive->loop, &accepted, host.guests[0]));
    struct weir_slice slices[3] = {SLICE("two "), SLICE(""), SLICE("slices")};
    CHECK_OK(sock_send(&dialled, slices, 3, WEIR_NEVER, &sent));
    CHECK_EQ(10, sent);
    CHECK_OK(sock_send(&dialled, slices + 1, 1, WEIR_NEVER, &sent)); /* nothing is sent at once */
    CHECK_EQ(0, sent);
    CHECK_OK(sock_recv(&accepted, within_s(drive, 5), &buf));
    CHECK_SLICE(iobuf_slice(buf), "two slices");
    iobuf_give(&drive->loop.bufs, &buf);
    CHECK_EQ(IO_NOTHING, sock_look(&accepted, LOOK_TOLD, &buf));
    sock_close(&accepted, false);
    sock_close(&accepted, false); /* harmless */
    CHECK_ERR(WEIR_E_EOF, sock_recv(&dialled, within_s(drive, 5), &buf));
    CHECK(dialled.ended);
    sock_close(&dialled, false);
    host_close(&host);
}

DRIVE_EACH(a_dialled_and_an_accepted_end_talk, accept_and_attach)

/* With its backlog full, a listener that nobody serves lets connecting hang. */
static void dial_until_it_hangs(struct drive *drive)
{
    struct host host;
    struct sock socks[8];
    struct dial_options options = {0};
    enum weir_err err = WEIR_OK;
    unsigned count = 0;
    host_open(&host, drive, 0);
    while (count < COUNT_OF(socks) && !err) {
        struct weir_time deadline = loop_deadline(&drive->loop, weir_span_ms(50));
        err = sock_dial(&drive->loop, &socks[count], &host.addr, &options, deadline);
        count += !err;
    }
    CHECK_ERR(WEIR_E_TIMEOUT, err);
    sock_close(&socks[count], false); /* it is closed already; harmless */
    while (count > 0)
        sock_close(&socks[--count], false);
    drive->loop.ops->close_descriptor(drive->loop.backend, host.descriptor);
}

DRIVE_EACH(a_dial_ends_at_its_deadline, dial_until_it_hangs)

struct dialler {
    struct drive *drive;
    const struct addr *addr;
    struct sock sock;
    struct co *co;
    enum weir_err err;
};

static void dial_for_ever(void *argument)
{
    struct dialler *self = argument;
    struct dial_options options = {0};
    self->co = co_self();
    self->err = sock_dial(&self->drive->loop, &self->sock, self->addr, &options, WEIR_NEVER);
    sock_close(&self->sock, false);
}

static void cancel_a_dial(struct drive *drive)
{
    struct host host;
    struct scope scope;
    struct dialler diallers[8];
    unsigned canceled = 0;
    host_open(&host, drive, 0);
    scope_init(&scope);
    for (unsigned i = 0; i < COUNT_OF(diallers); i++) {
        diallers[i] = (struct dialler){.drive = drive, .addr = &host.addr};
        CHECK_OK(scope_spawn(&scope, "dial", dial_for_ever, &diallers[i]));
    }
    CHECK_OK(co_yield ());
    scope_cancel(&scope);
    CHECK_OK(scope_join(&scope));
    for (unsigned i = 0; i < COUNT_OF(diallers); i++) {
        CHECK(!diallers[i].err || diallers[i].err == WEIR_E_CANCELED);
        canceled += diallers[i].err == WEIR_E_CANCELED;
    }
    CHECK(canceled > 0);
    drive->loop.ops->close_descriptor(drive->loop.backend, host.descriptor);
}

DRIVE_EACH(a_dial_can_be_canceled, cancel_a_dial)

struct sender {
    struct sock *sock;
    struct weir_slice slice;
    size_t sent;
    enum weir_err err;
};

static void send_all(void *argument)
{
    struct sender *self = argument;
    self->err = sock_send(self->sock, &self->slice, 1, WEIR_NEVER, &self->sent);
}

static char long_text[300000];

/* The receiver takes little at a time; the sender is woken again and again. */
static void send_through_a_small_buffer(struct drive *drive)
{
    struct sock sock;
    struct scope scope;
    struct sender sender = {.sock = &sock, .slice = slice_of(long_text, sizeof long_text)};
    int small = 4096, other = attach_one_end(drive, &sock);
    size_t at = 0;
    char got[500];
    CHECK_EQ(0, setsockopt(sock.descriptor, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    for (size_t i = 0; i < sizeof long_text; i++)
        long_text[i] = (char)(i * 11 + i / 253);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "send", send_all, &sender));
    while (at < sizeof long_text) {
        ssize_t count = read(other, got, sizeof got);
        if (count > 0) {
            CHECK(memcmp(got, long_text + at, (size_t)count) == 0);
            at += (size_t)count;
        }
        CHECK_OK(co_yield ());
    }
    CHECK_OK(scope_join(&scope));
    CHECK_OK(sender.err);
    CHECK_EQ(sizeof long_text, sender.sent);
    close(other);
    sock_close(&sock, false);
}

DRIVE_EACH(a_send_goes_on_when_there_is_room, send_through_a_small_buffer)

/* After a send that was given up, the next one still learns when there is room. */
static void give_up_and_send_again(struct drive *drive)
{
    struct sock sock;
    size_t first, second, got = 0;
    char bytes[5000];
    struct weir_slice text = slice_of(long_text, sizeof long_text);
    int other = attach_one_end(drive, &sock);
    struct weir_time deadline = loop_deadline(&drive->loop, weir_span_ms(10));
    enum weir_err err = sock_send(&sock, &text, 1, deadline, &first);
    if (!CHECK_ERR(WEIR_E_TIMEOUT, err))
        return;
    CHECK(first > 0 && first < sizeof long_text);
    struct sender sender = {.sock = &sock,
                            .slice = slice_of(long_text + first, sizeof long_text - first)};
    struct scope scope;
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "send", send_all, &sender));
    while (got < sizeof long_text) {
        ssize_t count = read(other, bytes, sizeof bytes);
        if (count > 0) {
            CHECK(memcmp(bytes, long_text + got, (size_t)count) == 0);
            got += (size_t)count;
        }
        CHECK_OK(co_yield ());
    }
    CHECK_OK(scope_join(&scope));
    second = sender.sent;
    CHECK_OK(sender.err);
    CHECK_EQ(sizeof long_text, first + second);
    close(other);
    sock_close(&sock, false);
}

DRIVE_EACH(a_send_that_was_given_up_can_be_continued, give_up_and_send_again)

static void count_turns(void *argument)
{
    unsigned *turns = argument;
    ++*turns;
}

static void receive_and_refill(struct drive *drive)
{
    static const char full[IOBUF_BYTES];
    struct sock sock;
    struct iobuf *buf = NULL;
    unsigned turns = 0;
    int other = attach_one_end(drive, &sock);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(sizeof full, write(other, full, sizeof full));
        CHECK_OK(sock_recv(&sock, within_s(drive, 5), &buf));
        CHECK_EQ(sizeof full, iobuf_slice(buf).len);
        iobuf_give(&drive->loop.bufs, &buf);
        if (i == 0)
            CHECK_OK(co_spawn(&drive->loop.sched, NULL, "other", count_turns, &turns, NULL));
    }
    CHECK_EQ(1, turns);
    co_cancel(co_self());
    enum weir_err err = WEIR_OK;
    for (int i = 0; i < 20 && !err; i++) {
        CHECK_EQ(sizeof full, write(other, full, sizeof full));
        err = sock_recv(&sock, within_s(drive, 5), &buf);
        iobuf_give(&drive->loop.bufs, &buf);
    }
    CHECK_ERR(WEIR_E_CANCELED, err);
    co_uncancel();
    sock_close(&sock, false);
    close(other);
}

DRIVE_EACH(who_never_has_to_wait_lets_others_run_and_can_be_canceled, receive_and_refill)

static void receive_more_than_a_buffer(struct drive *drive)
{
    enum { LEN = 2 * IOBUF_BYTES + 100 };
    static char text[LEN];
    struct sock sock;
    struct iobuf *buf;
    size_t got = 0;
    int other = attach_one_end(drive, &sock);
    memset(text, 'x', LEN);
    CHECK_EQ(LEN, write(other, text, LEN));
    while (got < LEN && CHECK_OK(sock_recv(&sock, within_s(drive, 5), &buf))) {
        got += iobuf_slice(buf).len;
        iobuf_give(&drive->loop.bufs, &buf);
    }
    CHECK_EQ(LEN, got);
    close(other);
    sock_close(&sock, false);
}

DRIVE_EACH(what_does_not_fit_a_buffer_comes_after_it, receive_more_than_a_buffer)

enum { CROWD = 5 };

struct crowd {
    struct drive *drive;
    struct sock *socks; /* on the heap, so that a call after the close is seen */
    unsigned calls;
    bool called;
};

static void close_the_crowd(struct sock *sock, void *owner)
{
    struct crowd *crowd = owner;
    (void)sock;
    crowd->calls++;
    crowd->called = true;
    for (int i = 0; i < CROWD; i++)
        sock_close(&crowd->socks[i], false);
    free(crowd->socks);
    co_wake(crowd->drive->waiting);
}

static void close_while_delivering(struct drive *drive)
{
    struct crowd crowd = {.drive = drive, .socks = calloc(CROWD, sizeof *crowd.socks)};
    int others[CROWD];
    must(crowd.socks);
    for (int i = 0; i < CROWD; i++) {
        others[i] = attach_one_end(drive, &crowd.socks[i]);
        sock_watch(&crowd.socks[i], close_the_crowd, &crowd);
    }
    CHECK_OK(co_sleep(weir_span_ms(5))); /* the announcements of the attaching itself */
    if (!crowd.called)
        for (int i = 0; i < CROWD; i++)
            write_text(others[i], "all in one poll");
    CHECK(expect_soon(drive, &crowd.called));
    CHECK_OK(co_sleep(weir_span_ms(5)));
    CHECK_EQ(1, crowd.calls);
    for (int i = 0; i < CROWD; i++)
        close(others[i]);
}

DRIVE_EACH(a_watch_may_end_sockets_whose_events_wait, close_while_delivering)

CHECK_MAIN
