/* SPDX-License-Identifier: MIT */
#include "stream/tls_client.h"

#include "base/check.h"
#include "base/slice.h"
#include "io/addr.h"
#include "stream/tls_alpn.h"
#include "stream/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* Where an SSL object has the name that its peer should bear, and its key's sessions. */
static int name_index, sessions_index;
static pthread_once_t indexes_once = PTHREAD_ONCE_INIT;

static void make_indexes(void)
{
    name_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    sessions_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    must(name_index >= 0 && sessions_index >= 0);
}

void tls_client_options_init(struct tls_client_options *options)
{
    *options = (struct tls_client_options){
        .verify_cert = true,
        .verify_hostname = true,
        .resume = true,
    };
    tls_policy_init(&options->policy);
}

static bool is_named(X509 *certificate, const char *name)
{
    if (X509_check_ip_asc(certificate, name, 0) == 1)
        return true;
    return X509_check_host(certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

/* OpenSSL calls it in place of its own verification, before anything of ours is sent. */
static int verify(X509_STORE_CTX *store, void *argument)
{
    const struct tls_client *client = argument;
    const struct tls_client_options *options = &client->options;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    const char *name = SSL_get_ex_data(ssl, name_index);
    if (options->verify_cert && X509_verify_cert(store) != 1) {
        tls_error_refuse(store);
        return 0;
    }
    X509_STORE_CTX_set_error(store, X509_V_OK);
    if (!options->verify_hostname || is_named(certificate, name) ||
        (options->alternative_cn && is_named(certificate, options->alternative_cn)))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
    tls_error_refuse(store);
    return 0;
}

/* A library's callback: it only records. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_sessions *sessions = SSL_get_ex_data(ssl, sessions_index);
    if (!sessions)
        return 0;
    tls_sessions_put(sessions, session);
    return 1; /* the reference was taken */
}

static bool set_up(struct tls_client *client, struct x509_store_st *trust,
                   struct tls_fault *ret_fault)
{
    const struct tls_client_options *options = &client->options;
    SSL_CTX *context = client->context;
    if (options->cert_file && !tls_use_identity(context, options->cert_file, options->key_file,
                                                &client->identity, ret_fault))
        return false;
    if (trust)
        SSL_CTX_set1_cert_store(context, trust);
    bool verifies = options->verify_cert || options->verify_hostname;
    SSL_CTX_set_verify(context, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (verifies)
        SSL_CTX_set_cert_verify_callback(context, verify, client);
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    return true;
}

struct tls_client *tls_client_new(const struct tls_client_options *options,
                                  struct x509_store_st *trust,
                                  const struct tls_digest *trust_digest,
                                  struct tls_fault *ret_fault)
{
    struct tls_client *client = calloc(1, sizeof *client);
    if (!client) {
        *ret_fault = (struct tls_fault){.key = "cert", .why = "out of memory"};
        return NULL;
    }
    pthread_once(&indexes_once, make_indexes);
    client->options = *options;
    if (trust)
        client->trust = *trust_digest;
    client->context = tls_policy_apply(&options->policy, false, "DEFAULT", ret_fault);
    if (client->context && set_up(client, trust, ret_fault))
        return client;
    tls_client_free(client);
    return NULL;
}

void tls_client_free(struct tls_client *client)
{
    if (!client)
        return;
    SSL_CTX_free(client->context);
    free(client);
}

static bool is_ip(const char *name)
{
    struct addr addr;
    return addr_parse_ip(slice_str(name), &addr) == WEIR_OK;
}

static void offer_session(SSL *ssl, struct tls_sessions *sessions)
{
    SSL_SESSION *session = tls_sessions_take(sessions);
    if (!session)
        return;
    (void)SSL_set_session(ssl, session); /* one that does not fit is not offered */
    SSL_SESSION_free(session);
    ERR_clear_error();
}

struct ssl_st *tls_client_ssl(const struct tls_client *client, const char *name,
                              struct tls_sessions *sessions)
{
    SSL *ssl = SSL_new(client->context);
    if (!ssl)
        return NULL;
    SSL_set_connect_state(ssl);
    if (!SSL_set_ex_data(ssl, name_index, (void *)(uintptr_t)name) ||
        (!is_ip(name) && SSL_set_tlsext_host_name(ssl, name) != 1)) {
        SSL_free(ssl);
        return NULL;
    }
    tls_alpn_offer(ssl, ALPN_HTTP_1);
    /* Without a place for them no session is kept. */
    if (client->options.resume && sessions && SSL_set_ex_data(ssl, sessions_index, sessions))
        offer_session(ssl, sessions);
    return ssl;
}
