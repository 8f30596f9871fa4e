/* SPDX-License-Identifier: MIT */
/*
 * The io_uring backend: the kernel does the waiting, and a turn of the loop is one system call.
 *
 * A connection's receive is armed when it is attached and stays armed: bytes come in a buffer that
 * the kernel took when they came, and wait at the sock until somebody reads. So an idle connection
 * costs nothing, and its armed receive is its watch. When too much waits unread the receive is
 * disarmed, and a poll tells of the peer's end meanwhile; the next read with nothing there arms it
 * again.
 *
 * With deferred task run the kernel works for this ring only inside the one call of a turn. What it
 * did is a list of completions, delivered by uring_poll(); each names an end and an operation.
 */
#include "base/check.h"
#include "io/kernel.h"
#include "io/kernel_ops.h"
#include "io/uring_end.h"
#include "io/uring_poll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    SUBMISSIONS = 1024,
    COMPLETIONS = 8192,
    BUFFERS_FIRST = 64,
    BUFFERS_MAX = 256,
    UNREAD_MAX = 4,   /* buffers that wait at a sock before its receive is disarmed */
    JOIN_BYTES = 2048 /* so little is joined to what waits, rather than keep a buffer of its own */
};

/* --- Receiving ------------------------------------------------------------------------------- */

static void arm(struct uring_end *end)
{
    end->receiving = true;
    if (!((end->held | end->to_start) & uring_bit(OP_RECV)))
        uring_start(end, OP_RECV);
}

static void disarm(struct uring_end *end)
{
    end->receiving = false;
    uring_cancel(end, OP_RECV);
}

/* Many small pieces that nobody reads would hold a buffer each. */
static bool join(struct sock *sock, struct iobuf *buf)
{
    struct iobuf *last = sock->received ? sock->received_last : NULL;
    if (!last || buf->end > JOIN_BYTES || last->end + buf->end > IOBUF_BYTES)
        return false;
    memcpy(last->bytes + last->end, buf->bytes, buf->end);
    last->end += buf->end;
    return true;
}

static void keep(struct uring_end *end, struct iobuf **buf)
{
    if (join(end->sock, *buf)) {
        iobuf_give(&end->sock->loop->bufs, buf);
        return;
    }
    sock_keep(end->sock, *buf);
    *buf = NULL;
    if (end->sock->received_count >= UNREAD_MAX && end->receiving)
        disarm(end);
}

static bool is_shortage(int result)
{
    return result == -ENOBUFS || result == -ENOMEM || result == -EAGAIN || result == -EINTR;
}

/* A receive that ended without the connection's end goes on, if it is still wanted. */
static void receive_on(struct uring_end *end)
{
    if (end->held & uring_bit(OP_RECV) || end->sock->end != IO_NOTHING)
        return;
    if (end->receiving)
        arm(end);
    else if (!end->sock->detaching && !end->sock->ended &&
             !((end->held | end->to_start) & uring_bit(OP_HANGUP)))
        uring_start(end, OP_HANGUP);
}

/* True when there is something for the sock's reader or watch. */
static bool take_received(struct uring_end *end, const struct io_uring_cqe *completion)
{
    struct uring_bufs *bufs = &end->backend->bufs;
    struct iobuf *buf = NULL;
    int result = completion->res;
    if (completion->flags & IORING_CQE_F_BUFFER)
        buf = uring_bufs_received(bufs, completion);
    if (!(completion->flags & IORING_CQE_F_MORE))
        uring_returned(end, OP_RECV);
    if (result == -ENOBUFS)
        uring_bufs_grow(bufs);
    if (end->sock) {
        if (result > 0)
            keep(end, &buf);
        else if (result != -ECANCELED && !is_shortage(result))
            sock_keep_end(end->sock, result == 0 ? IO_EOF : IO_RESET);
        receive_on(end);
    }
    iobuf_give(bufs->from, &buf);
    return end->sock && result != -ECANCELED && !is_shortage(result);
}

