/* SPDX-License-Identifier: MIT */
/* The floor: a relay with no HTTP in it. What an HTTP proxy costs above this is what its own code
   costs; nobody who leaves TCP to the kernel and waits with epoll can cost less.

   A pair is a downstream connection and the upstream connection that was opened for it, once, on
   accept. Whatever arrives on one side goes to the other with one receive and one send. Each
   descriptor is registered once, edge-triggered.

   Invariant: while a side has unsent bytes, its other side is not read. So at most one buffer waits
   in each direction, and an end of stream is seen only when everything before it was sent. Either
   side's end or error ends both.

   Usage: floor_epoll --listen 127.0.0.1:8080 --to 127.0.0.1:9001 */
#include "tcp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A 16 KiB response is one receive; one that does not fill the buffer has drained the socket. */
enum { BUFFER_BYTES = 64 * 1024, EVENTS_A_WAIT = 256 };

struct side {
    struct pair *pair;
    struct side *other;
    int fd;
    bool ended;   /* the kernel has reported an end or an error: read on until it shows */
    bool waiting; /* has bytes to read, but the other side cannot take them yet */
    char *unsent; /* what this side's socket had no room for; ours, NULL when there is none */
    size_t unsent_bytes;
    size_t unsent_from;
};

struct pair {
    struct side downstream;
    struct side upstream;
    bool closed;
    struct pair *next_closed;
};

static char buffer[BUFFER_BYTES];

/* Closed pairs live until the batch of events in hand is done, since it may name them again. */
static struct pair *closed_pairs;

static void pair_close(struct pair *pair)
{
    if (pair->closed)
        return;
    pair->closed = true;
    close(pair->downstream.fd);
    close(pair->upstream.fd);
    free(pair->downstream.unsent);
    free(pair->upstream.unsent);
    pair->next_closed = closed_pairs;
    closed_pairs = pair;
}

static void free_closed_pairs(void)
{
    while (closed_pairs != NULL) {
        struct pair *pair = closed_pairs;
        closed_pairs = pair->next_closed;
        free(pair);
    }
}

static void pair_open(int epoll, int downstream, const struct sockaddr_in *to)
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
    tcp_watch(epoll, downstream, &pair->downstream);
    tcp_watch(epoll, upstream, &pair->upstream);
}

/* Sends what there is room for. False: the connection is gone. */
static bool send_some(int fd, const char *bytes, size_t count, size_t *ret_sent)
{
    ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return false;
    *ret_sent = sent < 0 ? 0 : (size_t)sent;
    return true;
}

/* Takes a copy of what `to` had no room for. */
static void keep_unsent(struct side *to, const char *bytes, size_t count)
{
    to->unsent = malloc(count);
    if (to->unsent == NULL)
        tcp_die("memory");
    memcpy(to->unsent, bytes, count);
    to->unsent_bytes = count;
    to->unsent_from = 0;
}

/* Moves what has arrived at `from` to its other side. */
static void relay(struct side *from)
{
    struct side *to = from->other;
    for (;;) {
        from->waiting = to->unsent != NULL;
        if (from->waiting)
            return;
        ssize_t received = recv(from->fd, buffer, sizeof buffer, 0);
        if (received < 0 && errno == EAGAIN)
            return;
        if (received < 0 && errno == EINTR)
            continue;
        size_t sent = 0;
        if (received <= 0 || !send_some(to->fd, buffer, (size_t)received, &sent)) {
            pair_close(from->pair);
            return;
        }
        if (sent < (size_t)received)
            keep_unsent(to, buffer + sent, (size_t)received - sent);
        /* A short receive drained the socket: the next arrival is a new edge. */
        else if ((size_t)received < sizeof buffer && !from->ended)
            return;
    }
}

/* `to` has room again: sends what had to wait, then lets its other side go on. */
static void send_unsent(struct side *to)
{
    size_t left = to->unsent_bytes - to->unsent_from;
    size_t sent = 0;
    if (!send_some(to->fd, to->unsent + to->unsent_from, left, &sent)) {
        pair_close(to->pair);
        return;
    }
    to->unsent_from += sent;
    if (sent < left)
        return;
    free(to->unsent);
    to->unsent = NULL;
    if (to->other->waiting)
        relay(to->other);
}

static void side_ready(struct side *side, uint32_t events)
{
    if (side->pair->closed)
        return;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        side->ended = true;
    if ((events & EPOLLOUT) != 0 && side->unsent != NULL)
        send_unsent(side);
    if ((events & EPOLLIN) != 0 || side->ended) {
        if (!side->pair->closed)
            relay(side);
    }
}

static void accept_all(int epoll, int listener, const struct sockaddr_in *to)
{
    for (int fd = tcp_accept(listener); fd >= 0; fd = tcp_accept(listener))
        pair_open(epoll, fd, to);
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
    int epoll = tcp_epoll(listener);
    static struct epoll_event events[EVENTS_A_WAIT];
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_A_WAIT, -1);
        if (count < 0 && errno != EINTR)
            tcp_die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(epoll, listener, &to);
            else
                side_ready(events[i].data.ptr, events[i].events);
        }
        free_closed_pairs();
    }
}
