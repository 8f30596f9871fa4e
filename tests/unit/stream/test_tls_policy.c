/* SPDX-License-Identifier: MIT */
#include "stream/tls_policy.h"

#include "tests/check.h"
#include "tests/unit/stream/certificates.h"

#include <fcntl.h>
#include <openssl/ssl.h>

static bool blames(const struct tls_fault *fault, const char *key, const char *why)
{
    bool does = fault->key && !strcmp(fault->key, key) && strstr(fault->why, why);
    if (!does)
        printf("# '%s': '%s'\n", fault->key ? fault->key : "none", fault->why);
    return does;
}

TEST(by_default_both_versions_are_spoken)
{
    struct tls_policy policy;
    struct tls_fault fault;
    tls_policy_init(&policy);
    for (int server = 0; server < 2; server++) {
        SSL_CTX *made = tls_policy_apply(&policy, server, "ECDHE+AESGCM", &fault);
        if (!CHECK(made))
            continue;
        CHECK_EQ(TLS1_2_VERSION, SSL_CTX_get_min_proto_version(made));
        CHECK_EQ(TLS1_3_VERSION, SSL_CTX_get_max_proto_version(made));
        CHECK(SSL_CTX_get_options(made) & SSL_OP_NO_RENEGOTIATION);
        CHECK(SSL_CTX_get_options(made) & SSL_OP_NO_COMPRESSION);
        SSL_CTX_free(made);
    }
}

TEST(versions_are_as_asked)
{
    struct tls_policy policy = {.min_version = TLS_VERSION_1_3, .max_version = TLS_VERSION_1_3};
    struct tls_fault fault;
    SSL_CTX *made = tls_policy_apply(&policy, true, "ECDHE+AESGCM", &fault);
    if (CHECK(made))
        CHECK_EQ(TLS1_3_VERSION, SSL_CTX_get_min_proto_version(made));
    SSL_CTX_free(made);
}

/* The names of the ciphers of TLS 1.2. */
static bool offers(SSL_CTX *made, const char *name)
{
    STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(made);
    for (int i = 0; i < sk_SSL_CIPHER_num(all); i++)
        if (!strcmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i)), name))
            return true;
    return false;
}

TEST(ciphers_of_the_policy_go_before_the_fallback)
{
    struct tls_policy policy;
    struct tls_fault fault;
    tls_policy_init(&policy);
    SSL_CTX *made = tls_policy_apply(&policy, true, "ECDHE-RSA-AES128-GCM-SHA256", &fault);
    if (CHECK(made))
        CHECK(offers(made, "ECDHE-RSA-AES128-GCM-SHA256"));
    SSL_CTX_free(made);
    policy.ciphers = "ECDHE-RSA-AES256-GCM-SHA384";
    policy.ciphersuites = "TLS_AES_256_GCM_SHA384";
    policy.groups = "X25519:P-256";
    made = tls_policy_apply(&policy, true, "ECDHE-RSA-AES128-GCM-SHA256", &fault);
    if (CHECK(made)) {
        CHECK(offers(made, "ECDHE-RSA-AES256-GCM-SHA384"));
        CHECK(offers(made, "TLS_AES_256_GCM_SHA384"));
        CHECK(!offers(made, "ECDHE-RSA-AES128-GCM-SHA256"));
        CHECK(!offers(made, "TLS_AES_128_GCM_SHA256"));
    }
    SSL_CTX_free(made);
}

