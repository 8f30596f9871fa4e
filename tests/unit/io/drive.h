/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_DRIVE_H
#define TESTS_UNIT_IO_DRIVE_H

/* A loop over epoll for one test, whose body is a coroutine; and sockets made past the loop. */

#include "base/check.h"
#include "co/scope.h"
#include "co/wait.h"
#include "io/sock.h"

#include "tests/check.h"

#include <unistd.h>

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

__attribute__((unused)) static void drive(WEIR_SUSPENDS void (*body)(struct drive *drive))
{
    struct drive drive = {.body = body};
    CHECK_OK(loop_init(&drive.loop, &(struct loop_options){.ops = &epoll_ops}));
    CHECK_OK(co_spawn(&drive.loop.sched, NULL, "test", drive_main, &drive, NULL));
    loop_run(&drive.loop);
    loop_fini(&drive.loop);
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

/* Two ends: one attached to the loop, the other a bare descriptor. */
__attribute__((unused)) static int attach_one_end(struct drive *drive, struct sock *sock)
{
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_OK(sock_attach(&drive->loop, sock, ends[0]));
    return ends[1];
}

__attribute__((unused)) static void write_text(int descriptor, const char *text)
{
    CHECK_EQ(strlen(text), write(descriptor, text, strlen(text)));
}

#endif
