/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_LOOP_H
#define CLIENT_LOOP_H

/* A loop with what everything above it needs, as a program sees it (weir/loop.h). */

#include "base/slab.h"
#include "co/scope.h"
#include "io/loop_fd.h"
#include "stream/streams.h"
#include "upstream/pool.h"
#include <weir/loop.h>

struct weir_loop {
    struct loop loop;
    struct streams streams;
    struct pool_family family;
    struct scope spawned; /* the coroutines of weir_spawn() */
    struct slab scopes;   /* of weir_scope_open() */
    struct loop_fd fd;    /* of weir_loop_fd() */
};

/* What stands for the kernel. Errors as backend_choose(). */
enum weir_err client_loop_choose(enum weir_io io, const struct backend_ops **ret_ops);

/* In memory of the caller's, for a worker. Errors as loop_init(). */
enum weir_err client_loop_init(struct weir_loop *loop, const struct loop_options *options);
/* Everything must be gone (checked). */
void client_loop_fini(struct weir_loop *loop);

#endif