static void on_received(struct uring_end *end, const struct io_uring_cqe *completion)
{
    if (take_received(end, completion))
        sock_notify_readable(end->sock);
}

static void on_hangup(struct uring_end *end, const struct io_uring_cqe *completion)
{
    uring_returned(end, OP_HANGUP);
    if (!end->sock || completion->res < 0)
        return;
    end->sock->ended = true;
    sock_notify_readable(end->sock);
}

static enum io_got uring_recv(struct sock *sock, struct iobuf **ret_buf)
{
    (void)ret_buf;
    arm(sock->backend_part);
    return IO_NOTHING;
}

/* Completions of its receive that nobody has delivered yet are taken out of their turn. */
static void take_waiting(struct uring_end *end)
{
    struct io_uring *ring = &end->backend->ring;
    struct io_uring_cqe *completion;
    unsigned head;
    io_uring_for_each_cqe(ring, head, completion)
    {
        if (uring_op_of(completion) == OP_RECV && uring_end_of(completion) == end) {
            take_received(end, completion);
            completion->user_data = OP_NONE;
        }
    }
}

/* Whether the kernel has something to do for this ring, which may be for this connection. */
static bool kernel_has_news(const struct backend *backend)
{
    return IO_URING_READ_ONCE(*backend->ring.sq.kflags) & IORING_SQ_TASKRUN;
}

static enum io_got receive_directly(struct sock *sock, struct iobuf **ret_buf)
{
    struct iobufs *bufs = &sock->loop->bufs;
    struct iobuf *buf = iobuf_take(bufs);
    if (!buf)
        return IO_NO_MEMORY;
    enum io_got got = kernel_recv(sock->descriptor, buf);
    if (got == IO_BYTES)
        *ret_buf = buf;
    else
        iobuf_give(bufs, &buf);
    if (got == IO_EOF || got == IO_RESET)
        sock_keep_end(sock, got);
    return got;
}

/* Bytes may be there of which the kernel has made no completion. */
static bool may_have_more(const struct uring_end *end)
{
    return kernel_has_news(end->backend) || end->armed_turn == end->backend->loop->turn;
}

static enum io_got uring_look(struct sock *sock, bool surely, struct iobuf **ret_buf)
{
    struct uring_end *end = sock->backend_part;
    struct io_uring *ring = &end->backend->ring;
    if (surely && io_uring_cq_has_overflow(ring))
        io_uring_get_events(ring); /* what it keeps beyond the queue came first */
    take_waiting(end);
    if (sock->received || sock->end != IO_NOTHING)
        return sock_look(sock, LOOK_TOLD, ret_buf);
    arm(end);
    if (!surely || !may_have_more(end) || io_uring_cq_has_overflow(ring))
        return IO_NOTHING;
    return receive_directly(sock, ret_buf);
}

/* --- Sending --------------------------------------------------------------------------------- */

static void uring_send(struct sock *sock, struct send_op *op)
{
    sock->sending = op;
    uring_start(sock->backend_part, OP_SEND);
}

static void finish_send(struct sock *sock, enum weir_err result)
{
    struct send_op *op = sock->sending;
    op->result = result;
    op->done = true;
    sock->sending = NULL;
    sock_notify_writable(sock);
}

static void on_sent(struct uring_end *end, const struct io_uring_cqe *completion)
{
    int result = completion->res;
    bool canceled = (end->canceled | end->to_cancel) & uring_bit(OP_SEND);
    struct send_op *op = end->sock->sending;
    uring_returned(end, OP_SEND);
    if (result > 0)
        send_op_advance(op, (size_t)result);
    if (op->count == 0)
        finish_send(end->sock, WEIR_OK);
    else if (canceled)
        finish_send(end->sock, WEIR_E_CANCELED);
    else if (result > 0 || is_shortage(result))
        uring_start(end, OP_SEND);
    else
        finish_send(end->sock, WEIR_E_RESET);
}

