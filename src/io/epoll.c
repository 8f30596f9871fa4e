/* SPDX-License-Identifier: MIT */
/*
 * The epoll backend. Each descriptor is registered once, edge-triggered, and keeps flags of what
 * the kernel has announced: a receive is tried only while `readable` is up, and a receive that
 * brings less than was asked for lowers it, since the kernel announces again what comes later. An
 * end that was announced keeps it up, because no edge follows an end.
 *
 * A watch callback may close any socket, so close_sock() also takes the socket out of the events
 * of this poll that are still to be delivered. The same holds for pollers, whose events bear a bit
 * in the pointer.
 */
#include "io/backend.h"

#include "base/check.h"
#include "io/kernel.h"
#include "io/kernel_ops.h"
#include "io/poller.h"
#include "io/sock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS_PER_POLL = 256, ACCEPTS_PER_POLL = 64, POLLER_BIT = 1 };

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
                   EPOLLHUP == POLLHUP,
               "what pollers want and are told are poll's events");

struct backend {
    struct loop *loop;
    int epoll;
    int interrupt;
    int delivering, event_count; /* position in `events` while they are delivered */
    struct epoll_event events[EVENTS_PER_POLL];
};

/* Accepting pauses on a listener whose descriptor could not be had. */
struct listener_part {
    struct timer rest;
    struct sock *sock;
};

static enum weir_err epoll_open(struct loop *loop, const struct io_sizes *sizes,
                                struct backend **ret_backend)
{
    (void)sizes;
    struct backend *backend = calloc(1, sizeof *backend);
    if (!backend)
        return WEIR_E_NO_MEMORY;
    backend->loop = loop;
    backend->epoll = epoll_create1(EPOLL_CLOEXEC);
    backend->interrupt = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (backend->epoll >= 0 && backend->interrupt >= 0 &&
        epoll_ctl(backend->epoll, EPOLL_CTL_ADD, backend->interrupt, &event) == 0) {
        *ret_backend = backend;
        return WEIR_OK;
    }
    enum weir_err err = kernel_err(errno);
    close(backend->epoll);
    close(backend->interrupt);
    free(backend);
    return err;
}

static void epoll_close(struct backend **backend)
{
    close((*backend)->epoll);
    close((*backend)->interrupt);
    free(*backend);
    *backend = NULL;
}

static void epoll_interrupt(struct backend *backend)
{
    uint64_t one = 1;
    ssize_t written = write(backend->interrupt, &one, sizeof one);
    (void)written; /* EAGAIN: it is up already */
}

/* Milliseconds, rounded up so that a timer is due when the wait ends; -1: without end. */
static int timeout_ms(struct backend *backend, struct weir_time until)
{
    if (weir_time_is_never(until))
        return -1;
    int64_t left_ns = until.ns - loop_now(backend->loop).ns;
    if (left_ns <= 0)
        return 0;
    int64_t ms = (left_ns + 999999) / 1000000;
    return ms > 3600000 ? 3600000 : (int)ms;
}

static void finish_dial(struct sock *sock)
{
    sock->connecting = false;
    sock->writable = true;
    sock->dial_result = kernel_connect_result(sock->descriptor);
    sock_notify_writable(sock);
}

/* Sends what it can; done when all is out or the connection is broken. */
static void push(struct sock *sock, struct send_op *op)
{
    op->done = kernel_send(sock->descriptor, op);
    sock->writable = op->done;
}

static void deliver_writable(struct sock *sock)
{
    sock->writable = true;
    struct send_op *op = sock->sending;
    if (!op)
        return;
    push(sock, op);
    if (op->done) {
        sock->sending = NULL;
        sock_notify_writable(sock);
    }
}

static void accept_some(struct sock *listener);

static void deliver(struct sock *sock, uint32_t events)
{
    if (sock->accepted) {
        accept_some(sock);
        return;
    }
    if (sock->connecting)
        finish_dial(sock);
    else if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        deliver_writable(sock);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        sock->readable = true;
        sock->ended |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        sock_notify_readable(sock);
    }
}

