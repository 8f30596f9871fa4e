/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_DRIVE_H
#define TESTS_UNIT_IO_DRIVE_H

/*
 * A loop over a backend for one test, whose body is a coroutine; and sockets made past the loop.
 * Afterwards the process has as many descriptors as before.
 */

#include "base/check.h"
#include "co/scope.h"
#include "co/wait.h"
#include "io/sock.h"

#include "tests/unit/io/kernels.h"

#include <errno.h>

struct drive {
    struct loop loop;
    WEIR_SUSPENDS void (*body)(struct drive *drive);
    struct co *waiting;
};

static void drive_main(void *argument)
{
    struct drive *drive = argument;
    drive->body(drive);
    loop_stop(&drive->loop);
}

static void drive_with(const struct loop_options *options,
                       WEIR_SUSPENDS void (*body)(struct drive *drive))
{
    struct drive drive = {.body = body};
    unsigned descriptors = count_descriptors();
    if (!CHECK_OK(loop_init(&drive.loop, options)))
        return;
    CHECK_OK(co_spawn(&drive.loop.sched, NULL, "test", drive_main, &drive, NULL));
    loop_run(&drive.loop);
    CHECK_EQ(0, stat_read(&drive.loop.bufs.used_count));
    loop_fini(&drive.loop);
    CHECK_EQ(descriptors, count_descriptors());
}

__attribute__((unused)) static void drive_over(const struct backend_ops *ops,
                                               WEIR_SUSPENDS void (*body)(struct drive *drive))
{
    drive_with(&(struct loop_options){.ops = ops}, body);
}

__attribute__((unused)) static void drive(WEIR_SUSPENDS void (*body)(struct drive *drive))
{
    drive_over(&epoll_ops, body);
}

/* A test of what does not depend on the backend. */
#define DRIVE(test_name, body)                                                                     \
    TEST(test_name)                                                                                \
    {                                                                                              \
        drive(body);                                                                               \
    }

/* A test over each backend of a kernel. */
#define DRIVE_EACH(test_name, body)                                                                \
    static void test_name(const struct backend_ops *ops)                                           \
    {                                                                                              \
        drive_over(ops, body);                                                                     \
    }                                                                                              \
    TEST_EACH_KERNEL(test_name, test_name)

static inline bool over_uring(const struct drive *drive)
{
    return drive->loop.ops == &uring_ops;
}

static inline struct weir_time within_s(struct drive *drive, int64_t seconds)
{
    return loop_deadline(&drive->loop, weir_span_s(seconds));
}

/* Parks until *happened, which somebody sets who then wakes drive->waiting. */
WEIR_SUSPENDS static inline bool expect_soon(struct drive *drive, const bool *happened)
{
    struct weir_time deadline = within_s(drive, 5);
    drive->waiting = co_self();
    while (!*happened && co_wait(deadline) == WEIR_OK)
        ;
    drive->waiting = NULL;
    return *happened;
}

/* The loop turns so often; what others do and want runs meanwhile. */
__attribute__((unused)) WEIR_SUSPENDS static void let_turn(struct drive *drive, unsigned turns)
{
    uint64_t until = drive->loop.turn + turns;
    while (drive->loop.turn < until)
        CHECK_OK(co_yield ());
}

/* Two ends: one attached to the loop, the other a bare descriptor. */
__attribute__((unused)) static int attach_one_end(struct drive *drive, struct sock *sock)
{
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_OK(sock_attach(&drive->loop, sock, ends[0]));
    return ends[1];
}

/* What a bare descriptor takes now; 0: it is full. */
__attribute__((unused)) static size_t write_some(int descriptor, const char *bytes, size_t len)
{
    ssize_t count = write(descriptor, bytes, len);
    CHECK(count >= 0 || errno == EAGAIN);
    return count > 0 ? (size_t)count : 0;
}

__attribute__((unused)) static void write_text(int descriptor, const char *text)
{
    CHECK_EQ(strlen(text), write(descriptor, text, strlen(text)));
}

#endif
