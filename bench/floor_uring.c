/* SPDX-License-Identifier: MIT */
/* The floor with io_uring: the relay of floor_epoll.c, but the kernel does the waiting. Receives
   are armed once and take a buffer from a ring when bytes come; what was received is sent from that
   very buffer, which goes back into the ring when it is sent; a turn is one system call.

   A pair lives until the kernel has given back all that it holds of it. There is no back-pressure:
   the load generator and the origin read what they are sent.

   Usage: floor_uring --listen 127.0.0.1:8080 --to 127.0.0.1:9001 */
#include "tcp.h"

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SUBMISSIONS = 1024, COMPLETIONS = 8192, BUFFERS = 256, BUFFER_BYTES = 32 * 1024 };

enum operation { NONE, ACCEPT, RECV, SEND };

/* A buffer that was received into and is to be sent. */
struct piece {
    struct piece *next;
    unsigned bytes;
};

struct side {
    struct pair *pair;
    struct side *other;
    int fd;
    struct piece *first, *last; /* to be sent here; the first is being sent */
    struct side *next_hungry;
};

struct pair {
    struct side downstream;
    struct side upstream;
    unsigned held; /* operations that the kernel has */
    bool closed;
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static char (*buffers)[BUFFER_BYTES];
static struct piece pieces[BUFFERS]; /* by the number of their buffer */

/* Sides whose receive found no buffer; they go on when one comes back. */
static struct side *hungry;

static struct io_uring_sqe *next_entry(void *subject, enum operation operation)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
    if (entry == NULL) {
        io_uring_submit(&ring);
        entry = io_uring_get_sqe(&ring);
    }
    if (entry == NULL)
        tcp_die("io_uring_get_sqe");
    /* What a prepare function sets does not include this. */
    entry->user_data = (uint64_t)(uintptr_t)subject | operation;
    return entry;
}

static void arm(struct side *side)
{
    struct io_uring_sqe *entry = next_entry(side, RECV);
    io_uring_prep_recv_multishot(entry, side->fd, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    side->pair->held++;
}

static void send_first(struct side *to)
{
    struct piece *piece = to->first;
    struct io_uring_sqe *entry = next_entry(to, SEND);
    io_uring_prep_send(entry, to->fd, buffers[piece - pieces], piece->bytes,
                       MSG_NOSIGNAL | MSG_WAITALL);
    to->pair->held++;
}

static void pair_settle(struct pair *pair);

static void give_back(struct piece *piece)
{
    int number = (int)(piece - pieces);
    io_uring_buf_ring_add(buffer_ring, buffers[number], BUFFER_BYTES, (unsigned short)number,
                          BUFFERS - 1, 0);
    io_uring_buf_ring_advance(buffer_ring, 1);
    struct side *side = hungry;
    if (side == NULL)
        return;
    hungry = side->next_hungry;
    side->pair->held--;
    if (!side->pair->closed)
        arm(side);
    pair_settle(side->pair);
}

/* Receives end by it, and sends too; the descriptors stay until the pair is freed. */
static void pair_close(struct pair *pair)
{
    if (pair->closed)
        return;
    pair->closed = true;
    shutdown(pair->downstream.fd, SHUT_RDWR);
    shutdown(pair->upstream.fd, SHUT_RDWR);
}

static void side_drop(struct side *side)
{
    while (side->first != NULL) {
        struct piece *piece = side->first;
        side->first = piece->next;
        give_back(piece);
    }
    close(side->fd);
}

static void pair_settle(struct pair *pair)
{
    if (!pair->closed || pair->held > 0)
        return;
    side_drop(&pair->downstream);
    side_drop(&pair->upstream);
    free(pair);
}

static void pair_open(int downstream, const struct sockaddr_in *to)
{
    int upstream = tcp_connect(to);
    if (upstream < 0) {
        close(downstream);
        return;
    }
    struct pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL)
        tcp_die("memory");
    pair->downstream = (struct side){.pair = pair, .other = &pair->upstream, .fd = downstream};
    pair->upstream = (struct side){.pair = pair, .other = &pair->downstream, .fd = upstream};
    arm(&pair->downstream);
    arm(&pair->upstream);
}

