/* SPDX-License-Identifier: MIT */
#include "stream/streams.h"

#include "io/sock.h"

void streams_init(struct streams *streams, struct loop *loop)
{
    socket_streams_init(&streams->sockets, loop);
    custom_streams_init(&streams->custom, loop);
    tls_streams_init(&streams->tls, loop);
}

void streams_fini(struct streams *streams)
{
    tls_streams_fini(&streams->tls);
    custom_streams_fini(&streams->custom);
    socket_streams_fini(&streams->sockets);
}

enum weir_err streams_adopt(struct streams *streams, struct stream_parcel *parcel,
                            struct stream **ret_stream)
{
    struct stream *stream = NULL;
    enum weir_err err = WEIR_OK;
    if (parcel->custom)
        custom_stream_adopt(&streams->custom, parcel, &stream);
    else
        err = socket_stream_adopt(&streams->sockets, &parcel->socket, &stream);
    if (err)
        tls_drop(parcel);
    else if (parcel->tls)
        err = tls_adopt(&streams->tls, parcel, &stream);
    if (!err)
        *ret_stream = stream;
    return err;
}

void streams_drop(struct loop *loop, struct stream_parcel *parcel)
{
    tls_drop(parcel);
    if (parcel->custom)
        custom_stream_drop(loop, parcel);
    else
        sock_drop(loop, &parcel->socket);
}
