/* SPDX-License-Identifier: MIT */
#ifndef STREAM_SOCKET_H
#define STREAM_SOCKET_H

/* TCP and Unix-domain streams. */

#include "base/slab.h"
#include "stream/stream.h"

/* The memory of one worker's socket streams. */
struct socket_streams {
    struct loop *loop;
    struct slab slab;
};

void socket_streams_init(struct socket_streams *streams, struct loop *loop);
/* Every stream must be closed (checked). */
void socket_streams_fini(struct socket_streams *streams);

/* Connects. Errors as sock_dial(). */
WEIR_SUSPENDS enum weir_err socket_stream_dial(struct socket_streams *streams,
                                               const struct addr *addr,
                                               const struct dial_options *options,
                                               struct weir_time deadline,
                                               struct stream **ret_stream);

/* Makes an accepted descriptor a stream of this worker; the descriptor is closed on an error. */
enum weir_err socket_stream_attach(struct socket_streams *streams, int descriptor,
                                   struct stream **ret_stream);

/* Makes a detached connection a stream of this worker; it is dropped on an error. */
enum weir_err socket_stream_adopt(struct socket_streams *streams, struct detached *what,
                                  struct stream **ret_stream);

#endif
