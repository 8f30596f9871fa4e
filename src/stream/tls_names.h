/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_NAMES_H
#define STREAM_TLS_NAMES_H

/*
 * Which certificate is for which name: the DNS names that certificates bear, sorted. An exact name
 * goes before a wildcard, and an earlier certificate before a later one.
 */

#include <stdbool.h>

struct x509_st;
struct ssl_ctx_st;

struct tls_name {
    char *name; /* lower case; "*.example.com" stands for one label more */
    unsigned order;
    struct ssl_ctx_st *context;
};

struct tls_names {
    struct tls_name *names;
    unsigned count, room;
};

/* The names of a certificate lead to `context`. False: no memory. */
bool tls_names_add(struct tls_names *names, const struct x509_st *certificate,
                   struct ssl_ctx_st *context);
/* After the last one. */
void tls_names_sort(struct tls_names *names);
/* NULL: no certificate is for it. */
struct ssl_ctx_st *tls_names_find(const struct tls_names *names, const char *name);
void tls_names_clear(struct tls_names *names);

#endif
