/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_TRUST_H
#define CLIENT_TRUST_H

/*
 * Who is trusted, as files say it: read once for all peers that name the same file, as long as one
 * of them is left. From any thread.
 */

#include "stream/tls_policy.h"

/* The system's: Debian's bundle of authorities. */
#define TRUST_FILE "/etc/ssl/certs/ca-certificates.crt"

struct trust {
    struct trust *next;
    unsigned references;
    struct x509_store_st *store;
    struct tls_digest digest;
    char file[];
};

/* One more reference; NULL: the fault says why. */
struct trust *trust_get(const char *file, struct tls_fault *ret_fault);
/* Nulls the pointer; NULL is fine. */
void trust_release(struct trust **trust);

#endif
