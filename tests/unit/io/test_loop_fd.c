/* SPDX-License-Identifier: MIT */
#include "io/loop_fd.h"

#include "base/slice.h"
#include "tests/unit/io/drive.h"

#include <poll.h>

enum { PATIENCE_MS = 5000 };

static struct loop loop;
static struct loop_fd fd;

static bool start(const struct backend_ops *ops)
{
    struct loop_options options = {.ops = ops};
    return CHECK_OK(loop_init(&loop, &options)) && CHECK_OK(loop_fd_open(&fd, &loop));
}

static void finish(void)
{
    loop_fd_close(&fd);
    loop_fini(&loop);
}

static bool is_readable(int patience_ms)
{
    struct pollfd poll_fd = {.fd = fd.descriptor, .events = POLLIN};
    return poll(&poll_fd, 1, patience_ms) == 1;
}

static void step(void)
{
    loop_fd_arm(&fd, &loop, loop_step(&loop));
}

/* What was prepared before may still come. */
static bool becomes_quiet(void)
{
    for (unsigned i = 0; i < 100; i++) {
        step();
        if (!is_readable(0))
            return true;
    }
    return false;
}

static void fired(struct timer *timer)
{
    (void)timer;
}

static void tell_of_timers(const struct backend_ops *ops)
{
    struct timer timer;
    if (!start(ops))
        return;
    CHECK(is_readable(0));
    CHECK(becomes_quiet());
    timer_init(&timer, fired);
    loop_timer_arm(&loop, &timer, weir_span_s(3600));
    CHECK(becomes_quiet());
    loop_timer_arm(&loop, &timer, weir_span_ms(5));
    step();
    while (timer_is_armed(&timer) && CHECK(is_readable(PATIENCE_MS)))
        step();
    CHECK(becomes_quiet());
    finish();
}
TEST_EACH_KERNEL(it_tells_of_timers, tell_of_timers)

static void note(struct mail *mail)
{
    mail->next = mail;
}

static void tell_of_mail(const struct backend_ops *ops)
{
    struct mail mail = {.deliver = note};
    if (!start(ops))
        return;
    CHECK(becomes_quiet());
    loop_post(&loop, &mail);
    CHECK(is_readable(PATIENCE_MS));
    while (mail.next != &mail && CHECK(is_readable(PATIENCE_MS)))
        step();
    CHECK(becomes_quiet());
    finish();
}
TEST_EACH_KERNEL(it_tells_of_mail, tell_of_mail)

static void yield_for_long(void *argument)
{
    unsigned *yields = argument;
    while (*yields > 0) {
        CHECK_OK(co_yield ());
        --*yields;
    }
}

static void tell_of_who_is_ready(const struct backend_ops *ops)
{
    unsigned yields = 100000;
    if (!start(ops))
        return;
    CHECK_OK(co_spawn(&loop.sched, NULL, "test", yield_for_long, &yields, NULL));
    step();
    CHECK(yields > 0);
    while (yields > 0 && CHECK(is_readable(0)))
        step();
    CHECK(becomes_quiet());
    finish();
}
TEST_EACH_KERNEL(it_tells_of_who_is_ready, tell_of_who_is_ready)

struct echo {
    struct sock sock;
    bool over;
};

/* Sends what it prepared from a coroutine, which nobody would submit if a step did not. */
static void play_echo(void *argument)
{
    struct echo *echo = argument;
    struct iobuf *buf = NULL;
    struct weir_slice hello = SLICE("hello");
    struct weir_time deadline = loop_deadline(&loop, weir_span_ms(PATIENCE_MS));
    CHECK_OK(sock_send(&echo->sock, &hello, 1, deadline, NULL));
    CHECK_OK(sock_recv(&echo->sock, deadline, &buf));
    if (buf)
        iobuf_give(&loop.bufs, &buf);
    echo->over = true;
}

static void tell_of_sockets(const struct backend_ops *ops)
{
    struct echo echo = {.over = false};
    char text[8];
    int ends[2];
    if (!start(ops))
        return;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_OK(sock_attach(&loop, &echo.sock, ends[0]));
    CHECK(becomes_quiet());
    CHECK_OK(co_spawn(&loop.sched, NULL, "test", play_echo, &echo, NULL));
    CHECK(becomes_quiet());
    CHECK_EQ(5, read(ends[1], text, sizeof text));
    CHECK(!echo.over);
    CHECK_EQ(5, write(ends[1], "world", 5));
    while (!echo.over && CHECK(is_readable(PATIENCE_MS)))
        step();
    CHECK(becomes_quiet());
    sock_close(&echo.sock, false);
    close(ends[1]);
    finish();
}
TEST_EACH_KERNEL(it_tells_of_sockets, tell_of_sockets)

CHECK_MAIN
