/* SPDX-License-Identifier: MIT */
/* What handshakes end with stands in test_tls_handshake.c; here are OpenSSL's errors one by one. */
#include "stream/tls_error.h"

#include "tests/check.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static const struct {
    int library, reason;
    enum weir_err want;
    const char *why;
} cases[] = {
    {ERR_LIB_SSL, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, WEIR_E_TLS_ALERT, "handshake failure"},
    {ERR_LIB_SSL, SSL_R_TLSV1_ALERT_UNKNOWN_CA, WEIR_E_TLS_ALERT, "unknown ca"},
    {ERR_LIB_SSL, SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, WEIR_E_TLS_ALERT, "required"},
    {ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER, WEIR_E_TLS_PROTOCOL, "no shared cipher"},
    {ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER, WEIR_E_TLS_PROTOCOL, "wrong version number"},
    /* Nobody has judged a certificate. */
    {ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED, WEIR_E_TLS_PROTOCOL, "verify failed"},
    {ERR_LIB_SSL, ERR_R_MALLOC_FAILURE, WEIR_E_NO_MEMORY, "malloc failure"},
    {ERR_LIB_SSL, ERR_R_INTERNAL_ERROR, WEIR_E_TLS_PROTOCOL, "internal error"},
    {ERR_LIB_SSL, ERR_R_EVP_LIB, WEIR_E_TLS_PROTOCOL, "EVP lib"},
    {ERR_LIB_ASN1, 1040, WEIR_E_TLS_PROTOCOL, ""}, /* an alert's number, elsewhere */
    {ERR_LIB_USER, 77, WEIR_E_TLS_PROTOCOL, "unknown error"},
};

TEST(each_error_has_its_meaning)
{
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(made);
    char why[TLS_WHY_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ERR_raise(cases[i].library, cases[i].reason);
        CHECK_ERR(cases[i].want, tls_error(ssl, why));
        if (!CHECK(strstr(why, cases[i].why)))
            printf("# '%s'\n", why);
        CHECK_EQ(0, ERR_peek_error());
    }
    SSL_free(ssl);
    SSL_CTX_free(made);
}

TEST(the_last_of_several_counts)
{
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(made);
    char why[TLS_WHY_SIZE];
    ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
    ERR_raise(ERR_LIB_SSL, SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
    CHECK_ERR(WEIR_E_TLS_ALERT, tls_error(ssl, why));
    CHECK_EQ(0, ERR_peek_error());
    SSL_free(ssl);
    SSL_CTX_free(made);
}

TEST(no_error_is_an_end)
{
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(made);
    char why[TLS_WHY_SIZE];
    ERR_clear_error();
    CHECK_ERR(WEIR_E_TLS_PROTOCOL, tls_error(ssl, why));
    CHECK(!strcmp(why, "the peer ended the connection"));
    tls_error_text(why);
    CHECK(!strcmp(why, "unknown error"));
    ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
    tls_error_text(why);
    CHECK(!strcmp(why, "no shared cipher"));
    CHECK_EQ(0, ERR_peek_error());
    SSL_free(ssl);
    SSL_CTX_free(made);
}

CHECK_MAIN
