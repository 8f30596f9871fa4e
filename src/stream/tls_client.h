/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_CLIENT_H
#define STREAM_TLS_CLIENT_H

/*
 * How weir speaks TLS as a client: whom it trusts, who it is, what it checks. Made once from
 * options, immutable, shared by all workers.
 */

#include "stream/tls_policy.h"
#include "stream/tls_sessions.h"

struct tls_client_options {
    struct tls_policy policy;
    bool verify_cert;                 /* a chain up to somebody who is trusted */
    bool verify_hostname;             /* the certificate's name */
    const char *alternative_cn;       /* another name that will do; NULL */
    const char *trust_file;           /* PEM; wanted where verify_cert is */
    const char *cert_file, *key_file; /* who weir is; NULL: nobody */
    bool resume;                      /* sessions are kept for the next handshake */
};

struct tls_client {
    struct tls_client_options options; /* its strings outlive it */
    struct ssl_ctx_st *context;
    struct tls_digest trust, identity; /* zeroes: none */
};

/* How weir has it by default. */
void tls_client_options_init(struct tls_client_options *options);

/*
 * NULL: the fault says why. The caller's until tls_client_free(), which connections may outlive.
 * `trust` is options->trust_file, read, with its digest; NULL without verify_cert.
 */
struct tls_client *tls_client_new(const struct tls_client_options *options,
                                  struct x509_store_st *trust,
                                  const struct tls_digest *trust_digest,
                                  struct tls_fault *ret_fault);
void tls_client_free(struct tls_client *client);

/*
 * For one connection to `name`, a host or an IP: it is sent as SNI unless it is an IP, and is what
 * verify_hostname looks for. A session for a short handshake is taken from `sessions`, which must
 * outlive the connection, and new ones are put there; NULL: none are kept. HTTP/1.1 is offered
 * unless tls_alpn_offer() says otherwise. For tls_open(); NULL when memory is out.
 */
struct ssl_st *tls_client_ssl(const struct tls_client *client, const char *name,
                              struct tls_sessions *sessions);

#endif
