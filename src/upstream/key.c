/* SPDX-License-Identifier: MIT */
#include "upstream/key.h"

#include "base/check.h"
#include "base/rand.h"
#include "upstream/peer.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdatomic.h>
#include <string.h>
#include <xxhash.h>

static _Atomic bool collide;
static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

void key_force_collisions(bool force)
{
    atomic_store(&collide, force);
}

static void make_seed(void)
{
    seed = rand_seed_from_kernel();
}

static void put(struct key *key, const void *bytes, size_t len)
{
    uint16_t head = (uint16_t)len;
    must(key->len + sizeof head + len <= KEY_BYTES_MAX);
    memcpy(key->bytes + key->len, &head, sizeof head);
    key->len += (uint32_t)sizeof head;
    if (len > 0)
        memcpy(key->bytes + key->len, bytes, len);
    key->len += (uint32_t)len;
}

/* Up to the NUL; a name in the abstract begins with one, and is as long as it is. */
static size_t path_bytes(const struct addr *addr)
{
    if (addr->len <= offsetof(struct sockaddr_un, sun_path))
        return 0;
    size_t bytes = addr->len - offsetof(struct sockaddr_un, sun_path);
    /* The kernel's length counts a NUL that has no room behind the longest path. */
    if (bytes > sizeof addr->local.sun_path)
        bytes = sizeof addr->local.sun_path;
    return addr->local.sun_path[0] ? strnlen(addr->local.sun_path, bytes) : bytes;
}

/* Field by field: the structs of the kernel have padding. */
static void put_addr(struct key *key, const struct addr *addr)
{
    sa_family_t family = addr->len ? addr->any.sa_family : AF_UNSPEC;
    put(key, &family, sizeof family);
    if (addr->len == 0)
        return;
    switch (family) {
    case AF_INET:
        put(key, &addr->v4.sin_addr, sizeof addr->v4.sin_addr);
        put(key, &addr->v4.sin_port, sizeof addr->v4.sin_port);
        break;
    case AF_INET6:
        put(key, &addr->v6.sin6_addr, sizeof addr->v6.sin6_addr);
        put(key, &addr->v6.sin6_port, sizeof addr->v6.sin6_port);
        put(key, &addr->v6.sin6_scope_id, sizeof addr->v6.sin6_scope_id);
        break;
    case AF_UNIX:
    case AF_UNSPEC: /* a name */
        put(key, addr->local.sun_path, path_bytes(addr));
        break;
    default:
        break;
    }
}

/* --- What may be long ------------------------------------------------------------------------ */

static void digest_add(EVP_MD_CTX *digest, const void *bytes, size_t len)
{
    uint64_t head = len;
    must(EVP_DigestUpdate(digest, &head, sizeof head) == 1);
    must(EVP_DigestUpdate(digest, bytes, len) == 1);
}

/* Nothing is something else than an empty text. */
static void digest_add_text(EVP_MD_CTX *digest, const char *text)
{
    digest_add(digest, text ? text : "", text ? strlen(text) + 1 : 0);
}

static void digest_add_number(EVP_MD_CTX *digest, unsigned number)
{
    digest_add(digest, &number, sizeof number);
}

static EVP_MD_CTX *digest_begin(void)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    must(digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    return digest;
}

static void digest_put(EVP_MD_CTX *digest, struct key *key)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    must(EVP_DigestFinal_ex(digest, bytes, &len) == 1);
    EVP_MD_CTX_free(digest);
    put(key, bytes, len);
}

static void put_tls(struct key *key, const struct peer_options *options)
{
    const struct tls_client *tls = options->tls;
    if (!tls) {
        put(key, NULL, 0);
        return;
    }
    EVP_MD_CTX *digest = digest_begin();
    digest_add_text(digest, options->tls_name);
    digest_add_number(digest, tls->options.verify_cert);
    digest_add_number(digest, tls->options.verify_hostname);
    digest_add_text(digest, tls->options.alternative_cn);
    digest_add(digest, &tls->trust, sizeof tls->trust);
    digest_add(digest, &tls->identity, sizeof tls->identity);
    digest_add_number(digest, tls->options.policy.min_version);
    digest_add_number(digest, tls->options.policy.max_version);
    digest_add_text(digest, tls->options.policy.ciphers);
    digest_add_text(digest, tls->options.policy.ciphersuites);
    digest_add_text(digest, tls->options.policy.groups);
    digest_put(digest, key);
}

/* All of its address, however long. */
static void put_transport(struct key *key, const struct peer_options *options)
{
    if (!custom_is_any(&options->transport)) {
        put(key, NULL, 0);
        return;
    }
    EVP_MD_CTX *digest = digest_begin();
    digest_add_text(digest, custom_name(&options->transport));
    digest_add_text(digest, options->transport_address);
    digest_put(digest, key);
}

static void put_proxy(struct key *key, const struct peer_proxy *proxy)
{
    if (!proxy) {
        put(key, NULL, 0);
        return;
    }
    char text[ADDR_TEXT_SIZE];
    EVP_MD_CTX *digest = digest_begin();
    digest_add_text(digest, addr_print(&proxy->addr, text));
    for (unsigned i = 0; i < proxy->field_count; i++) {
        digest_add_text(digest, proxy->fields[i].name);
        digest_add_text(digest, proxy->fields[i].value);
    }
    digest_put(digest, key);
}

/* Who it was said to be for: nobody else's requests may travel on it. */
static void put_preface(struct key *key, const struct peer_options *options)
{
    uint8_t version = (uint8_t)options->preface;
    put(key, &version, sizeof version);
    if (options->preface == PREFACE_NONE)
        return;
    put(key, &options->preface_client, sizeof options->preface_client);
    put_addr(key, &options->preface_source);
    put_addr(key, &options->preface_destination);
}

void key_make(const struct peer_options *options, struct key *ret_key)
{
    struct key *key = ret_key;
    pthread_once(&seed_once, make_seed);
    key->len = 0;
    put_addr(key, &options->addr);
    put_addr(key, &options->source);
    uint8_t protocol = (uint8_t)options->protocol;
    put(key, &protocol, sizeof protocol);
    if (options->protocol != PEER_HTTP1) {
        put(key, &options->h2.max_streams, sizeof options->h2.max_streams);
        put(key, &options->h2.stream_window, sizeof options->h2.stream_window);
        put(key, &options->h2.connection_window, sizeof options->h2.connection_window);
    }
    put(key, &options->group_key, sizeof options->group_key);
    /* Of the socket's options those that change what travels. */
    uint8_t fast_open = options->tcp.fast_open;
    put(key, &fast_open, sizeof fast_open);
    put(key, &options->tcp.dscp, sizeof options->tcp.dscp);
    put(key, &options->tcp.receive_buffer, sizeof options->tcp.receive_buffer);
    put_transport(key, options);
    put_tls(key, options);
    put_proxy(key, options->proxy);
    put_preface(key, options);
    key->hash = atomic_load(&collide) ? 0 : XXH3_64bits_withSeed(key->bytes, key->len, seed);
}

bool key_equal(const struct key *a, const struct key *b)
{
    return a->hash == b->hash && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