static void uring_send_cancel(struct sock *sock, struct send_op *op)
{
    struct uring_end *end = sock->backend_part;
    must(sock->sending == op);
    uring_cancel(end, OP_SEND);
    if (!(end->held & uring_bit(OP_SEND)))
        finish_send(sock, WEIR_E_CANCELED);
}

/* --- Connections come and go ----------------------------------------------------------------- */

static enum weir_err uring_attach(struct backend *backend, struct sock *sock)
{
    struct uring_end *end;
    TRY(uring_end_new(backend, sock, &end));
    if (sock->end == IO_NOTHING)
        arm(end);
    return WEIR_OK;
}

static void on_dialed(struct uring_end *end, const struct io_uring_cqe *completion)
{
    struct sock *sock = end->sock;
    uring_returned(end, OP_DIAL);
    if (!sock)
        return;
    sock->connecting = false;
    sock->dial_result = completion->res < 0 ? kernel_err(-completion->res) : WEIR_OK;
    if (!sock->dial_result) {
        end->quiet = true;
        arm(end);
    }
    sock_notify_writable(sock);
}

/* Connecting a Unix socket never waits. */
static enum weir_err dial_local(struct backend *backend, struct sock *sock, const struct addr *addr,
                                const struct dial_options *options)
{
    TRY(kernel_dial(addr, options, &sock->descriptor, &sock->connecting));
    enum weir_err err = uring_attach(backend, sock);
    if (err)
        close(sock->descriptor);
    return err;
}

static enum weir_err uring_dial(struct backend *backend, struct sock *sock, const struct addr *addr,
                                const struct dial_options *options)
{
    struct uring_end *end;
    if (addr_is_local(addr))
        return dial_local(backend, sock, addr, options);
    TRY(kernel_dial_socket(addr, options, &sock->descriptor));
    enum weir_err err = uring_end_new(backend, sock, &end);
    if (err) {
        close(sock->descriptor);
        return err;
    }
    memcpy(&end->to, &addr->any, addr->len);
    sock->connecting = true;
    uring_start(end, OP_DIAL);
    return WEIR_OK;
}

static void finish_detach(struct uring_end *end)
{
    struct sock *sock = end->sock;
    end->backend->sock_count--;
    sock->backend_part = NULL;
    sock->detaching->done = true;
    sock_notify_writable(sock);
    uring_end_free(end);
}

static void uring_detach(struct sock *sock, struct detached *what)
{
    struct uring_end *end = sock->backend_part;
    sock->detaching = what;
    disarm(end);
    uring_cancel(end, OP_HANGUP);
    if (uring_end_is_free(end))
        finish_detach(end);
}

static void uring_close_sock(struct sock *sock, bool reset)
{
    struct uring_end *end = sock->backend_part;
    if (sock->accepted) {
        /* The descriptor stays: other workers listen on it too. */
        loop_timer_disarm(sock->loop, &end->rest);
        end->descriptor = -1;
    } else if (reset) {
        kernel_reset_at_close(sock->descriptor);
    }
    uring_end_close(end);
    sock->descriptor = -1;
}

/* --- Listening ------------------------------------------------------------------------------- */

static void rest_over(struct timer *timer)
{
    uring_start(container_of(timer, struct uring_end, rest), OP_ACCEPT);
}

static enum weir_err uring_accept(struct backend *backend, struct sock *listener)
{
    struct uring_end *end;
    TRY(uring_end_new(backend, listener, &end));
    timer_init(&end->rest, rest_over);
    uring_start(end, OP_ACCEPT);
    return WEIR_OK;
}

static void give_accepted(struct sock *listener, int descriptor)
{
    struct addr from;
    if (listener && kernel_peer(descriptor, &from) == WEIR_OK)
        listener->accepted(listener, descriptor, &from);
    else
        kernel_close_unseen(descriptor); /* nobody listens any more, or it is gone already */
}

