/* SPDX-License-Identifier: MIT */
#ifndef STREAM_CUSTOM_H
#define STREAM_CUSTOM_H

/*
 * Connections of transports that a program has brought (weir/transport.h), as streams. Over a byte
 * transport it is one like any other. Of a session transport it can be looked at, watched and
 * closed: what the pool does with a connection at rest; nobody sends or receives on it.
 *
 * At rest there is no buffer and no coroutine: a poller on the connection's descriptor, or, where
 * it has none, what weir_wire_ready() says.
 */

#include "stream/stream.h"
#include <weir/transport.h>

/* How a peer is reached in place of a socket: by one of these, or by none. It stays. */
struct custom_transport {
    const struct weir_byte_transport *bytes;
    const struct weir_session_transport *sessions;
};

/* How many of them one worker has. */
struct custom_streams {
    struct loop *loop;
    unsigned count;
};

static inline bool custom_is_any(const struct custom_transport *transport)
{
    return transport->bytes || transport->sessions;
}

static inline const char *custom_name(const struct custom_transport *transport)
{
    return transport->bytes ? transport->bytes->name : transport->sessions->name;
}

void custom_streams_init(struct custom_streams *streams, struct loop *loop);
/* Every stream must be closed (checked). */
void custom_streams_fini(struct custom_streams *streams);

/*
 * Opens a connection to what stands behind "NAME:". A transport that takes no notice of the
 * deadline is canceled then. WEIR_E_TIMEOUT, _CANCELED, _NO_MEMORY, and what the transport says.
 */
WEIR_SUSPENDS enum weir_err custom_stream_open(struct custom_streams *streams,
                                               const struct custom_transport *transport,
                                               const char *address, struct weir_time deadline,
                                               struct stream **ret_stream);

/* What the session transport has made of this stream. */
void *custom_stream_conn(struct stream *stream);

/* Makes what stream_detach() took from a worker a stream of this one. Takes parcel->custom. */
void custom_stream_adopt(struct custom_streams *streams, struct stream_parcel *parcel,
                         struct stream **ret_stream);
/* Ends it instead. */
void custom_stream_drop(struct loop *loop, struct stream_parcel *parcel);

#endif
