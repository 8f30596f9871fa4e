/* SPDX-License-Identifier: MIT */
#include "stream/tls_error.h"

#include "base/check.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>

/* Where an SSL object has the certificate that did not pass. */
static int refused_index;
static pthread_once_t refused_index_once = PTHREAD_ONCE_INIT;

static void free_refused(void *parent, void *pointer, CRYPTO_EX_DATA *all, int index, long number,
                         void *argument)
{
    (void)parent;
    (void)all;
    (void)index;
    (void)number;
    (void)argument;
    X509_free(pointer);
}

static void make_refused_index(void)
{
    refused_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_refused);
    must(refused_index >= 0);
}

void tls_error_refuse(struct x509_store_ctx_st *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    pthread_once(&refused_index_once, make_refused_index);
    if (!certificate || SSL_get_ex_data(ssl, refused_index))
        return;
    if (SSL_set_ex_data(ssl, refused_index, certificate))
        X509_up_ref(certificate);
}

/* The library's name for a reason; system errors are told by their number alone. */
static const char *reason_of(unsigned long code)
{
    const char *reason = ERR_reason_error_string(code);
    return reason ? reason : "unknown error";
}

/* Reasons that all of the library has in common, such as "internal error", have larger numbers. */
static bool is_alert(int reason)
{
    return reason >= SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + UINT8_MAX;
}

/* The subject that the certificate names, where it was kept. */
static void tell_certificate(const struct ssl_st *ssl, long verdict, char *ret_why)
{
    char subject[100] = "";
    pthread_once(&refused_index_once, make_refused_index);
    const X509 *certificate = SSL_get_ex_data(ssl, refused_index);
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
    if (is_ssl && is_alert(reason))
        return WEIR_E_TLS_ALERT;
    return reason == ERR_R_MALLOC_FAILURE ? WEIR_E_NO_MEMORY : WEIR_E_TLS_PROTOCOL;
}

void tls_error_text(char ret_why[static TLS_WHY_SIZE])
{
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    snprintf(ret_why, TLS_WHY_SIZE, "%s", code ? reason_of(code) : "unknown error");
}