static void *tag_of(struct poller *poller)
{
    return (char *)poller + POLLER_BIT;
}

/* NULL: it is not the tag of a poller. */
static struct poller *poller_of(void *tag)
{
    return (uintptr_t)tag & POLLER_BIT ? (struct poller *)((char *)tag - POLLER_BIT) : NULL;
}

static void epoll_poll(struct backend *backend, struct weir_time until)
{
    int count =
        epoll_wait(backend->epoll, backend->events, EVENTS_PER_POLL, timeout_ms(backend, until));
    must(count >= 0 || errno == EINTR);
    backend->event_count = count > 0 ? count : 0;
    loop_read_clock(backend->loop);
    for (int i = 0; i < backend->event_count; i++) {
        backend->delivering = i;
        struct epoll_event event = backend->events[i];
        struct poller *poller = poller_of(event.data.ptr);
        if (poller)
            poller_tell(poller, event.events);
        else if (event.data.ptr)
            deliver(event.data.ptr, event.events);
    }
    backend->event_count = 0;
}

static enum weir_err epoll_descriptor(struct backend *backend, struct weir_time *until,
                                      int *ret_descriptor)
{
    (void)until;
    *ret_descriptor = backend->epoll;
    return WEIR_OK;
}

static enum weir_err add(struct backend *backend, struct sock *sock, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = sock};
    if (epoll_ctl(backend->epoll, EPOLL_CTL_ADD, sock->descriptor, &event) != 0)
        return kernel_err(errno);
    return WEIR_OK;
}

/* Level-triggered and exclusive: of the workers that share a listener about one wakes up. */
static enum weir_err arm_listener(struct sock *listener)
{
    return add(listener->loop->backend, listener, EPOLLIN | EPOLLEXCLUSIVE);
}

static void rest_over(struct timer *timer)
{
    struct listener_part *part = container_of(timer, struct listener_part, rest);
    if (arm_listener(part->sock) != WEIR_OK)
        loop_timer_arm(part->sock->loop, timer, ACCEPT_REST);
}

static void rest(struct sock *listener)
{
    struct listener_part *part = listener->backend_part;
    epoll_ctl(listener->loop->backend->epoll, EPOLL_CTL_DEL, listener->descriptor, NULL);
    loop_timer_arm(listener->loop, &part->rest, ACCEPT_REST);
}

static void accept_some(struct sock *listener)
{
    for (int i = 0; i < ACCEPTS_PER_POLL; i++) {
        struct addr from;
        int descriptor;
        enum weir_err err = kernel_accept(listener->descriptor, &descriptor, &from);
        if (err == WEIR_E_NO_DESCRIPTORS) {
            stat_add(&listener->loop->stats.shortages[SHORT_OF_DESCRIPTORS], 1);
            rest(listener);
        }
        if (err)
            return;
        listener->accepted(listener, descriptor, &from);
        if (listener->descriptor < 0)
            return; /* the callback closed it */
    }
}

static enum weir_err epoll_accept(struct backend *backend, struct sock *listener)
{
    (void)backend;
    struct listener_part *part = calloc(1, sizeof *part);
    if (!part)
        return WEIR_E_NO_MEMORY;
    timer_init(&part->rest, rest_over);
    part->sock = listener;
    listener->backend_part = part;
    enum weir_err err = arm_listener(listener);
    if (err)
        free(part);
    return err;
}

