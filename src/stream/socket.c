/* SPDX-License-Identifier: MIT */
#include "stream/socket.h"

#include "base/check.h"
#include "io/sock.h"

struct socket_stream {
    struct stream stream;
    struct sock sock;
    struct socket_streams *streams;
    stream_watch_fn *watch;
    void *watch_owner;
};

static struct socket_stream *of(struct stream *stream)
{
    return container_of(stream, struct socket_stream, stream);
}

WEIR_SUSPENDS static enum weir_err socket_recv(struct stream *stream, struct weir_time deadline,
                                               struct iobuf **ret_buf)
{
    return sock_recv(&of(stream)->sock, deadline, ret_buf);
}

WEIR_SUSPENDS static enum weir_err socket_send(struct stream *stream,
                                               const struct weir_slice *slices, unsigned count,
                                               struct weir_time deadline, size_t *ret_sent)
{
    return sock_send(&of(stream)->sock, slices, count, deadline, ret_sent);
}

static enum stream_state socket_look(struct stream *stream, enum look look, struct iobuf **ret_buf)
{
    switch (sock_look(&of(stream)->sock, look, ret_buf)) {
    case IO_BYTES:
        return STREAM_BYTES;
    case IO_EOF:
        return STREAM_ENDED;
    case IO_NOTHING:
        return STREAM_QUIET;
    default:
        return STREAM_BROKEN;
    }
}

static bool socket_peer_ended(const struct stream *stream)
{
    return container_of(stream, const struct socket_stream, stream)->sock.ended;
}

static void on_watch(struct sock *sock, void *owner)
{
    struct socket_stream *self = owner;
    must(sock == &self->sock);
    self->watch(&self->stream, self->watch_owner);
}

static void socket_watch(struct stream *stream, stream_watch_fn *watch, void *owner)
{
    struct socket_stream *self = of(stream);
    self->watch = watch;
    self->watch_owner = owner;
    sock_watch(&self->sock, watch ? on_watch : NULL, self);
}

static size_t socket_send_now(struct stream *stream, struct weir_slice bytes)
{
    return sock_send_now(&of(stream)->sock, bytes);
}

WEIR_SUSPENDS static void socket_shut(struct stream *stream, struct weir_time deadline)
{
    (void)deadline;
    sock_shut(&of(stream)->sock);
}

WEIR_SUSPENDS static void socket_detach(struct stream **stream, struct stream_parcel *ret_parcel)
{
    struct socket_stream *self = of(*stream);
    sock_detach(&self->sock, &ret_parcel->socket);
    *stream = NULL;
    slab_free(&self->streams->slab, self);
}

static enum weir_err socket_peer(struct stream *stream, struct addr *ret_addr)
{
    return stream->loop->ops->peer(&of(stream)->sock, ret_addr);
}

static void socket_close(struct stream **stream, bool reset)
{
    struct socket_stream *self = of(*stream);
    *stream = NULL;
    sock_close(&self->sock, reset);
    slab_free(&self->streams->slab, self);
}

static const struct stream_ops socket_ops = {
    .name = "socket",
    .recv = socket_recv,
    .send = socket_send,
    .look = socket_look,
    .peer_ended = socket_peer_ended,
    .watch = socket_watch,
    .send_now = socket_send_now,
    .shut = socket_shut,
    .detach = socket_detach,
    .peer = socket_peer,
    .close = socket_close,
};

void socket_streams_init(struct socket_streams *streams, struct loop *loop)
{
    streams->loop = loop;
    slab_init(&streams->slab, "socket stream", sizeof(struct socket_stream));
}

void socket_streams_fini(struct socket_streams *streams)
{
    slab_fini(&streams->slab);
}

static struct socket_stream *socket_new(struct socket_streams *streams)
{
    struct socket_stream *self = slab_alloc(&streams->slab);
    if (self) {
        self->stream = (struct stream){.ops = &socket_ops, .loop = streams->loop};
        self->streams = streams;
    }
    return self;
}

enum weir_err socket_stream_dial(struct socket_streams *streams, const struct addr *addr,
                                 const struct dial_options *options, struct weir_time deadline,
                                 struct stream **ret_stream)
{
    struct socket_stream *self = socket_new(streams);
    if (!self)
        return WEIR_E_NO_MEMORY;
    enum weir_err err = sock_dial(streams->loop, &self->sock, addr, options, deadline);
    if (err)
        slab_free(&streams->slab, self);
    else
        *ret_stream = &self->stream;
    return err;
}

enum weir_err socket_stream_attach(struct socket_streams *streams, int descriptor,
                                   struct stream **ret_stream)
{
    struct socket_stream *self = socket_new(streams);
    if (!self) {
        streams->loop->ops->close_descriptor(streams->loop->backend, descriptor);
        return WEIR_E_NO_MEMORY;
    }
    enum weir_err err = sock_attach(streams->loop, &self->sock, descriptor);
    if (err)
        slab_free(&streams->slab, self);
    else
        *ret_stream = &self->stream;
    return err;
}

enum weir_err socket_stream_adopt(struct socket_streams *streams, struct detached *what,
                                  struct stream **ret_stream)
{
    struct socket_stream *self = socket_new(streams);
    if (!self) {
        sock_drop(streams->loop, what);
        return WEIR_E_NO_MEMORY;
    }
    enum weir_err err = sock_adopt(streams->loop, &self->sock, what);
    if (err)
        slab_free(&streams->slab, self);
    else
        *ret_stream = &self->stream;
    return err;
}
