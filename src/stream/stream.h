/* SPDX-License-Identifier: MIT */
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

/*
 * Bytes in order, both ways: what a connection runs over. TCP and Unix sockets (socket.c), two ends
 * in memory (pair.c), TLS over another stream (tls.c), what a program brings (custom.c).
 *
 * One coroutine receives and one sends at a time. A stream is made by its kind and ended with
 * stream_close(), which nulls the owner's pointer.
 */

#include "io/loop.h"
#include <weir/suspends.h>

struct stream;
struct ssl_st;
struct weir_wire;

typedef void stream_watch_fn(struct stream *stream, void *owner);

enum stream_state {
    STREAM_QUIET,  /* nothing to read: healthy */
    STREAM_BYTES,  /* bytes lie there */
    STREAM_ENDED,  /* the peer has sent its end */
    STREAM_BROKEN, /* reset, or an error */
};

/*
 * A stream on its way from one worker to another, between stream_detach() and streams_adopt(): the
 * socket, or what a transport has in its place, and the TLS that runs over it. What came meanwhile
 * stands in `socket` either way.
 */
struct stream_parcel {
    struct detached socket;
    struct weir_wire *custom; /* NULL: it is a socket */
    struct ssl_st *tls;       /* NULL: none */
};

struct stream_ops {
    const char *name;
    WEIR_SUSPENDS enum weir_err (*recv)(struct stream *stream, struct weir_time deadline,
                                        struct iobuf **ret_buf);
    WEIR_SUSPENDS enum weir_err (*send)(struct stream *stream, const struct weir_slice *slices,
                                        unsigned count, struct weir_time deadline,
                                        size_t *ret_sent);
    enum stream_state (*look)(struct stream *stream, enum look look, struct iobuf **ret_buf);
    bool (*peer_ended)(const struct stream *stream);
    void (*watch)(struct stream *stream, stream_watch_fn *watch, void *owner);
    size_t (*send_now)(struct stream *stream, struct weir_slice bytes);
    WEIR_SUSPENDS void (*shut)(struct stream *stream, struct weir_time deadline);
    WEIR_SUSPENDS void (*detach)(struct stream **stream, struct stream_parcel *ret_parcel);
    enum weir_err (*peer)(struct stream *stream, struct addr *ret_addr);
    void (*close)(struct stream **stream, bool reset);
};

struct stream {
    const struct stream_ops *ops;
    struct loop *loop;
    struct stream *over; /* the stream that it runs over; NULL: none */
};

/*
 * Waits for bytes: *ret_buf holds at least one and is the caller's, to be given back with
 * iobuf_give(&stream->loop->bufs, ...). WEIR_E_EOF, _RESET, _TIMEOUT, _CANCELED, _NO_MEMORY.
 */
WEIR_SUSPENDS static inline enum weir_err
stream_recv(struct stream *stream, struct weir_time deadline, struct iobuf **ret_buf)
{
    return stream->ops->recv(stream, deadline, ret_buf);
}

/*
 * Sends all of the slices, whose memory must stay until it returns; at most SEND_SLICES_MAX of
 * them. *ret_sent (may be NULL) is how many bytes were taken, also on an error. WEIR_E_RESET,
 * _TIMEOUT, _CANCELED.
 */
WEIR_SUSPENDS static inline enum weir_err stream_send(struct stream *stream,
                                                      const struct weir_slice *slices,
                                                      unsigned count, struct weir_time deadline,
                                                      size_t *ret_sent)
{
    return stream->ops->send(stream, slices, count, deadline, ret_sent);
}

/*
 * What is there to read now, without waiting. *ret_buf (the caller's to give back) is set for
 * STREAM_BYTES only; it may be empty, when bytes have come that cannot be shown yet.
 */
static inline enum stream_state stream_look(struct stream *stream, enum look look,
                                            struct iobuf **ret_buf)
{
    return stream->ops->look(stream, look, ret_buf);
}

/* Whether the peer's end has been announced, whether or not all before it has been read. No call.
 */
static inline bool stream_peer_ended(const struct stream *stream)
{
    return stream->ops->peer_ended(stream);
}

/*
 * Calls `watch` in the loop when something comes while nobody receives; NULL stops that. It may be
 * called without cause, and not for what had come before: look first. It must not suspend; it may
 * close the stream.
 */
static inline void stream_watch(struct stream *stream, stream_watch_fn *watch, void *owner)
{
    stream->ops->watch(stream, watch, owner);
}

/*
 * Sends what goes at once, without waiting: for a few last words, such as TLS has them. How many
 * bytes went: none while somebody sends.
 */
static inline size_t stream_send_now(struct stream *stream, struct weir_slice bytes)
{
    return stream->ops->send_now(stream, bytes);
}

/*
 * Says that nothing more will be sent, after all that was: until `deadline` it waits for room to
 * say it.
 */
WEIR_SUSPENDS static inline void stream_shut(struct stream *stream, struct weir_time deadline)
{
    stream->ops->shut(stream, deadline);
}

/*
 * Takes the connection from this worker, to be adopted by another, and nulls the pointer. Nobody
 * may be in a call on it. What came meanwhile, as this stream's reader would have seen it, is told
 * in ret_parcel->socket. Only for a kind that can move.
 */
WEIR_SUSPENDS static inline void stream_detach(struct stream **stream,
                                               struct stream_parcel *ret_parcel)
{
    (*stream)->ops->detach(stream, ret_parcel);
}

static inline bool stream_can_move(const struct stream *stream)
{
    for (; stream; stream = stream->over)
        if (!stream->ops->detach)
            return false;
    return true;
}

/* The address of the other end; WEIR_E_ADDRESS where the kind has none. */
static inline enum weir_err stream_peer(struct stream *stream, struct addr *ret_addr)
{
    return stream->ops->peer(stream, ret_addr);
}

/* Ends it, with a reset where the peer must not take it for an orderly end. NULL is fine. */
static inline void stream_close(struct stream **stream, bool reset)
{
    if (*stream)
        (*stream)->ops->close(stream, reset);
}

#endif
