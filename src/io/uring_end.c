/* SPDX-License-Identifier: MIT */
#include "io/uring_end.h"

#include "base/check.h"
#include "io/kernel.h"
#include "io/poller.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The kind of operation lies in the low bits of an end's address. */
_Static_assert(OP_COUNT <= 8, "they must fit");

static uint64_t name_of(const struct uring_end *end, enum uring_op op)
{
    return (uint64_t)(uintptr_t)end | op;
}

enum weir_err uring_end_new(struct backend *backend, struct sock *sock, struct uring_end **ret_end)
{
    struct uring_end *end = slab_alloc(&backend->ends);
    if (!end)
        return WEIR_E_NO_MEMORY;
    must(((uintptr_t)end & 7) == 0);
    end->backend = backend;
    end->sock = sock;
    end->descriptor = sock ? sock->descriptor : -1;
    list_init(&end->starved_link);
    backend->end_count++;
    if (sock) {
        sock->backend_part = end;
        backend->sock_count++;
    }
    *ret_end = end;
    return WEIR_OK;
}

void uring_end_free(struct uring_end *end)
{
    must(uring_end_is_free(end));
    list_remove(&end->starved_link);
    end->backend->end_count--;
    slab_free(&end->backend->ends, end);
}

/* NULL while the kernel takes no more. */
static struct io_uring_sqe *next_entry(struct backend *backend)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&backend->ring);
    if (entry)
        return entry;
    stat_add(&backend->loop->stats.shortages[SHORT_OF_SUBMISSIONS], 1);
    io_uring_submit(&backend->ring);
    return io_uring_get_sqe(&backend->ring);
}

static void prepare_recv(struct uring_end *end, struct io_uring_sqe *entry)
{
    io_uring_prep_recv_multishot(entry, end->descriptor, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = URING_BUF_GROUP;
    end->armed_turn = end->backend->loop->turn;
    if (end->quiet)
        entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
    end->quiet = false;
}

/* Until all of it is out: the kernel waits for room by itself. */
static void prepare_send(struct uring_end *end, struct io_uring_sqe *entry)
{
    enum { FLAGS = MSG_NOSIGNAL | MSG_WAITALL };
    struct send_op *op = end->sock->sending;
    struct iovec *slices = op->slices + op->first;
    if (op->count == 1) {
        io_uring_prep_send(entry, end->descriptor, slices->iov_base, slices->iov_len, FLAGS);
        return;
    }
    op->message = (struct msghdr){.msg_iov = slices, .msg_iovlen = op->count};
    io_uring_prep_sendmsg(entry, end->descriptor, &op->message, FLAGS);
}

static void prepare(struct uring_end *end, enum uring_op op, struct io_uring_sqe *entry)
{
    switch (op) {
    case OP_ACCEPT:
        io_uring_prep_multishot_accept(entry, end->descriptor, NULL, NULL,
                                       SOCK_NONBLOCK | SOCK_CLOEXEC);
        break;
    case OP_DIAL:
        io_uring_prep_connect(entry, end->descriptor, (const struct sockaddr *)&end->to,
                              end->to.sin6_family == AF_INET ? sizeof(struct sockaddr_in)
                                                             : sizeof(struct sockaddr_in6));
        break;
    case OP_RECV:
        prepare_recv(end, entry);
        break;
    case OP_HANGUP:
        io_uring_prep_poll_add(entry, end->descriptor, POLLRDHUP);
        break;
    case OP_SEND:
        prepare_send(end, entry);
        break;
    case OP_WAKE:
        io_uring_prep_read(entry, end->backend->interrupt, &end->backend->interrupts,
                           sizeof end->backend->interrupts, 0);
        break;
    case OP_POLL:
        io_uring_prep_poll_add(entry, end->descriptor, (unsigned)poller_events(end->poller));
        break;
    default:
        must(false);
    }
    io_uring_sqe_set_data64(entry, name_of(end, op));
}

static bool start_one(struct uring_end *end, enum uring_op op)
{
    struct backend *backend = end->backend;
    if (op == OP_RECV && !uring_bufs_fill(&backend->bufs))
        return false;
    struct io_uring_sqe *entry = next_entry(backend);
    if (!entry)
        return false;
    prepare(end, op, entry);
    end->to_start &= (uint8_t)~uring_bit(op);
    end->held |= uring_bit(op);
    return true;
}

static bool cancel_one(struct uring_end *end, enum uring_op op)
{
    struct io_uring_sqe *entry = next_entry(end->backend);
    if (!entry)
        return false;
    io_uring_prep_cancel64(entry, name_of(end, op), 0);
    io_uring_sqe_set_data64(entry, OP_NONE);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    end->to_cancel &= (uint8_t)~uring_bit(op);
    end->canceled |= uring_bit(op);
    return true;
}

static bool close_one(struct uring_end *end)
{
    struct io_uring_sqe *entry = next_entry(end->backend);
    if (!entry)
        return false;
    io_uring_prep_close(entry, end->descriptor);
    io_uring_sqe_set_data64(entry, OP_NONE);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    end->to_close = false;
    return true;
}

/* Cancels come before the close: what is still armed would keep the socket open. */
static void issue(struct uring_end *end)
{
    bool all = true;
    for (enum uring_op op = OP_ACCEPT; op < OP_COUNT; op++) {
        if (end->to_start & uring_bit(op))
            all &= start_one(end, op);
        if (end->to_cancel & uring_bit(op))
            all &= cancel_one(end, op);
    }
    if (end->to_close)
        all = all && close_one(end);
    list_remove(&end->starved_link);
    if (!all)
        list_push_back(&end->backend->starved, &end->starved_link);
}

void uring_issue_starved(struct backend *backend)
{
    struct list again;
    list_init(&again);
    for (struct list *link; (link = list_pop_front(&backend->starved));)
        list_push_back(&again, link);
    for (struct list *link; (link = list_pop_front(&again));) {
        struct uring_end *end = container_of(link, struct uring_end, starved_link);
        issue(end);
        if (!end->sock && uring_end_is_free(end))
            uring_end_free(end);
    }
}

static enum weir_err want_signals(struct backend *backend)
{
    int signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signal < 0)
        return kernel_err(errno);
    int result = io_uring_register_eventfd(&backend->ring, signal);
    if (result != 0) {
        close(signal);
        return kernel_err(-result);
    }
    backend->signal = signal;
    return WEIR_OK;
}

