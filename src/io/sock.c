/* SPDX-License-Identifier: MIT */
#include "io/sock.h"

#include "base/check.h"
#include "co/wait.h"

enum { SOCK_MAGIC = 0x50c3e711 };

static void sock_init(struct sock *sock, struct loop *loop, int descriptor)
{
    *sock = (struct sock){
        .magic = SOCK_MAGIC, .loop = loop, .descriptor = descriptor, .end = IO_NOTHING};
}

static void check_sock(const struct sock *sock)
{
    must(sock->magic == SOCK_MAGIC);
}

enum weir_err sock_accept(struct loop *loop, struct sock *sock, int descriptor,
                          sock_accepted_fn *accepted, void *owner)
{
    sock_init(sock, loop, descriptor);
    sock->accepted = accepted;
    sock->watch_owner = owner;
    enum weir_err err = loop->ops->accept(loop->backend, sock);
    if (err)
        sock->magic = 0;
    return err;
}

enum weir_err sock_dial(struct loop *loop, struct sock *sock, const struct addr *addr,
                        const struct dial_options *options, struct weir_time deadline)
{
    sock_init(sock, loop, -1);
    enum weir_err err = loop->ops->dial(loop->backend, sock, addr, options);
    if (err) {
        sock->magic = 0;
        return err;
    }
    sock->writer = co_self();
    while (sock->connecting && !err)
        err = co_wait(deadline);
    sock->writer = NULL;
    if (!err)
        err = sock->dial_result;
    if (err)
        sock_close(sock, true);
    return err;
}

static void drop_received(struct sock *sock)
{
    while (sock->received) {
        struct iobuf *buf = sock->received;
        sock->received = buf->next;
        iobuf_give(&sock->loop->bufs, &buf);
    }
}

/* Of a sock that no backend has. */
static void end_unattached(struct sock *sock)
{
    drop_received(sock);
    sock->loop->ops->close_descriptor(sock->loop->backend, sock->descriptor);
    sock->magic = 0;
}

enum weir_err sock_attach(struct loop *loop, struct sock *sock, int descriptor)
{
    sock_init(sock, loop, descriptor);
    enum weir_err err = loop->ops->attach(loop->backend, sock);
    if (err)
        end_unattached(sock);
    return err;
}

void sock_detach(struct sock *sock, struct detached *ret_what)
{
    check_sock(sock);
    must(!sock->reader && !sock->writer);
    struct iobufs *bufs = &sock->loop->bufs;
    *ret_what = (struct detached){.descriptor = sock->descriptor};
    sock->watch = NULL;
    sock->loop->ops->detach(sock, ret_what);
    sock->writer = co_self();
    while (!ret_what->done)
        co_wait_firm();
    ret_what->received = sock->received;
    ret_what->end = sock->end;
    for (struct iobuf *buf = sock->received; buf; buf = buf->next)
        iobuf_leave(bufs);
    sock->magic = 0;
}

/* Its bytes become this worker's. */
static void receive_detached(struct sock *sock, struct detached *what)
{
    struct iobuf *next;
    for (struct iobuf *buf = what->received; buf; buf = next) {
        next = buf->next;
        iobuf_join(&sock->loop->bufs);
        sock_keep(sock, buf);
    }
    what->received = NULL;
    if (what->end != IO_NOTHING)
        sock_keep_end(sock, what->end);
}

enum weir_err sock_adopt(struct loop *loop, struct sock *sock, struct detached *what)
{
    sock_init(sock, loop, what->descriptor);
    receive_detached(sock, what);
    enum weir_err err = loop->ops->attach(loop->backend, sock);
    if (err)
        end_unattached(sock);
    return err;
}

void sock_drop(struct loop *loop, struct detached *what)
{
    struct sock sock;
    sock_init(&sock, loop, what->descriptor);
    receive_detached(&sock, what);
    end_unattached(&sock);
}

static enum weir_err err_of(enum io_got got)
{
    switch (got) {
    case IO_EOF:
        return WEIR_E_EOF;
    case IO_RESET:
        return WEIR_E_RESET;
    case IO_NO_MEMORY:
        return WEIR_E_NO_MEMORY;
    default:
        return WEIR_OK;
    }
}

/* Who is fed faster than he works never waits, and would keep the worker from all the others. */
WEIR_SUSPENDS static enum weir_err take_turns(struct sock *sock)
{
    if (!loop_receives_enough(sock->loop))
        return WEIR_OK;
    sock->reader = co_self();
    enum weir_err err = co_yield ();
    sock->reader = NULL;
    return err;
}

