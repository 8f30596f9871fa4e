/* SPDX-License-Identifier: MIT */
#include "stream/tls_policy.h"

#include "base/check.h"
#include "stream/tls_error.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int key_log = -1;

void tls_log_keys(int descriptor)
{
    key_log = descriptor;
}

/* One write, so that the lines of several workers do not mix. */
static void log_key(const SSL *ssl, const char *line)
{
    (void)ssl;
    struct iovec parts[2] = {
        {.iov_base = (void *)(uintptr_t)line, .iov_len = strlen(line)},
        {.iov_base = (char[]){'\n'}, .iov_len = 1},
    };
    ssize_t ignored = writev(key_log, parts, 2);
    (void)ignored;
}

void tls_policy_init(struct tls_policy *policy)
{
    *policy = (struct tls_policy){.min_version = TLS_VERSION_1_2, .max_version = TLS_VERSION_1_3};
}

static int version_number(enum tls_version version)
{
    return version == TLS_VERSION_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

/* OpenSSL has said why in its list of errors. */
static bool blame(struct tls_fault *fault, const char *key)
{
    fault->key = key;
    tls_error_text(fault->why);
    return false;
}

static bool apply(const struct tls_policy *policy, const char *ciphers, SSL_CTX *context,
                  struct tls_fault *ret_fault)
{
    ERR_clear_error();
    if (policy->ciphers)
        ciphers = policy->ciphers;
    if (!SSL_CTX_set_min_proto_version(context, version_number(policy->min_version)) ||
        !SSL_CTX_set_max_proto_version(context, version_number(policy->max_version)))
        return blame(ret_fault, "min_version");
    if (!SSL_CTX_set_cipher_list(context, ciphers))
        return blame(ret_fault, "ciphers");
    if (policy->ciphersuites && !SSL_CTX_set_ciphersuites(context, policy->ciphersuites))
        return blame(ret_fault, "ciphersuites");
    if (policy->groups && !SSL_CTX_set1_groups_list(context, policy->groups))
        return blame(ret_fault, "groups");
    return true;
}

/* Nobody is there to be asked for the password of a key. */
static int refuse_password(char *text, int size, int writing, void *owner)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)owner;
    return -1;
}

struct ssl_ctx_st *tls_policy_apply(const struct tls_policy *policy, bool server,
                                    const char *ciphers, struct tls_fault *ret_fault)
{
    SSL_CTX *context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!context) {
        blame(ret_fault, "cert");
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_default_passwd_cb(context, refuse_password);
    /* So that it does not go on and on within one call. */
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    if (key_log >= 0)
        SSL_CTX_set_keylog_callback(context, log_key);
    if (apply(policy, ciphers, context, ret_fault))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

bool tls_policy_check(const struct tls_policy *policy, bool server, struct tls_fault *ret_fault)
{
    SSL_CTX *context = tls_policy_apply(policy, server, "DEFAULT", ret_fault);
    SSL_CTX_free(context);
    return context;
}

/* --- Digests --------------------------------------------------------------------------------- */

void tls_digest_of(const void *bytes, size_t len, struct tls_digest *ret_digest)
{
    must(EVP_Digest(bytes, len, ret_digest->bytes, NULL, EVP_sha256(), NULL) == 1);
}

/* Adds to what was digested so far. */
static void digest_add(struct tls_digest *digest, const unsigned char *bytes, unsigned len)
{
    struct tls_digest both[2] = {*digest};
    tls_digest_of(bytes, len, &both[1]);
    tls_digest_of(both, sizeof both, digest);
}

static void digest_add_certificate(struct tls_digest *digest, X509 *certificate)
{
    unsigned char own[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    must(X509_digest(certificate, EVP_sha256(), own, &len) == 1);
    digest_add(digest, own, len);
}

/* --- Files ----------------------------------------------------------------------------------- */

/* A file that cannot be opened is told as the system tells it. */
static bool can_read(const char *file, const char *key, struct tls_fault *ret_fault)
{
    FILE *opened = fopen(file, "re");
    if (opened) {
        fclose(opened);
        return true;
    }
    ret_fault->key = key;
    snprintf(ret_fault->why, sizeof ret_fault->why, "cannot read %.120s: %s", file,
             strerror(errno));
    return false;
}

/* What the library says of a file. */
static bool blame_file(struct tls_fault *fault, const char *key, const char *file, const char *what)
{
    char why[TLS_WHY_SIZE];
    tls_error_text(why);
    fault->key = key;
    snprintf(fault->why, sizeof fault->why, "%.90s: %.40s (%.60s)", file, what, why);
    return false;
}

static void digest_identity(SSL_CTX *context, struct tls_digest *ret_digest)
{
    STACK_OF(X509) *chain = NULL;
    *ret_digest = (struct tls_digest){{0}};
    digest_add_certificate(ret_digest, SSL_CTX_get0_certificate(context));
    SSL_CTX_get0_chain_certs(context, &chain);
    for (int i = 0; i < sk_X509_num(chain); i++)
        digest_add_certificate(ret_digest, sk_X509_value(chain, i));
}

bool tls_use_identity(struct ssl_ctx_st *context, const char *cert_file, const char *key_file,
                      struct tls_digest *ret_digest, struct tls_fault *ret_fault)
{
    ERR_clear_error();
    if (!can_read(cert_file, "cert", ret_fault) || !can_read(key_file, "key", ret_fault))
        return false;
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        return blame_file(ret_fault, "cert", cert_file, "no certificate in PEM");
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
        return blame_file(ret_fault, "key", key_file, "not the key of the certificate, in PEM");
    if (SSL_CTX_check_private_key(context) != 1)
        return blame_file(ret_fault, "key", key_file, "not the key of the certificate");
    if (ret_digest)
        digest_identity(context, ret_digest);
    return true;
}

/* How many certificates were read into the store. */
static unsigned read_certificates(BIO *file, X509_STORE *store, struct tls_digest *digest)
{
    unsigned count = 0;
    for (X509 *certificate; (certificate = PEM_read_bio_X509_AUX(file, NULL, NULL, NULL));) {
        count += X509_STORE_add_cert(store, certificate) == 1;
        digest_add_certificate(digest, certificate);
        X509_free(certificate);
    }
    return count;
}

/* The list ends where no certificate begins any more, and nowhere else. */
static bool ended_well(void)
{
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

struct x509_store_st *tls_read_trust(const char *file, struct tls_digest *ret_digest,
                                     struct tls_fault *ret_fault)
{
    ERR_clear_error();
    if (!can_read(file, "ca", ret_fault))
        return NULL;
    BIO *from = BIO_new_file(file, "r");
    X509_STORE *store = X509_STORE_new();
    *ret_digest = (struct tls_digest){{0}};
    unsigned count = from && store ? read_certificates(from, store, ret_digest) : 0;
    if (count == 0 || !ended_well()) {
        blame_file(ret_fault, "ca", file, "no certificates in PEM");
        X509_STORE_free(store);
        store = NULL;
    }
    BIO_free(from);
    ERR_clear_error();
    return store;
}
