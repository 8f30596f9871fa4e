/* SPDX-License-Identifier: MIT */
#include "client/trust.h"

#include "base/check.h"

#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct trust *all;

static struct trust *find(const char *file)
{
    for (struct trust *at = all; at; at = at->next)
        if (strcmp(at->file, file) == 0)
            return at;
    return NULL;
}

static struct trust *read_file(const char *file, struct tls_fault *ret_fault)
{
    struct trust *trust = calloc(1, sizeof *trust + strlen(file) + 1);
    if (!trust) {
        *ret_fault = (struct tls_fault){.key = "ca_file", .why = "out of memory"};
        return NULL;
    }
    memcpy(trust->file, file, strlen(file) + 1);
    trust->store = tls_read_trust(file, &trust->digest, ret_fault);
    if (!trust->store) {
        free(trust);
        return NULL;
    }
    trust->next = all;
    all = trust;
    return trust;
}

struct trust *trust_get(const char *file, struct tls_fault *ret_fault)
{
    must(pthread_mutex_lock(&lock) == 0);
    struct trust *trust = find(file);
    if (!trust)
        trust = read_file(file, ret_fault);
    if (trust)
        trust->references++;
    must(pthread_mutex_unlock(&lock) == 0);
    return trust;
}

static void forget(struct trust *trust)
{
    struct trust **at = &all;
    while (*at != trust)
        at = &(*at)->next;
    *at = trust->next;
    X509_STORE_free(trust->store);
    free(trust);
}

void trust_release(struct trust **trust)
{
    if (!*trust)
        return;
    must(pthread_mutex_lock(&lock) == 0);
    if (--(*trust)->references == 0)
        forget(*trust);
    must(pthread_mutex_unlock(&lock) == 0);
    *trust = NULL;
}
