/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_ALPN_H
#define STREAM_TLS_ALPN_H

/*
 * What is spoken inside TLS is agreed upon in its handshake (ALPN, RFC 7301): a client offers, and
 * the server chooses, HTTP/2 before HTTP/1.1.
 */

#include <stdbool.h>

struct ssl_st;
struct ssl_ctx_st;

/* What a connection may speak: its client offers it, its server chooses among it. */
enum alpn { ALPN_HTTP_1 = 1, ALPN_HTTP_2 = 2, ALPN_BOTH = 3 };

/* Once for each context of a server. */
void tls_alpn_serve(struct ssl_ctx_st *context);

/* For one connection, before its handshake; a server that was not told speaks HTTP/1.1. */
void tls_alpn_allow(struct ssl_st *ssl, enum alpn alpn);
void tls_alpn_offer(struct ssl_st *ssl, enum alpn alpn);

/* Whether HTTP/2 was agreed upon. */
bool tls_alpn_is_http2(const struct ssl_st *ssl);

#endif
