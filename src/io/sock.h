/* SPDX-License-Identifier: MIT */
#ifndef IO_SOCK_H
#define IO_SOCK_H

/*
 * One socket of a worker, and the calls on it. At most one coroutine receives and at most one sends
 * at a time (checked). Its memory is the caller's (slab or frame) and must stay until sock_close().
 */

#include "io/backend.h"
#include "io/loop.h"
#include <weir/suspends.h>

typedef void sock_watch_fn(struct sock *sock, void *owner);
/* A connection has come. The descriptor is the callee's: attach it here or elsewhere, or close it.
 */
typedef void sock_accepted_fn(struct sock *listener, int descriptor, const struct addr *from);

struct sock {
    uint32_t magic;
    int descriptor; /* under sim the number of an end */
    struct loop *loop;
    void *backend_part; /* sim's and io_uring's own */
    struct co *reader, *writer;
    struct iobuf *received, *received_last; /* has come and waits to be read */
    unsigned received_count;
    enum io_got end; /* what is said after that: nothing, or the end */
    struct send_op *sending;
    struct detached *detaching;
    sock_watch_fn *watch;
    void *watch_owner;
    sock_accepted_fn *accepted; /* of a listener */
    enum weir_err dial_result;
    bool connecting;
    bool readable, writable; /* epoll: a try may get somewhere */
    bool ended; /* the peer's end or an error has been announced; bytes may lie before it */
};

/* Listening. `accepted` is called in the loop, so it must not suspend. */
enum weir_err sock_accept(struct loop *loop, struct sock *sock, int descriptor,
                          sock_accepted_fn *accepted, void *owner);

/*
 * Connects. WEIR_E_REFUSED, _UNREACHABLE, _NO_PORTS, _NO_DESCRIPTORS, _TIMEOUT, _CANCELED, _IO. On
 * an error the sock is closed.
 */
WEIR_SUSPENDS enum weir_err sock_dial(struct loop *loop, struct sock *sock, const struct addr *addr,
                                      const struct dial_options *options,
                                      struct weir_time deadline);

/* Takes over a connected descriptor; on an error the descriptor is closed. */
enum weir_err sock_attach(struct loop *loop, struct sock *sock, int descriptor);

/*
 * Takes a connection from its worker, to be adopted by another. Nobody may be in a call on it
 * (checked). Afterwards the sock is closed and the connection is the caller's. Waits for what the
 * kernel still holds, whatever happens; that takes a few turns.
 */
WEIR_SUSPENDS void sock_detach(struct sock *sock, struct detached *ret_what);
/* Makes a detached connection this worker's; on an error it is dropped. */
enum weir_err sock_adopt(struct loop *loop, struct sock *sock, struct detached *what);
/* Closes a detached connection that nobody adopts. Any loop will do, on its thread. */
void sock_drop(struct loop *loop, struct detached *what);

/*
 * Waits for bytes. *ret_buf holds at least one and goes back with iobuf_give(&loop->bufs, ...).
 * WEIR_E_EOF, _RESET, _TIMEOUT, _CANCELED, _NO_MEMORY.
 */
WEIR_SUSPENDS enum weir_err sock_recv(struct sock *sock, struct weir_time deadline,
                                      struct iobuf **ret_buf);

/* What is there now, without waiting. */
enum io_got sock_look(struct sock *sock, enum look look, struct iobuf **ret_buf);

/*
 * Sends all of the slices (at most SEND_SLICES_MAX); their memory must stay until it returns.
 * *ret_sent (may be NULL) is how much went out, set on errors too. WEIR_E_RESET, _TIMEOUT,
 * _CANCELED.
 */
WEIR_SUSPENDS enum weir_err sock_send(struct sock *sock, const struct weir_slice *slices,
                                      unsigned count, struct weir_time deadline, size_t *ret_sent);

/*
 * From now on `watch` is called, in the loop, when something comes while nobody receives; NULL ends
 * that. It may come late, twice, and without cause: look. What had come before is not reported:
 * look first.
 */
void sock_watch(struct sock *sock, sock_watch_fn *watch, void *owner);

/*
 * Sends what goes at once, without waiting; the rest is the caller's. How many bytes went: none
 * while somebody sends.
 */
size_t sock_send_now(struct sock *sock, struct weir_slice bytes);

void sock_shut(struct sock *sock);

/* Nobody may be in a call on it (checked). Harmless on one that is closed or was never opened. */
void sock_close(struct sock *sock, bool reset);

/* For backends: bytes that wait to be read, and their end. Neither wakes anyone. */
void sock_keep(struct sock *sock, struct iobuf *buf);
void sock_keep_end(struct sock *sock, enum io_got end);
/* For backends: something has come for the reader; something has happened to the send or dial. */
void sock_notify_readable(struct sock *sock);
void sock_notify_writable(struct sock *sock);

#endif
