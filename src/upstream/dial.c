/* SPDX-License-Identifier: MIT */
#include "upstream/dial.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "stream/tls_alpn.h"
#include "upstream/tunnel.h"

struct dial {
    struct loop *loop;
    struct streams *streams;
    const struct peer *peer;
    enum alpn alpn;
    struct weir_time began, deadline;
    struct dial_story *story;
    struct stream *stream;
};

/* Where the socket goes: not to the server where a proxy is on the way. */
static const struct addr *first_hop(const struct peer *peer)
{
    return peer->options.proxy ? &peer->options.proxy->addr : &peer->options.addr;
}

static enum weir_err check_address(const struct dial *self)
{
    const struct addr *meant = first_hop(self->peer);
    struct addr real;
    /* A server's Unix socket tells the path it was bound to, which may be relative: no check. */
    if (addr_is_local(meant))
        return WEIR_OK;
    TRY(stream_peer(self->stream, &real));
    return addr_equal(&real, meant) ? WEIR_OK : WEIR_E_IO;
}

WEIR_SUSPENDS static enum weir_err connect_socket(struct dial *self, const struct addr *source,
                                                  struct weir_time limit)
{
    const struct peer_options *options = &self->peer->options;
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
    TRY(socket_stream_dial(&self->streams->sockets, first_hop(self->peer), &how, limit,
                           &self->stream));
    return check_address(self);
}

WEIR_SUSPENDS static enum weir_err connect_first_hop(struct dial *self, const struct addr *source)
{
    const struct peer_options *options = &self->peer->options;
    struct weir_time limit = loop_deadline(self->loop, options->limits.connection_timeout);
    if (custom_is_any(&options->transport))
        return custom_stream_open(&self->streams->custom, &options->transport,
                                  options->transport_address, limit, &self->stream);
    return connect_socket(self, source, limit);
}

WEIR_SUSPENDS static enum weir_err send_preface(struct dial *self)
{
    const struct peer_options *options = &self->peer->options;
    char bytes[PREFACE_BYTES_MAX];
    size_t len = preface_write(options->preface, &options->preface_source,
                               &options->preface_destination, bytes);
    struct weir_slice slice = slice_of(bytes, len);
    return stream_send(self->stream, &slice, 1, self->deadline, NULL);
}

static void warn(const struct peer *peer, const char *what, const char *why)
{
    LOG_LIMITED(LOG_WARN, "upstream %s: %s: %s: %s", peer->options.upstream, peer->address_text,
                what, why);
}

WEIR_SUSPENDS static enum weir_err start_tls(struct dial *self, struct tls_sessions *sessions)
{
    const struct peer *peer = self->peer;
    char why[TLS_WHY_SIZE];
    struct iobuf *nothing = NULL;
    struct weir_time began = loop_now(self->loop);
    struct ssl_st *ssl = tls_client_ssl(peer->options.tls, peer_tls_name(peer), sessions);
    if (ssl)
        tls_alpn_offer(ssl, self->alpn);
    self->story->has_tls = true;
    enum weir_err err = tls_open(&self->streams->tls, ssl, &self->stream, &nothing, self->deadline,
                                 why, &self->stream);
    self->story->tls = weir_time_between(began, loop_now(self->loop));
    if (err && *why)
        warn(peer, "TLS", why);
    /* It may have been the session, which would make every dial fail until it is old. */
    if (sessions && (err == WEIR_E_TLS_PROTOCOL || err == WEIR_E_TLS_ALERT))
        tls_sessions_clear(sessions);
    return err;
}

/* By the server's choice, or, where nothing is agreed upon, by prior knowledge. */
static enum weir_err choose_protocol(struct dial *self)
{
    const struct peer *peer = self->peer;
    bool wants_http2 = peer->options.protocol == PEER_HTTP2;
    if (peer->options.transport.sessions) {
        self->story->protocol = HTTP_CUSTOM;
        return WEIR_OK;
    }
    bool is_http2 = peer->options.tls ? tls_facts_of(self->stream).is_http2 : wants_http2;
    self->story->protocol = is_http2 ? HTTP_2 : HTTP_1;
    if (!wants_http2 || is_http2)
        return WEIR_OK;
    warn(peer, "TLS", weir_err_text(WEIR_E_NO_HTTP2));
    return WEIR_E_NO_HTTP2;
}

WEIR_SUSPENDS static enum weir_err make_stream(struct dial *self, const struct addr *source,
                                               struct tls_sessions *sessions)
{
    const struct peer_options *options = &self->peer->options;
    char why[TUNNEL_WHY_SIZE];
    TRY(connect_first_hop(self, source));
    self->story->connected = true;
    if (options->proxy) {
        enum weir_err err = tunnel_open(self->stream, options->proxy, self->peer->address_text,
                                        self->deadline, why);
        if (err == WEIR_E_PROXY_REFUSED)
            warn(self->peer, "HTTP proxy", why);
        TRY(err);
    }
    if (options->preface != PREFACE_NONE)
        TRY(send_preface(self));
    self->story->connect = weir_time_between(self->began, loop_now(self->loop));
    if (options->tls)
        TRY(start_tls(self, sessions));
    return choose_protocol(self);
}

static enum alpn alpn_of(const struct peer *peer, bool only_http1)
{
    if (peer->options.protocol == PEER_HTTP2)
        return ALPN_HTTP_2;
    return peer->options.protocol == PEER_AUTO && !only_http1 ? ALPN_BOTH : ALPN_HTTP_1;
}

enum weir_err dial(struct streams *streams, const struct peer *peer, const struct addr *source,
                   bool only_http1, struct tls_sessions *sessions, struct dial_story *ret_story,
                   struct stream **ret_stream)
{
    struct loop *loop = streams->tls.turns.loop;
    struct dial self = {
        .loop = loop,
        .streams = streams,
        .peer = peer,
        .alpn = alpn_of(peer, only_http1),
        .began = loop_now(loop),
        .deadline = loop_deadline(loop, peer->options.limits.total_connection_timeout),
        .story = ret_story,
    };
    *ret_story = (struct dial_story){.has_tls = false};
    enum weir_err err = make_stream(&self, source, sessions);
    if (err)
        stream_close(&self.stream, true);
    else
        *ret_stream = self.stream;
    return err == WEIR_E_TIMEOUT ? WEIR_E_CONNECT_TIMEOUT : err;
}
