/* SPDX-License-Identifier: MIT */
#include "tls.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

void tls_die(const char *what)
{
    char why[256];
    ERR_error_string_n(ERR_get_error(), why, sizeof why);
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static SSL_CTX *new_context(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(context, "X25519") != 1)
        tls_die("TLS");
    /* Tickets need no cache; who connects keeps its session itself. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* Many proxies end without a close_notify; lengths are compared elsewhere. */
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* What has arrived is one receive, not one for each record's head and one for its body. */
    SSL_CTX_set_read_ahead(context, 1);
    return context;
}

SSL_CTX *tls_server(const char *cert, const char *key)
{
    SSL_CTX *context = new_context(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1)
        tls_die(cert);
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        tls_die(key);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

SSL_CTX *tls_client(void)
{
    return new_context(TLS_client_method());
}
