/* SPDX-License-Identifier: MIT */
#include "upstream/dial.h"

#include "base/check.h"

static enum weir_err check_address(struct stream *stream, const struct peer *peer)
{
    struct addr real;
    /* A server's Unix socket tells the path it was bound to, which may be relative: no check. */
    if (addr_is_local(&peer->options.addr))
        return WEIR_OK;
    TRY(stream_peer(stream, &real));
    return addr_equal(&real, &peer->options.addr) ? WEIR_OK : WEIR_E_IO;
}

enum weir_err dial(struct socket_streams *streams, const struct peer *peer,
                   const struct addr *source, struct weir_time deadline, struct stream **ret_stream)
{
    const struct peer_options *options = &peer->options;
    struct weir_time limit = loop_deadline(streams->loop, options->limits.connection_timeout);
    struct dial_options how = {
        .source = *source,
        .keepalive_idle = options->tcp.keepalive_idle,
        .keepalive_interval = options->tcp.keepalive_interval,
        .keepalive_count = options->tcp.keepalive_count,
        .user_timeout = options->tcp.user_timeout,
        .dscp = options->tcp.dscp,
        .receive_buffer = options->tcp.receive_buffer,
        .fast_open = options->tcp.fast_open,
    };
    struct stream *stream = NULL;
    enum weir_err err =
        socket_stream_dial(streams, &options->addr, &how, weir_time_min(limit, deadline), &stream);
    if (err)
        return err == WEIR_E_TIMEOUT ? WEIR_E_CONNECT_TIMEOUT : err;
    err = check_address(stream, peer);
    if (err)
        stream_close(&stream, true);
    else
        *ret_stream = stream;
    return err;
}
