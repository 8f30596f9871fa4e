/* SPDX-License-Identifier: MIT */
#ifndef IO_BACKEND_H
#define IO_BACKEND_H

/*
 * The world behind a worker: network and clock, as a vtable. epoll and io_uring stand for the
 * kernel, sim for a network in memory with a clock of its own.
 *
 * The shape is io_uring's, because readiness can play completion but not the other way round.
 * Receiving lends a buffer: recv() gives bytes that are there and answers IO_NOTHING otherwise;
 * from then on the socket is armed, and when something comes the reader is woken or the watch is
 * called. Sending takes slices that stay put until the send is done; the sender is woken then.
 * Watching is an armed receive with nobody waiting: it costs no buffer and no system call.
 *
 * Calls that take a struct sock are made on the worker that owns it.
 */

#include "io/addr.h"
#include "base/stat.h"
#include "io/iobuf.h"

#include <sys/socket.h>
#include <sys/uio.h>

struct backend;
struct co;
struct loop;
struct poller;
struct sock;

enum io_got {
    IO_BYTES,   /* *ret_buf is filled and the caller's */
    IO_NOTHING, /* nothing is there now; armed */
    IO_EOF,     /* the peer has sent its last byte */
    IO_RESET,   /* the connection is broken */
    IO_NO_MEMORY,
};

/* How hard to look for what has come. */
enum look {
    LOOK_TOLD,  /* what was announced */
    LOOK_WELL,  /* beyond that, as far as a backend can afford for every request */
    LOOK_SURELY /* whatever it costs: what has reached this machine is found */
};

enum { SEND_SLICES_MAX = 18 };

/* One send, in its sender's frame; the backend may use it until `done`. */
struct send_op {
    struct iovec slices[SEND_SLICES_MAX];
    unsigned first, count; /* what is left */
    size_t sent_bytes;
    enum weir_err result;
    bool done;
    struct msghdr message; /* io_uring's; set by it alone */
};

/* A connection on its way from one worker to another: between sock_detach() and sock_adopt(). */
struct detached {
    int descriptor;
    struct iobuf *received; /* what had come and nobody had read, oldest first */
    enum io_got end;        /* IO_EOF or IO_RESET after that; else IO_NOTHING */
    bool done;              /* the old worker's backend holds nothing of it any more */
};

/* How much io_uring sets up; 0: its own choice. Others take no notice. */
struct io_sizes {
    unsigned submissions, completions; /* entries of the two queues */
    unsigned buffers, buffers_max;     /* ready for what comes: at first, and grown */
};

/* What ran out, how often. Nothing is lost by it, but time. */
enum io_shortage {
    SHORT_OF_BUFFERS,
    SHORT_OF_COMPLETIONS,
    SHORT_OF_SUBMISSIONS,
    SHORT_OF_DESCRIPTORS, /* accepting rests a moment */
    IO_SHORTAGES,
};

struct io_stats {
    stat_count shortages[IO_SHORTAGES];
    stat_count buffers_ready; /* that the kernel has, to receive into */
};

struct dial_options {
    struct addr source;                                  /* .len 0: the kernel's choice */
    struct weir_span keepalive_idle, keepalive_interval; /* of TCP; idle 0: off */
    int keepalive_count;
    struct weir_span user_timeout; /* of TCP; 0 or WEIR_FOREVER: the system's */
    unsigned dscp, receive_buffer; /* 0: the system's */
    bool fast_open;                /* of TCP */
};

struct listen_options {
    int backlog;
    bool ipv6_only;
};

struct backend_ops {
    const char *name;

    enum weir_err (*open)(struct loop *loop, const struct io_sizes *sizes,
                          struct backend **ret_backend);
    void (*close)(struct backend **backend);

    struct weir_time (*now)(struct backend *backend);
    /* Waits until something happens, `until` at the latest; then has the loop read the clock, and
     * delivers what came. */
    void (*poll)(struct backend *backend, struct weir_time until);
    /*
     * For who waits himself: submits what was prepared, and gives the descriptor that is readable
     * when a poll has something to deliver. *until comes forward if a poll is wanted before.
     * WEIR_E_NO_DESCRIPTORS, _NO_MEMORY, the first time.
     */
    enum weir_err (*descriptor)(struct backend *backend, struct weir_time *until,
                                int *ret_descriptor);
    /* Makes a poll that waits, or the next one, return. From any thread. */
    void (*interrupt)(struct backend *backend);

    /* A listening descriptor. It is shared: every worker may attach it. */
    enum weir_err (*listen)(struct backend *backend, const struct addr *addr,
                            const struct listen_options *options, int *ret_descriptor);
    /* The address that a listening descriptor really has (port 0 resolved). */
    enum weir_err (*bound)(struct backend *backend, int descriptor, struct addr *ret_addr);
    /* From now on sock->accepted() is called for each connection. */
    enum weir_err (*accept)(struct backend *backend, struct sock *listener);

    /* Starts connecting. sock->writer is woken when sock->connecting is false; see
     * sock->dial_result. */
    enum weir_err (*dial)(struct backend *backend, struct sock *sock, const struct addr *addr,
                          const struct dial_options *options);
    /* Makes a connected descriptor this worker's. */
    enum weir_err (*attach)(struct backend *backend, struct sock *sock);

    enum io_got (*recv)(struct sock *sock, struct iobuf **ret_buf);
    /* As recv(), but does not rely on what was announced: LOOK_WELL, or LOOK_SURELY. */
    enum io_got (*look)(struct sock *sock, bool surely, struct iobuf **ret_buf);
    /* Tries at once; op->done tells whether it is over. Else sock->writer is woken when it is. */
    void (*send)(struct sock *sock, struct send_op *op);
    /* Gives a send up; it may be done already. The op is the sender's again when op->done. */
    void (*send_cancel)(struct sock *sock, struct send_op *op);
    /* Sends what goes at once of a few bytes, while nobody sends; how many went. */
    size_t (*send_now)(struct sock *sock, struct weir_slice bytes);
    /* Sends no more: FIN. */
    void (*shut)(struct sock *sock);
    /* The address of the other end. */
    enum weir_err (*peer)(struct sock *sock, struct addr *ret_addr);
    /*
     * Takes it from this worker: whatever still came joins sock->received, and when what->done is
     * true the descriptor is nobody's. Else sock->writer is woken when it is.
     */
    void (*detach)(struct sock *sock, struct detached *what);
    /* Ends it: with a FIN, or with a reset when `reset` (so that the peer sees a cut). */
    void (*close_sock)(struct sock *sock, bool reset);
    /* Makes what is watched follow what a poller wants. When it wants nothing the poller is the
     * caller's, whatever the kernel still holds. */
    enum weir_err (*follow)(struct backend *backend, struct poller *poller);
    /* Ends a descriptor that no worker has attached. */
    void (*close_descriptor)(struct backend *backend, int descriptor);
};

extern const struct backend_ops epoll_ops;
extern const struct backend_ops uring_ops;

#endif
