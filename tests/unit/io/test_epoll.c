/* SPDX-License-Identifier: MIT */
/* What only the epoll backend has: flags, edges, listeners that rest. */
#include "io/backend.h"

#include "base/slice.h"
#include "io/kernel.h"
#include "tests/unit/io/drive.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Asks only while something was announced, and a short receive ends that. */
static void follow_the_flags(struct drive *drive)
{
    struct sock sock;
    struct iobuf *buf = NULL;
    struct loop *loop = &drive->loop;
    int other = attach_one_end(drive, &sock);
    CHECK(!sock.readable && sock.writable); /* nothing is announced; sending may be tried */
    CHECK_EQ(IO_NOTHING, sock_look(&sock, LOOK_TOLD, &buf));
    write_text(other, "one");
    CHECK_EQ(IO_NOTHING, sock_look(&sock, LOOK_TOLD, &buf)); /* not announced yet */
    CHECK_EQ(IO_BYTES, sock_look(&sock, LOOK_WELL, &buf));       /* but there */
    CHECK_SLICE(iobuf_slice(buf), "one");
    iobuf_give(&loop->bufs, &buf);
    CHECK_ERR(WEIR_E_TIMEOUT, sock_recv(&sock, loop_now(loop), &buf));
    write_text(other, "two");
    CHECK_OK(sock_recv(&sock, within_s(drive, 5), &buf));
    CHECK_SLICE(iobuf_slice(buf), "two");
    CHECK(!sock.readable);
    iobuf_give(&loop->bufs, &buf);

    /* An end comes with no edge after it, so it keeps the flag up behind the bytes before it. */
    write_text(other, "three");
    close(other);
    CHECK_OK(sock_recv(&sock, within_s(drive, 5), &buf));
    CHECK_SLICE(iobuf_slice(buf), "three");
    iobuf_give(&loop->bufs, &buf);
    CHECK_ERR(WEIR_E_EOF, sock_recv(&sock, within_s(drive, 5), &buf));
    CHECK(sock.ended && sock.readable);
    sock_close(&sock, false);
}

TEST(a_receive_follows_the_announcements)
{
    drive(follow_the_flags);
}

/* More than a buffer takes is still announced after the first one. */
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

TEST(a_full_buffer_keeps_the_announcement)
{
    drive(receive_more_than_a_buffer);
}

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

TEST(a_watch_may_end_sockets_whose_events_wait)
{
    drive(close_while_delivering);
}

/* Two workers share a listener. */

enum { VISITS = 200 };

struct door {
    struct loop loop;
    struct sock listener;
    _Atomic unsigned *visits;
    struct door *all;
};

static void let_in(struct sock *listener, int descriptor, const struct addr *from)
{
    struct door *door = listener->watch_owner;
    must(from->len > 0 && loop_here() == &door->loop);
    door->loop.ops->close_descriptor(door->loop.backend, descriptor);
    if (atomic_fetch_add(door->visits, 1) + 1 == VISITS)
        for (int i = 0; i < 2; i++)
            loop_stop(&door->all[i].loop);
}

static pthread_barrier_t doors_are_open, doors_are_shut;

struct door_place {
    struct door *door;
    int descriptor;
};

static void *keep_door(void *argument)
{
    struct door_place *place = argument;
    struct door *door = place->door;
    must(loop_init(&door->loop, &(struct loop_options){.ops = &epoll_ops}) == WEIR_OK);
    must(sock_accept(&door->loop, &door->listener, place->descriptor, let_in, door) == WEIR_OK);
    pthread_barrier_wait(&doors_are_open);
    loop_run(&door->loop);
    pthread_barrier_wait(&doors_are_shut); /* so that nobody stops a loop that is gone */
    sock_close(&door->listener, false);
    loop_fini(&door->loop);
    return NULL;
}

TEST(workers_share_a_listener)
{
    struct door doors[2];
    struct door_place places[2];
    _Atomic unsigned visits = 0;
    pthread_t threads[2];
    struct addr addr;
    int descriptor;
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &addr));
    CHECK_OK(kernel_listen(&addr, &(struct listen_options){.backlog = VISITS}, &descriptor));
    CHECK_OK(kernel_bound(descriptor, &addr));
    pthread_barrier_init(&doors_are_open, NULL, 3);
    pthread_barrier_init(&doors_are_shut, NULL, 2);
    for (int i = 0; i < 2; i++) {
        doors[i] = (struct door){.visits = &visits, .all = doors};
        places[i] = (struct door_place){&doors[i], descriptor};
        CHECK_EQ(0, pthread_create(&threads[i], NULL, keep_door, &places[i]));
    }
    pthread_barrier_wait(&doors_are_open);
    for (int i = 0; i < VISITS; i++) {
        int visitor = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(0, connect(visitor, &addr.any, addr.len));
        close(visitor);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(VISITS, visits);
    pthread_barrier_destroy(&doors_are_open);
    pthread_barrier_destroy(&doors_are_shut);
    close(descriptor);
}

