/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_STREAM_CERTIFICATES_H
#define TESTS_UNIT_STREAM_CERTIFICATES_H

/*
 * Certificates, made when the program starts: an authority with one below it, a stranger to both,
 * and what they have signed, as files in a folder that goes with the program.
 */

#include "base/check.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum certificate_name {
    CERT_CA,
    CERT_INTERMEDIATE,
    CERT_OTHER_CA,
    CERT_WWW, /* names, a wildcard, and addresses */
    CERT_SHOP,
    CERT_COMMON, /* with a common name only */
    CERT_EXPIRED,
    CERT_EARLY,       /* not valid yet */
    CERT_SELF,        /* its own issuer */
    CERT_STRANGER,    /* of the other authority */
    CERT_BARE,        /* the file lacks the one between */
    CERT_FOR_CLIENTS, /* may not be a server's */
    CERT_CLIENT,
    CERT_OTHER_CLIENT,
    CERT_COUNT,
};

enum { CERT_NOBODY = -1 };

struct certificate {
    const char *subject; /* the common name */
    const char *names;   /* alternative names as OpenSSL's configuration has them; NULL: none */
    int issuer;          /* a certificate_name; CERT_NOBODY: itself */
    const char *purpose; /* extended key usage; NULL: any */
    int from_hours, until_hours;
    bool is_authority, lacks_chain;
    X509 *certificate;
    EVP_PKEY *key;
    char cert_file[64], key_file[64];
};

#define LASTS .from_hours = -1, .until_hours = 24
static struct certificate certs[CERT_COUNT] = {
    [CERT_CA] = {"Root", NULL, CERT_NOBODY, LASTS, .is_authority = true},
    [CERT_INTERMEDIATE] = {"Between", NULL, CERT_CA, LASTS, .is_authority = true},
    [CERT_OTHER_CA] = {"Other Root", NULL, CERT_NOBODY, LASTS, .is_authority = true},
    [CERT_WWW] = {"www.example.com",
                  "DNS:www.example.com,DNS:*.wild.example.com,IP:127.0.0.1,IP:::1",
                  CERT_INTERMEDIATE, LASTS},
    [CERT_SHOP] = {"shop.example.com", "DNS:Shop.Example.com,DNS:a.wild.example.com",
                   CERT_INTERMEDIATE, LASTS},
    [CERT_COMMON] = {"common.example.com", NULL, CERT_INTERMEDIATE, LASTS},
    [CERT_EXPIRED] = {"expired", "DNS:www.example.com", CERT_INTERMEDIATE, .from_hours = -48,
                      .until_hours = -24},
    [CERT_EARLY] = {"early", "DNS:www.example.com", CERT_INTERMEDIATE, .from_hours = 24,
                    .until_hours = 48},
    [CERT_SELF] = {"self", "DNS:www.example.com", CERT_NOBODY, LASTS},
    [CERT_STRANGER] = {"stranger", "DNS:www.example.com", CERT_OTHER_CA, LASTS},
    [CERT_BARE] = {"bare", "DNS:www.example.com", CERT_INTERMEDIATE, LASTS, .lacks_chain = true},
    [CERT_FOR_CLIENTS] = {"for clients", "DNS:www.example.com", CERT_INTERMEDIATE, "clientAuth",
                          LASTS},
    [CERT_CLIENT] = {"client", NULL, CERT_INTERMEDIATE, "clientAuth", LASTS},
    [CERT_OTHER_CLIENT] = {"other client", NULL, CERT_OTHER_CA, "clientAuth", LASTS},
};

static char certs_folder[] = "/tmp/weir-certificates-XXXXXX";
static pid_t certs_owner;