static enum weir_err epoll_dial(struct backend *backend, struct sock *sock, const struct addr *addr,
                                const struct dial_options *options)
{
    TRY(kernel_dial(addr, options, &sock->descriptor, &sock->connecting));
    enum weir_err err = add(backend, sock, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    if (err) {
        close(sock->descriptor);
        return err;
    }
    sock->writable = !sock->connecting;
    return WEIR_OK;
}

static enum weir_err epoll_attach(struct backend *backend, struct sock *sock)
{
    /* Registering announces what has come before. */
    sock->writable = true;
    return add(backend, sock, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static enum io_got epoll_look(struct sock *sock, bool surely, struct iobuf **ret_buf)
{
    (void)surely; /* one system call answers either way */
    struct iobufs *bufs = &sock->loop->bufs;
    struct iobuf *buf = iobuf_take(bufs);
    if (!buf)
        return IO_NO_MEMORY;
    enum io_got got = kernel_recv(sock->descriptor, buf);
    if (got == IO_BYTES) {
        sock->readable = buf->end == IOBUF_BYTES || sock->ended;
        *ret_buf = buf;
        return IO_BYTES;
    }
    sock->readable = got != IO_NOTHING;
    iobuf_give(bufs, &buf);
    return got;
}

static enum io_got epoll_recv(struct sock *sock, struct iobuf **ret_buf)
{
    return sock->readable ? epoll_look(sock, true, ret_buf) : IO_NOTHING;
}

static void epoll_send(struct sock *sock, struct send_op *op)
{
    if (sock->writable)
        push(sock, op);
    sock->sending = op->done ? NULL : op;
}

static void epoll_send_cancel(struct sock *sock, struct send_op *op)
{
    must(sock->sending == op);
    sock->sending = NULL;
    op->result = WEIR_E_CANCELED;
    op->done = true;
}

static void forget_events(struct backend *backend, const void *tag)
{
    for (int i = backend->delivering; i < backend->event_count; i++)
        if (backend->events[i].data.ptr == tag)
            backend->events[i].data.ptr = NULL;
}

static void epoll_detach(struct sock *sock, struct detached *what)
{
    struct backend *backend = sock->loop->backend;
    forget_events(backend, sock);
    epoll_ctl(backend->epoll, EPOLL_CTL_DEL, sock->descriptor, NULL);
    what->done = true;
}

static void epoll_close_sock(struct sock *sock, bool reset)
{
    struct backend *backend = sock->loop->backend;
    forget_events(backend, sock);
    /* Closing would do, were ours the last one: a child that is just being made has one too, and
     * until it runs its program, epoll would tell of a sock that is gone. */
    epoll_ctl(backend->epoll, EPOLL_CTL_DEL, sock->descriptor, NULL);
    if (sock->accepted) {
        /* The descriptor stays: other workers listen on it too. */
        struct listener_part *part = sock->backend_part;
        loop_timer_disarm(sock->loop, &part->rest);
        free(part);
    } else {
        kernel_close(sock->descriptor, reset);
    }
    sock->descriptor = -1;
}

static void forget_poller(struct backend *backend, struct poller *poller)
{
    if (!poller->backend_part)
        return;
    forget_events(backend, tag_of(poller));
    epoll_ctl(backend->epoll, EPOLL_CTL_DEL, poller->descriptor, NULL);
    poller->backend_part = NULL;
}

/* Who wants nothing is not registered: the kernel tells of errors and ends unasked. */
static enum weir_err epoll_follow(struct backend *backend, struct poller *poller)
{
    struct epoll_event event = {.events = (uint32_t)poller_events(poller),
                                .data.ptr = tag_of(poller)};
    int how = poller->backend_part ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (event.events && epoll_ctl(backend->epoll, how, poller->descriptor, &event) == 0) {
        poller->backend_part = poller;
        return WEIR_OK;
    }
    enum weir_err err = event.events ? kernel_err(errno) : WEIR_OK;
    forget_poller(backend, poller);
    return err;
}

const struct backend_ops epoll_ops = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_close,
    .now = kernel_op_now,
    .poll = epoll_poll,
    .descriptor = epoll_descriptor,
    .interrupt = epoll_interrupt,
    .listen = kernel_op_listen,
    .bound = kernel_op_bound,
    .accept = epoll_accept,
    .dial = epoll_dial,
    .attach = epoll_attach,
    .recv = epoll_recv,
    .look = epoll_look,
    .send = epoll_send,
    .send_cancel = epoll_send_cancel,
    .send_now = kernel_op_send_now,
    .shut = kernel_op_shut,
    .peer = kernel_op_peer,
    .detach = epoll_detach,
    .close_sock = epoll_close_sock,
    .follow = epoll_follow,
    .close_descriptor = kernel_op_close_descriptor,
};
