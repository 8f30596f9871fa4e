/* SPDX-License-Identifier: MIT */
/* Listeners: shared by workers, and when descriptors run out. */
#include "io/backend.h"

#include "base/slice.h"
#include "io/kernel.h"
#include "tests/unit/io/drive.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

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
    const struct backend_ops *ops;
    struct door *door;
    int descriptor;
};

static void *keep_door(void *argument)
{
    struct door_place *place = argument;
    struct door *door = place->door;
    must(loop_init(&door->loop, &(struct loop_options){.ops = place->ops}) == WEIR_OK);
    must(sock_accept(&door->loop, &door->listener, place->descriptor, let_in, door) == WEIR_OK);
    pthread_barrier_wait(&doors_are_open);
    loop_run(&door->loop);
    pthread_barrier_wait(&doors_are_shut); /* so that nobody stops a loop that is gone */
    sock_close(&door->listener, false);
    loop_fini(&door->loop);
    return NULL;
}

static void share_a_listener(const struct backend_ops *ops)
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
        places[i] = (struct door_place){ops, &doors[i], descriptor};
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

TEST_EACH_KERNEL(workers_share_a_listener, share_a_listener)

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
    uint64_t shortages = stat_read(&loop->stats.shortages[SHORT_OF_DESCRIPTORS]);
    CHECK(shortages >= 2 && shortages <= 5); /* one for each try */
    CHECK(loop->turn - turn < 20);           /* it rests; it does not spin */
    set_descriptor_limit(0);
    CHECK(expect_soon(drive, &hall.full));
    for (int i = 0; i < hall.count; i++)
        loop->ops->close_descriptor(loop->backend, hall.guests[i]);
    for (int i = 0; i < 4; i++)
        close(visitors[i]);
    sock_close(&listener, false);
    loop->ops->close_descriptor(loop->backend, descriptor);
}

static void drive_in_a_child(const struct backend_ops *ops,
                             WEIR_SUSPENDS void (*body)(struct drive *drive))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        unsigned before = check_failures;
        drive_over(ops, body);
        fflush(stdout);
        _exit(check_failures != before);
    }
    int status;
    CHECK_EQ(child, waitpid(child, &status, 0));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void run_out(const struct backend_ops *ops)
{
    drive_in_a_child(ops, run_out_of_descriptors);
}

TEST_EACH_KERNEL(accepting_rests_when_descriptors_run_out, run_out)

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

static void close_resting(const struct backend_ops *ops)
{
    drive_in_a_child(ops, close_a_resting_listener);
}

TEST_EACH_KERNEL(a_resting_listener_can_be_closed, close_resting)

/* A listener may be closed in its own callback, with more connections to come. */
static void leave_hall(struct sock *listener, int descriptor, const struct addr *from)
{
    struct hall *hall = listener->watch_owner;
    (void)from;
    hall->guests[hall->count++] = descriptor;
    hall->full = true;
    sock_close(listener, false);
    co_wake(hall->drive->waiting);
}

static void close_in_the_callback(struct drive *drive)
{
    struct loop *loop = &drive->loop;
    struct hall hall = {.drive = drive};
    struct sock listener;
    struct addr addr;
    int descriptor, visitors[4];
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &addr));
    CHECK_OK(kernel_listen(&addr, &(struct listen_options){.backlog = 16}, &descriptor));
    CHECK_OK(kernel_bound(descriptor, &addr));
    for (int i = 0; i < 4; i++) {
        visitors[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(0, connect(visitors[i], &addr.any, addr.len));
    }
    CHECK_OK(sock_accept(loop, &listener, descriptor, leave_hall, &hall));
    CHECK(expect_soon(drive, &hall.full));
    let_turn(drive, 5);
    CHECK_EQ(1, hall.count);
    loop->ops->close_descriptor(loop->backend, hall.guests[0]);
    for (int i = 0; i < 4; i++)
        close(visitors[i]);
    loop->ops->close_descriptor(loop->backend, descriptor);
}

DRIVE_EACH(a_listener_may_be_closed_in_its_callback, close_in_the_callback)

CHECK_MAIN
