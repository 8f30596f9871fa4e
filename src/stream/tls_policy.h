/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_POLICY_H
#define STREAM_TLS_POLICY_H

/* What both sides of TLS have in common: versions, ciphers, how files are read, and digests. */

#include "stream/tls.h"

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

struct tls_policy {
    enum tls_version min_version, max_version;
    const char *ciphers;      /* of TLS 1.2, as OpenSSL lists them; NULL: sane ones */
    const char *ciphersuites; /* of TLS 1.3; NULL: OpenSSL's own */
    const char *groups;       /* of key exchange; NULL: OpenSSL's own */
};

/* What is wrong with options: which key of the configuration, and in words. */
struct tls_fault {
    const char *key;
    char why[TLS_WHY_SIZE];
};

/* A SHA-256 of content: two that are equal were made of the same. */
enum { TLS_DIGEST_BYTES = 32 };
struct tls_digest {
    unsigned char bytes[TLS_DIGEST_BYTES];
};

struct ssl_ctx_st;
struct x509_store_st;
struct stack_st_X509_NAME;

void tls_policy_init(struct tls_policy *policy);

/*
 * A context with what holds for both sides: the policy, no renegotiation, no compression. NULL when
 * the fault says why. `ciphers`: what the policy's NULL stands for.
 */
struct ssl_ctx_st *tls_policy_apply(const struct tls_policy *policy, bool server,
                                    const char *ciphers, struct tls_fault *ret_fault);

/* Whether there can be such a context. False: the fault says why not. */
bool tls_policy_check(const struct tls_policy *policy, bool server, struct tls_fault *ret_fault);

/*
 * The certificate with its chain and its key, both PEM. The digest (may be NULL) is of both the
 * certificates and the public key.
 */
bool tls_use_identity(struct ssl_ctx_st *context, const char *cert_file, const char *key_file,
                      struct tls_digest *ret_digest, struct tls_fault *ret_fault);

/* Trust in the certificates of a PEM file; the caller frees it. NULL: the fault says why. */
struct x509_store_st *tls_read_trust(const char *file, struct tls_digest *ret_digest,
                                     struct tls_fault *ret_fault);

void tls_digest_of(const void *bytes, size_t len, struct tls_digest *ret_digest);

/*
 * From now on the secrets of every connection are written there, as SSLKEYLOGFILE wants them: for
 * the operator who looks into his own traffic. Before any context is made.
 */
void tls_log_keys(int descriptor);

#endif