/*
 * With deferred task run who polls the ring itself is not woken by what comes for it, but an
 * eventfd is signaled. What the last poll has delivered has signaled it as well.
 */
enum weir_err uring_descriptor(struct backend *backend, struct weir_time *until,
                               int *ret_descriptor)
{
    struct io_uring *ring = &backend->ring;
    uint64_t signals;
    if (backend->signal < 0)
        TRY(want_signals(backend));
    if (!list_is_empty(&backend->starved))
        *until = weir_time_min(*until, loop_deadline(backend->loop, STARVED_WAIT));
    (void)io_uring_submit(ring); /* what finds no room is submitted by the next poll */
    ssize_t count = read(backend->signal, &signals, sizeof signals);
    (void)count; /* EAGAIN: there were none */
    if (io_uring_cq_ready(ring) > 0 || IO_URING_READ_ONCE(*ring->sq.kflags) != 0)
        *until = loop_now(backend->loop);
    *ret_descriptor = backend->signal;
    return WEIR_OK;
}

void uring_start(struct uring_end *end, enum uring_op op)
{
    must(!(end->held & uring_bit(op)));
    end->to_start |= uring_bit(op);
    issue(end);
}

void uring_start_next_turn(struct uring_end *end, enum uring_op op)
{
    must(!(end->held & uring_bit(op)));
    end->to_start |= uring_bit(op);
    if (list_is_empty(&end->starved_link))
        list_push_back(&end->backend->starved, &end->starved_link);
}

void uring_cancel(struct uring_end *end, enum uring_op op)
{
    end->to_start &= (uint8_t)~uring_bit(op);
    if (!(end->held & uring_bit(op)) || end->canceled & uring_bit(op))
        return;
    end->to_cancel |= uring_bit(op);
    issue(end);
}

void uring_returned(struct uring_end *end, enum uring_op op)
{
    must(end->held & uring_bit(op));
    end->held &= (uint8_t)~uring_bit(op);
    end->canceled &= (uint8_t)~uring_bit(op);
    end->to_cancel &= (uint8_t)~uring_bit(op);
}

void uring_end_close(struct uring_end *end)
{
    if (end->sock)
        end->backend->sock_count--;
    end->sock = NULL;
    end->receiving = false;
    end->to_start = 0;
    end->to_cancel = end->held & (uint8_t)~end->canceled;
    end->to_close = end->descriptor >= 0;
    issue(end);
    if (uring_end_is_free(end) && end->backend->delivering != end)
        uring_end_free(end);
}
