/* SPDX-License-Identifier: MIT */
#ifndef IO_URING_END_H
#define IO_URING_END_H

/*
 * What the kernel holds of one socket: at most one operation of each kind. The sock may go at any
 * time; its end stays until the kernel has given everything back.
 *
 * An operation is started or canceled by a bit here first; uring_issue() turns bits into entries
 * of the submission queue, and keeps those for which there is no room until the next turn.
 */

#include "base/slab.h"
#include "io/sock.h"
#include "io/uring_bufs.h"

enum uring_op {
    OP_NONE, /* its completion tells nothing: a cancel, a close */
    OP_ACCEPT,
    OP_DIAL,
    OP_RECV,
    OP_HANGUP, /* a poll for the peer's end, while nothing is received */
    OP_SEND,
    OP_WAKE,
    OP_POLL, /* of a poller */
    OP_COUNT,
};

struct backend {
    struct loop *loop;
    struct io_uring ring;
    struct uring_bufs bufs;
    struct slab ends;
    unsigned end_count, sock_count; /* ends, and those of them that a sock or poller has */
    struct list starved;            /* ends whose bits wait for the next turn: for room, mostly */
    struct uring_end *wake, *delivering;
    int interrupt; /* eventfd */
    int signal;    /* another, of uring_descriptor(); -1: nobody asked */
    uint64_t interrupts;
    bool closing;
};

struct uring_end {
    struct backend *backend;
    struct sock *sock; /* NULL: closed, or a poller's */
    struct list starved_link;
    int descriptor;
    uint8_t to_start, to_cancel; /* bits of operations */
    uint8_t held, canceled;      /* the kernel has it; and knows that it is to end */
    uint64_t armed_turn;         /* the turn in which its receive was prepared */
    bool receiving;              /* what comes is wanted */
    bool quiet;                  /* just connected: nothing can be there yet */
    bool to_close;
    union {
        struct sockaddr_in6 to; /* of a dial; IPv4 too */
        struct timer rest;      /* of a listener, when no descriptor could be had */
        struct poller *poller;  /* whose OP_POLL it is; NULL: stopped */
    };
};

static inline uint8_t uring_bit(enum uring_op op)
{
    return (uint8_t)(1u << op);
}

/* What a completion is of. */
static inline struct uring_end *uring_end_of(const struct io_uring_cqe *completion)
{
    return (struct uring_end *)(uintptr_t)(completion->user_data & ~(uint64_t)7);
}
static inline enum uring_op uring_op_of(const struct io_uring_cqe *completion)
{
    return (enum uring_op)(completion->user_data & 7);
}

/* WEIR_E_NO_MEMORY. `sock` is NULL for what belongs to the backend itself. */
enum weir_err uring_end_new(struct backend *backend, struct sock *sock, struct uring_end **ret_end);

/* Has the kernel do it, with the next submission. It must not be doing it already (checked). */
void uring_start(struct uring_end *end, enum uring_op op);
/*
 * The same, but not before the next turn: for what may be done at once again and again, so that it
 * cannot keep this turn from ending when the queue of submissions is short.
 */
void uring_start_next_turn(struct uring_end *end, enum uring_op op);
/* Ends it, if it runs; its completion tells how it ended. */
void uring_cancel(struct uring_end *end, enum uring_op op);
/* The kernel has given an operation back. */
void uring_returned(struct uring_end *end, enum uring_op op);

/* Nobody has the sock any more: cancels all and closes the descriptor, if it is not -1. */
void uring_end_close(struct uring_end *end);

/* The kernel holds nothing of it, and nothing waits to be submitted. */
static inline bool uring_end_is_free(const struct uring_end *end)
{
    return !(end->held | end->to_start | end->to_cancel | end->to_close);
}

/* Nothing is held any more: frees it. */
void uring_end_free(struct uring_end *end);

/* Tries again what found no room, and what was left to this turn. */
void uring_issue_starved(struct backend *backend);
/* How long a turn may last while something waits for room in a queue, or for memory. */
#define STARVED_WAIT weir_span_ms(10)

/* One of backend_ops. */
enum weir_err uring_descriptor(struct backend *backend, struct weir_time *until,
                               int *ret_descriptor);

#endif
