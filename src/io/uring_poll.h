/* SPDX-License-Identifier: MIT */
#ifndef IO_URING_POLL_H
#define IO_URING_POLL_H

/* Pollers over io_uring. */

#include "io/poller.h"
#include "io/uring_end.h"

enum weir_err uring_follow(struct backend *backend, struct poller *poller);
/* The kernel has given the poll of an end back. */
void uring_polled(struct uring_end *end, const struct io_uring_cqe *completion);

#endif
