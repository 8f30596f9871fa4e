/* SPDX-License-Identifier: MIT */
#ifndef IO_CHOOSE_H
#define IO_CHOOSE_H

/* Which backend stands for the kernel, and why. */

#include "io/backend.h"
#include "io/uring_probe.h"

enum io_choice { IO_AUTO, IO_URING, IO_EPOLL };

enum { BACKEND_TEXT_SIZE = 600 };

/*
 * `ret_text` gets what to tell the user, on errors too. Who wants epoll gets it, and the kernel is
 * not asked about io_uring at all: there are filters that kill who asks. Who wants io_uring and
 * cannot have it gets the error of uring_probe().
 */
enum weir_err backend_choose(enum io_choice choice, char ret_text[static BACKEND_TEXT_SIZE],
                             const struct backend_ops **ret_ops);

/* The same, once it is known what the kernel can do; `probe` is looked at only where it matters. */
enum weir_err backend_choose_by(enum io_choice choice, const struct uring_probe *probe,
                                char ret_text[static BACKEND_TEXT_SIZE],
                                const struct backend_ops **ret_ops);

#endif