static inline void certs_extend(X509 *certificate, int which, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, which, value);
    must(extension && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

/* Fills in the key, unless there is one, and the certificate. */
static inline void certs_sign(struct certificate *self, const struct certificate *issuer)
{
    static long serial = 1000;
    if (!self->key)
        self->key = EVP_EC_gen("P-256");
    X509 *made = self->certificate = X509_new();
    must(self->key && made);
    X509_NAME *name = X509_get_subject_name(made);
    must(X509_set_version(made, X509_VERSION_3) && X509_set_pubkey(made, self->key));
    must(ASN1_INTEGER_set(X509_get_serialNumber(made), serial++));
    must(X509_gmtime_adj(X509_getm_notBefore(made), 3600L * self->from_hours));
    must(X509_gmtime_adj(X509_getm_notAfter(made), 3600L * self->until_hours));
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)self->subject,
                                    -1, -1, 0));
    must(X509_set_issuer_name(made, X509_get_subject_name(issuer->certificate)));
    certs_extend(made, NID_basic_constraints,
                 self->is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (self->is_authority)
        certs_extend(made, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (self->names)
        certs_extend(made, NID_subject_alt_name, self->names);
    if (self->purpose)
        certs_extend(made, NID_ext_key_usage, self->purpose);
    must(X509_sign(made, issuer->key, EVP_sha256()) > 0);
}

/* With all that are between it and a root. */
static inline void certs_write(struct certificate *self, const char *name,
                               const struct certificate *all)
{
    snprintf(self->cert_file, sizeof self->cert_file, "%s/%s.pem", certs_folder, name);
    snprintf(self->key_file, sizeof self->key_file, "%s/%s.key", certs_folder, name);
    FILE *file = fopen(self->cert_file, "we");
    must(file && PEM_write_X509(file, self->certificate));
    for (int up = self->lacks_chain ? CERT_NOBODY : self->issuer;
         up != CERT_NOBODY && all[up].issuer != CERT_NOBODY; up = all[up].issuer)
        must(PEM_write_X509(file, all[up].certificate));
    must(fclose(file) == 0);
    file = fopen(self->key_file, "we");
    must(file && PEM_write_PrivateKey(file, self->key, NULL, NULL, 0, NULL, NULL));
    must(fclose(file) == 0);
}

/* A table whose issuers stand before what they sign; `prefix` makes its files' names. */
static inline void certs_make_all(struct certificate *all, unsigned count, const char *prefix)
{
    char name[24];
    for (unsigned i = 0; i < count; i++) {
        struct certificate *self = &all[i];
        certs_sign(self, self->issuer == CERT_NOBODY ? self : &all[self->issuer]);
        snprintf(name, sizeof name, "%s%u", prefix, i);
        certs_write(self, name, all);
    }
}

static inline void certs_free_all(struct certificate *all, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        X509_free(all[i].certificate);
        EVP_PKEY_free(all[i].key);
        unlink(all[i].cert_file);
        unlink(all[i].key_file);
    }
}

/* A file in the folder, to be unlinked by the test. Returns ret_path. */
static inline const char *certs_text_file(const char *name, const char *text,
                                          char ret_path[static 64])
{
    snprintf(ret_path, 64, "%s/%s", certs_folder, name);
    FILE *file = fopen(ret_path, "we");
    must(file && fputs(text, file) >= 0 && fclose(file) == 0);
    return ret_path;
}

/* The files of one certificate now say what those of another do. */
static inline void certs_replace(struct certificate *self, enum certificate_name by)
{
    char piece[4096];
    const char *from[] = {certs[by].cert_file, certs[by].key_file};
    const char *to[] = {self->cert_file, self->key_file};
    for (unsigned i = 0; i < 2; i++) {
        FILE *in = fopen(from[i], "re"), *out = fopen(to[i], "we");
        must(in && out);
        for (size_t bytes; (bytes = fread(piece, 1, sizeof piece, in)) > 0;)
            must(fwrite(piece, 1, bytes, out) == bytes);
        must(fclose(in) == 0 && fclose(out) == 0);
    }
}

__attribute__((constructor)) static void certs_begin(void)
{
    certs_owner = getpid();
    must(mkdtemp(certs_folder));
    certs_make_all(certs, CERT_COUNT, "");
}

/* Not in a child that a test has forked. */
__attribute__((destructor)) static void certs_end(void)
{
    if (certs_owner != getpid())
        return;
    certs_free_all(certs, CERT_COUNT);
    rmdir(certs_folder);
}

#endif
