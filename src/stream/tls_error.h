/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_ERROR_H
#define STREAM_TLS_ERROR_H

/* What OpenSSL's errors mean, as errors of ours and in words. */

#include "stream/tls.h"

struct x509_store_ctx_st;

/*
 * Why the last call on `ssl` failed: WEIR_E_TLS_CERTIFICATE when the other side's certificate does
 * not pass, _TLS_ALERT when the other side has sent one, _NO_MEMORY, else _TLS_PROTOCOL. `ret_why`
 * gets the words. Empties OpenSSL's list of errors.
 */
enum weir_err tls_error(const struct ssl_st *ssl, char ret_why[static TLS_WHY_SIZE]);

/*
 * Of a verification that fails: the certificate will be named in the words. OpenSSL itself keeps
 * none that did not pass.
 */
void tls_error_refuse(struct x509_store_ctx_st *store);

/* The words alone, for errors that have nothing to do with a connection. */
void tls_error_text(char ret_why[static TLS_WHY_SIZE]);

#endif
