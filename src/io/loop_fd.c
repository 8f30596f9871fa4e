/* SPDX-License-Identifier: MIT */
#include "io/loop_fd.h"

#include "base/check.h"
#include "io/kernel.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static enum weir_err contain(const struct loop_fd *fd, int descriptor)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(fd->descriptor, EPOLL_CTL_ADD, descriptor, &event) != 0)
        return kernel_err(errno);
    return WEIR_OK;
}

static enum weir_err open_all(struct loop_fd *fd, struct loop *loop)
{
    struct weir_time until = WEIR_NEVER;
    int descriptor;
    TRY(loop->ops->descriptor(loop->backend, &until, &descriptor));
    fd->descriptor = epoll_create1(EPOLL_CLOEXEC);
    fd->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd->descriptor < 0 || fd->timer < 0)
        return kernel_err(errno);
    TRY(contain(fd, fd->timer));
    return contain(fd, descriptor);
}

enum weir_err loop_fd_open(struct loop_fd *fd, struct loop *loop)
{
    *fd = (struct loop_fd){-1, -1};
    enum weir_err err = open_all(fd, loop);
    if (err)
        loop_fd_close(fd);
    else
        loop_fd_arm(fd, loop, true);
    return err;
}

void loop_fd_close(struct loop_fd *fd)
{
    if (fd->descriptor >= 0)
        close(fd->descriptor);
    if (fd->timer >= 0)
        close(fd->timer);
    fd->descriptor = fd->timer = -1;
}

void loop_fd_arm(struct loop_fd *fd, struct loop *loop, bool more)
{
    struct weir_time until = timers_next(&loop->sched.timers);
    struct itimerspec at = {.it_value = {0}};
    int descriptor;
    must(loop->ops->descriptor(loop->backend, &until, &descriptor) == WEIR_OK);
    if (more || until.ns <= 0)
        until.ns = 1; /* long ago: at once; 0 would disarm it */
    if (!weir_time_is_never(until))
        at.it_value = (struct timespec){until.ns / 1000000000, until.ns % 1000000000};
    must(timerfd_settime(fd->timer, TFD_TIMER_ABSTIME, &at, NULL) == 0);
}
