/* SPDX-License-Identifier: MIT */
#include "stream/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* The library's name for a reason; system errors are told by their number alone. */
static const char *reason_of(unsigned long code)
{
    const char *reason = ERR_reason_error_string(code);
    return reason ? reason : "unknown error";
}

/* The subject that the certificate names, where the handshake came so far. */
static void tell_certificate(const struct ssl_st *ssl, long verdict, char *ret_why)
{
    char subject[100] = "";
    const X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (certificate)
        X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
    snprintf(ret_why, TLS_WHY_SIZE, "%s%s%s%s", X509_verify_cert_error_string(verdict),
             *subject ? " (" : "", subject, *subject ? ")" : "");
}

enum weir_err tls_error(const struct ssl_st *ssl, char ret_why[static TLS_WHY_SIZE])
{
    unsigned long code = ERR_peek_last_error();
    int reason = ERR_GET_REASON(code);
    long verdict = SSL_get_verify_result(ssl);
    bool is_ssl = ERR_GET_LIB(code) == ERR_LIB_SSL;
    ERR_clear_error();
    if (is_ssl && reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        tell_certificate(ssl, verdict, ret_why);
        return WEIR_E_TLS_CERTIFICATE;
    }
    snprintf(ret_why, TLS_WHY_SIZE, "%s", code ? reason_of(code) : "the peer ended the connection");
    if (is_ssl && reason >= SSL_AD_REASON_OFFSET)
        return WEIR_E_TLS_ALERT;
    return reason == ERR_R_MALLOC_FAILURE ? WEIR_E_NO_MEMORY : WEIR_E_TLS_PROTOCOL;
}

void tls_error_text(char ret_why[static TLS_WHY_SIZE])
{
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    snprintf(ret_why, TLS_WHY_SIZE, "%s", code ? reason_of(code) : "unknown error");
}
