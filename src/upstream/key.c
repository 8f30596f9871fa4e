/* SPDX-License-Identifier: MIT */
#include "upstream/key.h"

#include "base/check.h"
#include "base/rand.h"
#include "upstream/peer.h"

#include <pthread.h>
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
    memcpy(key->bytes + key->len, bytes, len);
    key->len += (uint32_t)len;
}

/* Field by field: the structs of the kernel have padding. */
static void put_addr(struct key *key, const struct addr *addr)
{
    sa_family_t family = addr->len ? addr->any.sa_family : AF_UNSPEC;
    put(key, &family, sizeof family);
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
        put(key, addr->local.sun_path, strnlen(addr->local.sun_path, sizeof addr->local.sun_path));
        break;
    default:
        break;
    }
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
    put(key, &options->group_key, sizeof options->group_key);
    /* Of the socket's options those that change what travels. */
    uint8_t fast_open = options->tcp.fast_open;
    put(key, &fast_open, sizeof fast_open);
    put(key, &options->tcp.dscp, sizeof options->tcp.dscp);
    put(key, &options->tcp.receive_buffer, sizeof options->tcp.receive_buffer);
    key->hash = atomic_load(&collide) ? 0 : XXH3_64bits_withSeed(key->bytes, key->len, seed);
}

bool key_equal(const struct key *a, const struct key *b)
{
    return a->hash == b->hash && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