TEST(what_is_wrong_with_a_policy)
{
    static const struct {
        struct tls_policy policy;
        const char *key, *why;
    } cases[] = {
        {{.max_version = TLS_VERSION_1_3, .ciphers = "NOT-A-CIPHER"}, "ciphers", "no cipher match"},
        {{.max_version = TLS_VERSION_1_3, .ciphers = ""}, "ciphers", "no cipher match"},
        {{.max_version = TLS_VERSION_1_3, .ciphersuites = "TLS_NONE"},
         "ciphersuites",
         "no cipher match"},
        {{.max_version = TLS_VERSION_1_3, .groups = "P-12"}, "groups", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_fault fault = {.key = NULL};
        SSL_CTX *made = tls_policy_apply(&cases[i].policy, i & 1, "ECDHE+AESGCM", &fault);
        CHECK(!made);
        CHECK(blames(&fault, cases[i].key, cases[i].why));
        CHECK(*fault.why);
        SSL_CTX_free(made);
    }
}

/* --- Files ----------------------------------------------------------------------------------- */

static bool use(const char *cert_file, const char *key_file, struct tls_digest *ret_digest,
                struct tls_fault *ret_fault)
{
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    bool used = tls_use_identity(made, cert_file, key_file, ret_digest, ret_fault);
    SSL_CTX_free(made);
    return used;
}

TEST(an_identity_is_a_chain_and_its_key)
{
    struct tls_fault fault;
    struct tls_digest one, again, other, bare;
    CHECK(use(certs[CERT_WWW].cert_file, certs[CERT_WWW].key_file, &one, &fault));
    CHECK(use(certs[CERT_WWW].cert_file, certs[CERT_WWW].key_file, &again, &fault));
    CHECK(use(certs[CERT_SHOP].cert_file, certs[CERT_SHOP].key_file, &other, &fault));
    CHECK(use(certs[CERT_WWW].cert_file, certs[CERT_WWW].key_file, NULL, &fault));
    CHECK(memcmp(&one, &again, sizeof one) == 0);
    CHECK(memcmp(&one, &other, sizeof one) != 0);
    /* The same certificate without what is between it and the authority. */
    char path[64];
    FILE *file = fopen((snprintf(path, sizeof path, "%s/alone.pem", certs_folder), path), "we");
    must(file && PEM_write_X509(file, certs[CERT_WWW].certificate) && fclose(file) == 0);
    CHECK(use(path, certs[CERT_WWW].key_file, &bare, &fault));
    CHECK(memcmp(&one, &bare, sizeof one) != 0);
    unlink(path);
}

TEST(what_is_wrong_with_an_identity)
{
    char no_pem[64], no_key[64];
    certs_text_file("text.pem", "this is no PEM\n", no_pem);
    certs_text_file("half.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                    no_key);
    const char *cert = certs[CERT_WWW].cert_file, *key = certs[CERT_WWW].key_file;
    const struct {
        const char *cert_file, *key_file, *key, *why;
    } cases[] = {
        {"/nonexistent/c.pem", key, "cert", "cannot read /nonexistent/c.pem: No such file"},
        {cert, "/nonexistent/k.pem", "key", "cannot read /nonexistent/k.pem: No such file"},
        {no_pem, key, "cert", "text.pem: no certificate in PEM"},
        {key, key, "cert", ": no certificate in PEM"},
        {cert, no_pem, "key", "text.pem: not the key of the certificate"},
        {cert, no_key, "key", "half.key: not the key of the certificate"},
        {cert, cert, "key", ": not the key of the certificate"},
        {cert, certs[CERT_SHOP].key_file, "key", "key values mismatch"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_fault fault = {.key = NULL};
        CHECK(!use(cases[i].cert_file, cases[i].key_file, NULL, &fault));
        CHECK(blames(&fault, cases[i].key, cases[i].why));
    }
    unlink(no_pem);
    unlink(no_key);
}

TEST(trust_is_read_with_a_digest_of_its_content)
{
    struct tls_fault fault;
    struct tls_digest digests[3];
    static const enum certificate_name names[] = {CERT_CA, CERT_CA, CERT_OTHER_CA};
    for (unsigned i = 0; i < 3; i++) {
        X509_STORE *store = tls_read_trust(certs[names[i]].cert_file, &digests[i], &fault);
        if (CHECK(store)) {
            STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
            CHECK_EQ(1, sk_X509_OBJECT_num(all));
        }
        X509_STORE_free(store);
    }
    CHECK(memcmp(&digests[0], &digests[1], sizeof *digests) == 0);
    CHECK(memcmp(&digests[0], &digests[2], sizeof *digests) != 0);
}

TEST(what_is_wrong_with_trust)
{
    char empty[64], broken[64];
    certs_text_file("empty.pem", "", empty);
    /* A good one, and one that is cut off. */
    FILE *file = fopen((snprintf(broken, sizeof broken, "%s/cut.pem", certs_folder), broken), "we");
    must(file && PEM_write_X509(file, certs[CERT_CA].certificate));
    must(fputs("-----BEGIN CERTIFICATE-----\nMIIB\n", file) >= 0 && fclose(file) == 0);
    const char *const files[] = {"/nonexistent/ca.pem", empty, broken, certs[CERT_CA].key_file,
                                 certs_folder};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct tls_fault fault = {.key = NULL};
        struct tls_digest digest;
        X509_STORE *store = tls_read_trust(files[i], &digest, &fault);
        CHECK(!store);
        CHECK(blames(&fault, "ca", i == 0 ? "cannot read" : "no certificates in PEM"));
        X509_STORE_free(store);
    }
    unlink(empty);
    unlink(broken);
}

TEST(digests_are_of_content)
{
    struct tls_digest a, b;
    tls_digest_of("abc", 3, &a);
    tls_digest_of("abc", 3, &b);
    CHECK_EQ(0, memcmp(&a, &b, sizeof a));
    CHECK_EQ(0xba, a.bytes[0]); /* FIPS 180-4's example */
    CHECK_EQ(0xad, a.bytes[31]);
    tls_digest_of("abd", 3, &b);
    CHECK(memcmp(&a, &b, sizeof a) != 0);
}

CHECK_MAIN
