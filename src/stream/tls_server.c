/* SPDX-License-Identifier: MIT */
/*
 * Each identity has a context of its own, and a connection begins with the first one's; when the
 * client has named itself the connection is moved to the context that is for the name. The first
 * context owns the list of the others, so that all of them live as long as a connection that began
 * with it.
 */
#include "stream/tls_server.h"

#include "base/check.h"
#include "base/clock.h"
#include "stream/tls_alpn.h"
#include "stream/tls_error.h"
#include "stream/tls_names.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

/* What authenticates and hides (RFC 9325 section 4.2). */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

enum { IV_BYTES = 16 };

/* All that was read at one time. */
struct identities {
    struct tls_names names;
    SSL_CTX **contexts; /* but the first, which owns this */
    unsigned count;
};

static int identities_index, server_index;
static pthread_once_t indexes_once = PTHREAD_ONCE_INIT;

static void free_identities(void *parent, void *pointer, CRYPTO_EX_DATA *all, int index,
                            long number, void *argument)
{
    struct identities *identities = pointer;
    (void)parent;
    (void)all;
    (void)index;
    (void)number;
    (void)argument;
    if (!identities)
        return;
    for (unsigned i = 0; i < identities->count; i++)
        SSL_CTX_free(identities->contexts[i]);
    tls_names_clear(&identities->names);
    free(identities->contexts);
    free(identities);
}

static void make_indexes(void)
{
    identities_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_identities);
    server_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    must(identities_index >= 0 && server_index >= 0);
}

void tls_server_options_init(struct tls_server_options *options)
{
    *options = (struct tls_server_options){
        .session_tickets = true,
        .ticket_rotation = weir_span_s(12 * 3600),
        .handshake_timeout = weir_span_s(10),
    };
    tls_policy_init(&options->policy);
}

/* --- What OpenSSL asks ----------------------------------------------------------------------- */

static int choose_identity(SSL *ssl, int *alert, void *argument)
{
    const struct identities *identities = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *context = name ? tls_names_find(&identities->names, name) : NULL;
    (void)alert;
    if (context)
        SSL_set_SSL_CTX(ssl, context);
    return SSL_TLSEXT_ERR_OK;
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac_key, sizeof key->mac_key),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/*
 * The answer that OpenSSL wants: -1 an error, 0 no ticket, 1 fine, 2 fine, and a new one is due. In
 * TLS 1.3, where a client should use each but once, it always is (RFC 8446 appendix C.4).
 */
static int seal_or_open(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                        EVP_MAC_CTX *mac, int sealing)
{
    struct tls_server *server = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), server_index);
    struct ticket_key key;
    bool stale = false, ready = false;
    struct weir_time now = clock_monotonic();
    if (sealing) {
        if (!tickets_newest(&server->tickets, now, &key) || RAND_bytes(iv, IV_BYTES) != 1)
            return -1;
        memcpy(name, key.name, sizeof key.name);
        ready = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher_key, iv) == 1;
    } else {
        if (!tickets_find(&server->tickets, now, name, &key, &stale))
            return 0;
        ready = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher_key, iv) == 1;
    }
    ready = ready && set_mac(mac, &key);
    OPENSSL_cleanse(&key, sizeof key);
    if (!ready)
        return -1;
    return stale || (!sealing && SSL_version(ssl) == TLS1_3_VERSION) ? 2 : 1;
}

/* --- Contexts -------------------------------------------------------------------------------- */

static int note_verdict(int passes, X509_STORE_CTX *store)
{
    if (!passes)
        tls_error_refuse(store);
    return passes;
}

static bool ask_clients(SSL_CTX *context, const struct tls_server_options *options,
                        struct tls_digest *ret_digest, struct tls_fault *ret_fault)
{
    *ret_digest = (struct tls_digest){{0}};
    if (options->client_cert == CLIENT_CERT_NONE)
        return true;
    X509_STORE *trust = tls_read_trust(options->client_ca_file, ret_digest, ret_fault);
    if (!trust) {
        ret_fault->key = "client_ca";
        return false;
    }
    SSL_CTX_set0_verify_cert_store(context, trust);
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(options->client_ca_file);
    if (!names) {
        ret_fault->key = "client_ca";
        tls_error_text(ret_fault->why);
        return false;
    }
    SSL_CTX_set_client_CA_list(context, names);
    bool required = options->client_cert == CLIENT_CERT_REQUIRED;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       note_verdict);
    return true;
}

static void set_sessions(SSL_CTX *context, const struct tls_server_options *options,
                         const struct tls_digest *clients)
{
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* A session of clients that were vouched for by others is none here. */
    SSL_CTX_set_session_id_context(context, clients->bytes, sizeof clients->bytes);
    if (options->session_tickets) {
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, seal_or_open);
    } else {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
    }
}