static void relay(struct side *to, struct piece *piece, unsigned bytes)
{
    *piece = (struct piece){.bytes = bytes};
    if (to->first != NULL) {
        to->last->next = piece;
        to->last = piece;
        return;
    }
    to->first = to->last = piece;
    send_first(to);
}

static void on_received(struct side *from, const struct io_uring_cqe *completion)
{
    struct pair *pair = from->pair;
    bool ended = (completion->flags & IORING_CQE_F_MORE) == 0;
    if (ended)
        pair->held--;
    if (completion->res == -ENOBUFS) {
        from->next_hungry = hungry;
        hungry = from;
        pair->held++; /* it may not go while it waits here */
        return;
    }
    if (completion->res <= 0) {
        pair_close(pair);
        return;
    }
    struct piece *piece = &pieces[completion->flags >> IORING_CQE_BUFFER_SHIFT];
    if (pair->closed) {
        give_back(piece);
        return;
    }
    relay(from->other, piece, (unsigned)completion->res);
    if (ended)
        arm(from);
}

static void on_sent(struct side *to, const struct io_uring_cqe *completion)
{
    struct piece *piece = to->first;
    to->pair->held--;
    to->first = piece->next;
    if (completion->res != (int)piece->bytes)
        pair_close(to->pair);
    else if (to->first != NULL && !to->pair->closed)
        send_first(to);
    give_back(piece);
}

static void accept_on(int listener)
{
    struct io_uring_sqe *entry = next_entry(NULL, ACCEPT);
    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
}

static void on_accepted(int listener, const struct io_uring_cqe *completion,
                        const struct sockaddr_in *to)
{
    if (completion->res >= 0)
        pair_open(completion->res, to);
    if ((completion->flags & IORING_CQE_F_MORE) == 0)
        accept_on(listener);
}

static void deliver(int listener, const struct io_uring_cqe *completion,
                    const struct sockaddr_in *to)
{
    struct side *side = (struct side *)(uintptr_t)(completion->user_data & ~(uint64_t)7);
    enum operation operation = (enum operation)(completion->user_data & 7);
    if (operation == ACCEPT) {
        on_accepted(listener, completion, to);
        return;
    }
    struct pair *pair = side->pair;
    if (operation == RECV)
        on_received(side, completion);
    else
        on_sent(side, completion);
    pair_settle(pair);
}

static void open_ring(void)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETIONS,
    };
    int result = io_uring_queue_init_params(SUBMISSIONS, &ring, &params);
    if (result < 0) {
        errno = -result;
        tcp_die("io_uring");
    }
    io_uring_register_ring_fd(&ring);
    buffer_ring = aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf));
    buffers = malloc(sizeof *buffers * BUFFERS);
    if (buffer_ring == NULL || buffers == NULL)
        tcp_die("memory");
    io_uring_buf_ring_init(buffer_ring);
    struct io_uring_buf_reg group = {.ring_addr = (uintptr_t)buffer_ring, .ring_entries = BUFFERS};
    if (io_uring_register_buf_ring(&ring, &group, 0) < 0)
        tcp_die("io_uring_register_buf_ring");
    for (int i = 0; i < BUFFERS; i++)
        give_back(&pieces[i]);
}

int main(int argc, char **argv)
{
    if (argc != 5 || strcmp(argv[1], "--listen") != 0 || strcmp(argv[3], "--to") != 0) {
        fprintf(stderr, "usage: %s --listen ADDRESS:PORT --to ADDRESS:PORT\n", argv[0]);
        return 2;
    }
    struct sockaddr_in listen_at = tcp_address(argv[2]);
    struct sockaddr_in to = tcp_address(argv[4]);
    int listener = tcp_listen(&listen_at);
    open_ring();
    accept_on(listener);
    for (;;) {
        int result = io_uring_submit_and_wait(&ring, 1);
        if (result < 0 && result != -EINTR)
            tcp_die("io_uring_submit_and_wait");
        while (io_uring_cq_ready(&ring) > 0) {
            struct io_uring_cqe completion = ring.cq.cqes[*ring.cq.khead & ring.cq.ring_mask];
            io_uring_cq_advance(&ring, 1);
            deliver(listener, &completion, &to);
        }
    }
}
