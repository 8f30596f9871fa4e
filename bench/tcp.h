/* SPDX-License-Identifier: MIT */
/* The few socket steps that the benchmark's own programs share. What cannot go on ends the program
   with a message: there is nobody above to tell. */
#ifndef WEIR_BENCH_TCP_H
#define WEIR_BENCH_TCP_H

#include <netinet/in.h>

/* Prints `what` and errno's text, ends the program with status 1. */
_Noreturn void tcp_die(const char *what);

/* The address that `text` ("127.0.0.1:8080") says. Ends the program with status 2 if none. */
struct sockaddr_in tcp_address(const char *text);

/* A listening, non-blocking socket. Ends the program with status 1 if the address cannot be had. */
int tcp_listen(const struct sockaddr_in *address);

/* The next accepted connection, non-blocking, with TCP_NODELAY; -1 when none is waiting. The caller
   closes it. */
int tcp_accept(int listener);

/* A non-blocking connection under way (or made), with TCP_NODELAY; -1 if it failed at once. The
   caller closes it. */
int tcp_connect(const struct sockaddr_in *address);

/* An epoll instance that watches `listener` for connections; its events carry a null pointer. */
int tcp_epoll(int listener);

/* Watches one more listener; its events carry a null pointer too. */
void tcp_watch_listener(int epoll, int listener);

/* Watches `fd` in both directions, edge-triggered, for as long as it is open; its events carry
   `subject`. */
void tcp_watch(int epoll, int fd, void *subject);

#endif