/* In a child, since it lowers a limit of the process. */

struct hall {
    struct drive *drive;
    int guests[4];
    int count;
    bool full;
};

static void enter_hall(struct sock *listener, int descriptor, const struct addr *from)
{
    struct hall *hall = listener->watch_owner;
    (void)from;
    hall->guests[hall->count++] = descriptor;
    hall->full = hall->count == 4;
    if (hall->full)
        co_wake(hall->drive->waiting);
}

static void set_descriptor_limit(rlim_t limit)
{
    struct rlimit limits;
    must(getrlimit(RLIMIT_NOFILE, &limits) == 0);
    limits.rlim_cur = limit ? limit : limits.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limits) == 0);
}

static int lowest_free_descriptor(void)
{
    int lowest = dup(STDOUT_FILENO);
    close(lowest);
    return lowest;
}

static void run_out_of_descriptors(struct drive *drive)
{
    struct loop *loop = &drive->loop;
    struct hall hall = {.drive = drive};
    struct sock listener, sock;
    struct addr addr;
    int descriptor, visitors[4];
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &addr));
    CHECK_OK(kernel_listen(&addr, &(struct listen_options){.backlog = 16}, &descriptor));
    CHECK_OK(kernel_bound(descriptor, &addr));
    for (int i = 0; i < 4; i++) {
        visitors[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(0, connect(visitors[i], &addr.any, addr.len));
    }
    set_descriptor_limit((rlim_t)lowest_free_descriptor());
    CHECK_OK(sock_accept(loop, &listener, descriptor, enter_hall, &hall));
    struct dial_options options = {0};
    CHECK_ERR(WEIR_E_NO_DESCRIPTORS, sock_dial(loop, &sock, &addr, &options, WEIR_NEVER));
    uint64_t turn = loop->turn;
    CHECK_OK(co_sleep(weir_span_ms(250)));
    CHECK_EQ(0, hall.count);
    CHECK(loop->turn - turn < 20); /* it rests; it does not spin */
    set_descriptor_limit(0);
    CHECK(expect_soon(drive, &hall.full));
    for (int i = 0; i < hall.count; i++)
        loop->ops->close_descriptor(loop->backend, hall.guests[i]);
    for (int i = 0; i < 4; i++)
        close(visitors[i]);
    sock_close(&listener, false);
    loop->ops->close_descriptor(loop->backend, descriptor);
}

static void drive_in_a_child(WEIR_SUSPENDS void (*body)(struct drive *drive))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        unsigned before = check_failures;
        drive(body);
        fflush(stdout);
        _exit(check_failures != before);
    }
    int status;
    CHECK_EQ(child, waitpid(child, &status, 0));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(accepting_rests_when_descriptors_run_out)
{
    drive_in_a_child(run_out_of_descriptors);
}

/* A listener may be closed while it rests. */
static void close_a_resting_listener(struct drive *drive)
{
    struct loop *loop = &drive->loop;
    struct hall hall = {.drive = drive};
    struct sock listener;
    struct addr addr;
    int descriptor;
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &addr));
    CHECK_OK(kernel_listen(&addr, &(struct listen_options){.backlog = 16}, &descriptor));
    CHECK_OK(kernel_bound(descriptor, &addr));
    int visitor = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(0, connect(visitor, &addr.any, addr.len));
    set_descriptor_limit((rlim_t)lowest_free_descriptor());
    CHECK_OK(sock_accept(loop, &listener, descriptor, enter_hall, &hall));
    CHECK_OK(co_sleep(weir_span_ms(20)));
    sock_close(&listener, false);
    set_descriptor_limit(0);
    CHECK_OK(co_sleep(weir_span_ms(150)));
    CHECK_EQ(0, hall.count);
    close(visitor);
    loop->ops->close_descriptor(loop->backend, descriptor);
}

TEST(a_resting_listener_can_be_closed)
{
    drive_in_a_child(close_a_resting_listener);
}

CHECK_MAIN
