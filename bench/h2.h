/* SPDX-License-Identifier: MIT */
/* The origin's HTTP/2: one connection of a client that begins with the preface, without TLS. */
#ifndef WEIR_BENCH_H2_H
#define WEIR_BENCH_H2_H

#include <stdbool.h>
#include <stdint.h>

struct h2;

/* Answers over `fd`, which stays the caller's. Each request is told by `asked(whom)`. */
struct h2 *h2_new(int fd, void (*asked)(void *whom), void *whom);
void h2_free(struct h2 *h2);

/* Goes on after these events of epoll, edge-triggered. False: the connection is over. */
bool h2_ready(struct h2 *h2, uint32_t events);

#endif