/* What waits to be read comes first, and the end after it; false: neither is there. */
static bool next_received(struct sock *sock, struct iobuf **ret_buf, enum io_got *ret_got)
{
    struct iobuf *buf = sock->received;
    if (!buf) {
        *ret_got = sock->end;
        return sock->end != IO_NOTHING;
    }
    sock->received = buf->next;
    sock->received_count--;
    buf->next = NULL;
    *ret_buf = buf;
    *ret_got = IO_BYTES;
    return true;
}

enum io_got sock_look(struct sock *sock, enum look look, struct iobuf **ret_buf)
{
    enum io_got got;
    check_sock(sock);
    if (next_received(sock, ret_buf, &got))
        return got;
    if (look == LOOK_TOLD)
        return sock->loop->ops->recv(sock, ret_buf);
    return sock->loop->ops->look(sock, look == LOOK_SURELY, ret_buf);
}

enum weir_err sock_recv(struct sock *sock, struct weir_time deadline, struct iobuf **ret_buf)
{
    check_sock(sock);
    must(!sock->reader);
    TRY(take_turns(sock));
    for (;;) {
        enum io_got got = sock_look(sock, LOOK_TOLD, ret_buf);
        if (got != IO_NOTHING)
            return err_of(got);
        sock->reader = co_self();
        enum weir_err err = co_wait(deadline);
        sock->reader = NULL;
        TRY(err);
    }
}

/* Waits for the send that the backend holds; a send that is given up is still waited for. */
WEIR_SUSPENDS static enum weir_err finish_send(struct sock *sock, struct send_op *op,
                                               struct weir_time deadline)
{
    sock->writer = co_self();
    enum weir_err err = WEIR_OK;
    while (!op->done && !err)
        err = co_wait(deadline);
    if (!op->done)
        sock->loop->ops->send_cancel(sock, op);
    while (!op->done)
        co_wait_firm();
    sock->writer = NULL;
    return err ? err : op->result;
}

enum weir_err sock_send(struct sock *sock, const struct weir_slice *slices, unsigned count,
                        struct weir_time deadline, size_t *ret_sent)
{
    check_sock(sock);
    must(!sock->writer && count <= SEND_SLICES_MAX);
    struct send_op op;
    op.first = op.count = 0;
    op.sent_bytes = 0;
    op.done = false;
    op.result = WEIR_OK;
    for (unsigned i = 0; i < count; i++)
        if (slices[i].len > 0)
            op.slices[op.count++] = (struct iovec){.iov_base = (void *)(uintptr_t)slices[i].at,
                                                   .iov_len = slices[i].len};
    enum weir_err err = WEIR_OK;
    if (op.count > 0) {
        sock->loop->ops->send(sock, &op);
        err = op.done ? op.result : finish_send(sock, &op, deadline);
    }
    if (ret_sent)
        *ret_sent = op.sent_bytes;
    return err;
}

void sock_watch(struct sock *sock, sock_watch_fn *watch, void *owner)
{
    check_sock(sock);
    sock->watch = watch;
    sock->watch_owner = owner;
}

size_t sock_send_now(struct sock *sock, struct weir_slice bytes)
{
    check_sock(sock);
    return sock->writer ? 0 : sock->loop->ops->send_now(sock, bytes);
}

void sock_shut(struct sock *sock)
{
    check_sock(sock);
    sock->loop->ops->shut(sock);
}

void sock_close(struct sock *sock, bool reset)
{
    if (sock->magic != SOCK_MAGIC)
        return;
    must(!sock->reader && !sock->writer);
    drop_received(sock);
    sock->loop->ops->close_sock(sock, reset);
    sock->magic = 0;
}

void sock_keep(struct sock *sock, struct iobuf *buf)
{
    buf->next = NULL;
    if (sock->received)
        sock->received_last->next = buf;
    else
        sock->received = buf;
    sock->received_last = buf;
    sock->received_count++;
}

void sock_keep_end(struct sock *sock, enum io_got end)
{
    if (sock->end == IO_NOTHING)
        sock->end = end;
    sock->ended = true;
}

void sock_notify_readable(struct sock *sock)
{
    if (sock->reader)
        co_wake(sock->reader);
    else if (sock->watch)
        sock->watch(sock, sock->watch_owner);
}

void sock_notify_writable(struct sock *sock)
{
    co_wake(sock->writer);
}
