/* SPDX-License-Identifier: MIT */
/* What the benchmark's own ends of a TLS connection speak: TLS 1.3 with TLS_AES_128_GCM_SHA256 and
   X25519, and nothing else. So whoever stands between them speaks the same, whatever it prefers.
   What cannot go on ends the program with a message. */
#ifndef WEIR_BENCH_TLS_H
#define WEIR_BENCH_TLS_H

#include <openssl/ssl.h>

/* Prints `what` and OpenSSL's text, ends the program with status 1. */
_Noreturn void tls_die(const char *what);

/* For the accepting end, with session tickets: `cert` and `key` are PEM files. */
SSL_CTX *tls_server(const char *cert, const char *key);

/* For the connecting end. It believes any certificate: the time of the one who accepts is measured.
 */
SSL_CTX *tls_client(void);

#endif