static void on_accepted(struct uring_end *end, const struct io_uring_cqe *completion)
{
    struct loop *loop = end->backend->loop;
    int result = completion->res;
    if (!(completion->flags & IORING_CQE_F_MORE))
        uring_returned(end, OP_ACCEPT);
    if (result >= 0)
        give_accepted(end->sock, result);
    if (!end->sock || end->held & uring_bit(OP_ACCEPT))
        return;
    if (kernel_err(-result) == WEIR_E_NO_DESCRIPTORS || kernel_err(-result) == WEIR_E_NO_MEMORY) {
        stat_add(&loop->stats.shortages[SHORT_OF_DESCRIPTORS], 1);
        loop_timer_arm(loop, &end->rest, ACCEPT_REST);
    } else if (result != -EINVAL && result != -EBADF) {
        uring_start(end, OP_ACCEPT);
    }
}

/* --- A turn ---------------------------------------------------------------------------------- */

static void uring_interrupt(struct backend *backend)
{
    uint64_t one = 1;
    ssize_t written = write(backend->interrupt, &one, sizeof one);
    (void)written; /* it is up already */
}

static void on_interrupted(struct uring_end *end, const struct io_uring_cqe *completion)
{
    uring_returned(end, OP_WAKE);
    if (completion->res != -ECANCELED && !end->backend->closing)
        uring_start(end, OP_WAKE);
}

/* The kernel has given back the last that it held of an end. */
static void settle(struct uring_end *end)
{
    if (!uring_end_is_free(end))
        return;
    if (!end->sock)
        uring_end_free(end);
    else if (end->sock->detaching)
        finish_detach(end);
}

static void deliver_to(struct uring_end *end, const struct io_uring_cqe *completion)
{
    switch (uring_op_of(completion)) {
    case OP_ACCEPT:
        on_accepted(end, completion);
        break;
    case OP_DIAL:
        on_dialed(end, completion);
        break;
    case OP_RECV:
        on_received(end, completion);
        break;
    case OP_HANGUP:
        on_hangup(end, completion);
        break;
    case OP_SEND:
        on_sent(end, completion);
        break;
    case OP_WAKE:
        on_interrupted(end, completion);
        break;
    case OP_POLL:
        uring_polled(end, completion);
        break;
    default:
        must(false);
    }
}

/* A watch may close any sock, the one that it is called for too: its end stays until it returns. */
static void deliver(struct backend *backend, const struct io_uring_cqe *completion)
{
    if (uring_op_of(completion) == OP_NONE)
        return;
    struct uring_end *end = uring_end_of(completion);
    backend->delivering = end;
    deliver_to(end, completion);
    backend->delivering = NULL;
    settle(end);
}

static void deliver_all(struct backend *backend)
{
    struct io_uring *ring = &backend->ring;
    while (io_uring_cq_ready(ring) > 0) {
        struct io_uring_cqe completion = ring->cq.cqes[*ring->cq.khead & ring->cq.ring_mask];
        io_uring_cq_advance(ring, 1);
        deliver(backend, &completion);
    }
    if (io_uring_cq_has_overflow(ring))
        stat_add(&backend->loop->stats.shortages[SHORT_OF_COMPLETIONS], 1);
}

/* Submits what was prepared and lets the kernel work; waits until there is a completion. */
static void enter(struct backend *backend, struct weir_time until)
{
    struct io_uring *ring = &backend->ring;
    int64_t left_ns = until.ns - loop_now(backend->loop).ns;
    int result;
    if (left_ns <= 0) {
        result = io_uring_submit_and_get_events(ring);
    } else if (weir_time_is_never(until)) {
        result = io_uring_submit_and_wait(ring, 1);
    } else {
        struct io_uring_cqe *first;
        struct __kernel_timespec left = {.tv_sec = left_ns / 1000000000,
                                         .tv_nsec = left_ns % 1000000000};
        result = io_uring_submit_and_wait_timeout(ring, &first, 1, &left, NULL);
    }
    must(result >= 0 || result == -ETIME || is_shortage(result) || result == -EBUSY);
}

