/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_H
#define STREAM_TLS_H

/*
 * TLS over another stream, as a stream. OpenSSL does the protocol, in memory: it reads from the
 * buffers that the stream below lent and writes into buffers that go down from here, and nothing
 * suspends inside it.
 *
 *   recv:  below -> in -> OpenSSL -> a buffer of plain bytes, which is lent on
 *   send:  slices -> OpenSSL -> out -> below
 *
 * What is to be said without being asked (an alert, close_notify, the answer to a KeyUpdate) goes
 * at once as far as it can, or before the next bytes that are sent.
 *
 * An end is one only after close_notify (RFC 8446 section 6.1): without it recv() answers with
 * WEIR_E_RESET, since what came may have been cut short by anybody. To who only looks, at an idle
 * connection, an end is an end. Tickets and key updates are consumed here and are no bytes to
 * anyone. While it is watched, and nothing is read from it, a stream holds no buffer.
 *
 * The SSL objects come from tls_client.h and tls_server.h.
 */

#include "base/slab.h"
#include "stream/stream.h"
#include "stream/tls_turns.h"

struct x509_st;

/* The memory of one worker's TLS streams. */
struct tls_streams {
    struct slab slab;
    struct tls_turns turns;
};

enum { TLS_WHY_SIZE = 200 };

/* What a handshake came to. */
struct tls_facts {
    const char *version; /* "TLSv1.3"; NULL: there is no TLS */
    bool resumed;
    bool is_http2; /* agreed upon in the handshake (tls_alpn.h) */
    const struct x509_st *certificate; /* the other side's, where it has shown one; the stream's */
    const char *server_name; /* SNI, as a client sent it; NULL: none. Lives as long as the stream */
};

void tls_streams_init(struct tls_streams *streams, struct loop *loop);
/* Every stream must be closed (checked). */
void tls_streams_fini(struct tls_streams *streams);

/*
 * Shakes hands over *below, which is the new stream's from now on, and so is `ssl`. Bytes that have
 * been received from below already are in *first (NULL: none). On an error both are closed, *first
 * is given back, and the reason is written to `ret_why`. WEIR_E_TLS_CERTIFICATE, _TLS_PROTOCOL,
 * _TLS_ALERT, _TIMEOUT, _CANCELED, _NO_MEMORY.
 */
WEIR_SUSPENDS enum weir_err tls_open(struct tls_streams *streams, struct ssl_st *ssl,
                                     struct stream **below, struct iobuf **first,
                                     struct weir_time deadline, char ret_why[static TLS_WHY_SIZE],
                                     struct stream **ret_stream);

/* What stream_detach() took from another worker, over what is a stream of this one already. */
enum weir_err tls_adopt(struct tls_streams *streams, struct stream_parcel *parcel,
                        struct stream **stream);
/* Ends the TLS part of a parcel. */
void tls_drop(struct stream_parcel *parcel);

/* Of any stream. */
struct tls_facts tls_facts_of(const struct stream *stream);

#endif
