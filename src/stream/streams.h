/* SPDX-License-Identifier: MIT */
#ifndef STREAM_STREAMS_H
#define STREAM_STREAMS_H

/* What one worker's streams live in, whatever their kind. */

#include "stream/custom.h"
#include "stream/socket.h"
#include "stream/tls.h"

struct streams {
    struct socket_streams sockets;
    struct custom_streams custom;
    struct tls_streams tls;
};

void streams_init(struct streams *streams, struct loop *loop);
/* Every stream must be closed (checked). */
void streams_fini(struct streams *streams);

/* Makes what stream_detach() took from a worker a stream of this one; it is dropped on an error. */
enum weir_err streams_adopt(struct streams *streams, struct stream_parcel *parcel,
                            struct stream **ret_stream);
/* Ends it instead, on the worker that it was taken from. */
void streams_drop(struct loop *loop, struct stream_parcel *parcel);

#endif