static void uring_poll(struct backend *backend, struct weir_time until)
{
    uring_issue_starved(backend);
    if (!list_is_empty(&backend->starved))
        until = weir_time_min(until, loop_deadline(backend->loop, STARVED_WAIT));
    enter(backend, until);
    loop_read_clock(backend->loop);
    deliver_all(backend);
}

/* --- The ring -------------------------------------------------------------------------------- */

static unsigned or_else(unsigned wanted, unsigned otherwise)
{
    return wanted ? wanted : otherwise;
}

static enum weir_err open_ring(struct backend *backend, const struct io_sizes *sizes)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
                 IORING_SETUP_CLAMP,
        .cq_entries = or_else(sizes->completions, COMPLETIONS),
    };
    int result = io_uring_queue_init_params(or_else(sizes->submissions, SUBMISSIONS),
                                            &backend->ring, &params);
    if (result < 0)
        return kernel_err(-result);
    (void)io_uring_register_ring_fd(&backend->ring); /* saves a lookup a turn where it is known */
    enum weir_err err = uring_bufs_init(&backend->bufs, &backend->ring, backend->loop,
                                        or_else(sizes->buffers, BUFFERS_FIRST),
                                        or_else(sizes->buffers_max, BUFFERS_MAX));
    if (err)
        io_uring_queue_exit(&backend->ring);
    return err;
}

static enum weir_err open_wake(struct backend *backend)
{
    backend->interrupt = eventfd(0, EFD_CLOEXEC);
    if (backend->interrupt < 0)
        return kernel_err(errno);
    enum weir_err err = uring_end_new(backend, NULL, &backend->wake);
    if (err)
        close(backend->interrupt);
    else
        uring_start(backend->wake, OP_WAKE);
    return err;
}

static void close_ring(struct backend *backend)
{
    uring_bufs_fini(&backend->bufs, &backend->ring);
    io_uring_queue_exit(&backend->ring);
}

static enum weir_err uring_open(struct loop *loop, const struct io_sizes *sizes,
                                struct backend **ret_backend)
{
    struct backend *backend = calloc(1, sizeof *backend);
    if (!backend)
        return WEIR_E_NO_MEMORY;
    backend->loop = loop;
    backend->signal = -1;
    list_init(&backend->starved);
    slab_init(&backend->ends, "io_uring end", sizeof(struct uring_end));
    enum weir_err err = open_ring(backend, sizes);
    if (!err) {
        err = open_wake(backend);
        if (err)
            close_ring(backend);
    }
    if (err)
        free(backend);
    else
        *ret_backend = backend;
    return err;
}

/* The kernel writes to memory of ours until it has given back everything. */
static void drain(struct backend *backend)
{
    backend->closing = true;
    uring_cancel(backend->wake, OP_WAKE);
    while (backend->end_count > 0)
        uring_poll(backend, loop_deadline(backend->loop, STARVED_WAIT));
    io_uring_submit(&backend->ring);
}

static void uring_close(struct backend **backend)
{
    struct backend *closing = *backend;
    must(closing->sock_count == 0);
    drain(closing);
    close_ring(closing);
    close(closing->interrupt);
    if (closing->signal >= 0)
        close(closing->signal);
    slab_fini(&closing->ends);
    free(closing);
    *backend = NULL;
}

const struct backend_ops uring_ops = {
    .name = "io_uring",
    .open = uring_open,
    .close = uring_close,
    .now = kernel_op_now,
    .poll = uring_poll,
    .descriptor = uring_descriptor,
    .interrupt = uring_interrupt,
    .listen = kernel_op_listen,
    .bound = kernel_op_bound,
    .accept = uring_accept,
    .dial = uring_dial,
    .attach = uring_attach,
    .recv = uring_recv,
    .look = uring_look,
    .send = uring_send,
    .send_cancel = uring_send_cancel,
    .send_now = kernel_op_send_now,
    .shut = kernel_op_shut,
    .peer = kernel_op_peer,
    .detach = uring_detach,
    .close_sock = uring_close_sock,
    .follow = uring_follow,
    .close_descriptor = kernel_op_close_descriptor,
};
