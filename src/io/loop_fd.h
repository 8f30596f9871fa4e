/* SPDX-License-Identifier: MIT */
#ifndef IO_LOOP_FD_H
#define IO_LOOP_FD_H

/*
 * A loop as a descriptor, for a program that waits with a loop of its own: readable whenever
 * loop_step() has something to do. It contains what the backend waits for, and a timer that stands
 * for those of the loop.
 */

#include "io/loop.h"

struct loop_fd {
    int descriptor; /* -1: not open */
    int timer;
};

/* Readable at first. WEIR_E_NO_DESCRIPTORS, _NO_MEMORY. */
enum weir_err loop_fd_open(struct loop_fd *fd, struct loop *loop);
/* Harmless when it is not open. */
void loop_fd_close(struct loop_fd *fd);
/* After each step, with what it returned. */
void loop_fd_arm(struct loop_fd *fd, struct loop *loop, bool more);

#endif