static bool set_up(struct tls_server *server, const struct tls_identity *identity, SSL_CTX *context,
                   struct tls_fault *ret_fault)
{
    const struct tls_server_options *options = &server->options;
    struct tls_digest clients;
    if (!tls_use_identity(context, identity->cert_file, identity->key_file, NULL, ret_fault) ||
        !ask_clients(context, options, &clients, ret_fault))
        return false;
    set_sessions(context, options, &clients);
    tls_alpn_serve(context);
    must(SSL_CTX_set_ex_data(context, server_index, server) == 1);
    return true;
}

static SSL_CTX *new_context(struct tls_server *server, unsigned number, struct tls_fault *ret_fault)
{
    SSL_CTX *context = tls_policy_apply(&server->options.policy, true, CIPHERS, ret_fault);
    if (!context || set_up(server, &server->options.identities[number], context, ret_fault))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static bool out_of_memory(struct tls_fault *ret_fault)
{
    *ret_fault = (struct tls_fault){.key = "cert", .why = "out of memory"};
    return false;
}

/* The first context, and with it the list of the others, which is empty. */
static SSL_CTX *new_first(struct tls_server *server, struct identities **ret_identities,
                          struct tls_fault *ret_fault)
{
    SSL_CTX *first = new_context(server, 0, ret_fault);
    struct identities *identities = first ? calloc(1, sizeof *identities) : NULL;
    if (identities)
        identities->contexts = calloc(server->options.identity_count, sizeof(SSL_CTX *));
    if (!identities || !identities->contexts ||
        SSL_CTX_set_ex_data(first, identities_index, identities) != 1) {
        if (first)
            out_of_memory(ret_fault);
        if (identities)
            free(identities->contexts);
        free(identities);
        SSL_CTX_free(first);
        return NULL;
    }
    SSL_CTX_set_tlsext_servername_callback(first, choose_identity);
    SSL_CTX_set_tlsext_servername_arg(first, identities);
    *ret_identities = identities;
    return first;
}

static bool add_names(struct identities *identities, SSL_CTX *context, struct tls_fault *ret_fault)
{
    return tls_names_add(&identities->names, SSL_CTX_get0_certificate(context), context) ||
           out_of_memory(ret_fault);
}

static bool add_others(struct tls_server *server, struct identities *identities,
                       unsigned *ret_which, struct tls_fault *ret_fault)
{
    for (unsigned i = 1; i < server->options.identity_count; i++) {
        *ret_which = i;
        SSL_CTX *context = new_context(server, i, ret_fault);
        if (!context)
            return false;
        identities->contexts[identities->count++] = context;
        if (!add_names(identities, context, ret_fault))
            return false;
    }
    tls_names_sort(&identities->names);
    return true;
}

/* Everything from the files. */
static SSL_CTX *load(struct tls_server *server, unsigned *ret_which, struct tls_fault *ret_fault)
{
    struct identities *identities = NULL;
    *ret_which = 0;
    SSL_CTX *first = new_first(server, &identities, ret_fault);
    if (!first)
        return NULL;
    if (add_names(identities, first, ret_fault) &&
        add_others(server, identities, ret_which, ret_fault))
        return first;
    SSL_CTX_free(first);
    return NULL;
}

struct tls_server *tls_server_new(const struct tls_server_options *options, unsigned *ret_which,
                                  struct tls_fault *ret_fault)
{
    struct tls_server *server = calloc(1, sizeof *server);
    if (!server) {
        out_of_memory(ret_fault);
        return NULL;
    }
    pthread_once(&indexes_once, make_indexes);
    server->options = *options;
    tickets_init(&server->tickets, options->ticket_rotation);
    must(pthread_mutex_init(&server->lock, NULL) == 0);
    server->context = load(server, ret_which, ret_fault);
    if (server->context)
        return server;
    tls_server_free(server);
    return NULL;
}

void tls_server_free(struct tls_server *server)
{
    if (!server)
        return;
    SSL_CTX_free(server->context);
    tickets_fini(&server->tickets);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

bool tls_server_reload(struct tls_server *server, struct tls_fault *ret_fault)
{
    unsigned which;
    SSL_CTX *fresh = load(server, &which, ret_fault);
    if (!fresh)
        return false;
    pthread_mutex_lock(&server->lock);
    SSL_CTX *before = server->context;
    server->context = fresh;
    pthread_mutex_unlock(&server->lock);
    SSL_CTX_free(before);
    return true;
}

struct ssl_st *tls_server_ssl(struct tls_server *server)
{
    pthread_mutex_lock(&server->lock);
    SSL *ssl = SSL_new(server->context);
    pthread_mutex_unlock(&server->lock);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}
