/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1 /* accept4 */
#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

void tcp_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

struct sockaddr_in tcp_address(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN] = "";
    const char *colon = strchr(text, ':');
    if (colon != NULL && (size_t)(colon - text) < sizeof host) {
        memcpy(host, text, (size_t)(colon - text));
        char *end = NULL;
        unsigned long port = strtoul(colon + 1, &end, 10);
        if (inet_pton(AF_INET, host, &address.sin_addr) == 1 && end != colon + 1 && *end == '\0' &&
            port > 0 && port <= UINT16_MAX) {
            address.sin_port = htons((uint16_t)port);
            return address;
        }
    }
    fprintf(stderr, "not an address like 127.0.0.1:8080: '%s'\n", text);
    exit(2);
}

static int new_socket(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Without this, the second part of an exchange may wait for the peer's delayed acknowledgement. */
static void send_at_once(int fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        tcp_die("TCP_NODELAY");
}

int tcp_listen(const struct sockaddr_in *address)
{
    int on = 1;
    int fd = new_socket();
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 || listen(fd, BACKLOG) < 0)
        tcp_die("listen");
    return fd;
}

int tcp_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            tcp_die("accept");
        return -1;
    }
    send_at_once(fd);
    return fd;
}

int tcp_connect(const struct sockaddr_in *address)
{
    int fd = new_socket();
    if (fd < 0)
        tcp_die("socket");
    send_at_once(fd);
    int status = connect(fd, (const struct sockaddr *)address, sizeof *address);
    if (status < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

int tcp_epoll(int listener)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        tcp_die("epoll");
    tcp_watch_listener(epoll, listener);
    return epoll;
}

void tcp_watch_listener(int epoll, int listener)
{
    /* Level-triggered: what one look leaves behind, the next finds. */
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        tcp_die("epoll_ctl");
}

void tcp_watch(int epoll, int fd, void *subject)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = subject,
    };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        tcp_die("epoll_ctl");
}
