/* SPDX-License-Identifier: MIT */
#include "upstream/keys.h"

#include "base/check.h"
#include "upstream/ask.h"

#include <stdlib.h>

struct pool_key *key_find(const struct pool *pool, const struct key *key)
{
    for (struct map_link *at = map_find(&pool->keys, key->hash); at; at = map_next(at)) {
        struct pool_key *found = container_of(at, struct pool_key, link);
        if (key_equal(&found->key, key))
            return found;
    }
    return NULL;
}

/* The key of one client's peer is kept only as long as there is something under it. */
static bool stays(const struct peer *peer)
{
    return !peer->drained && !peer->base;
}

static struct pool_key *key_add(struct pool *pool, const struct peer *peer)
{
    struct pool_key *key = calloc(1, sizeof *key);
    if (!key)
        return NULL;
    key->key = peer->key;
    key->unwanted = !stays(peer);
    list_init(&key->idle);
    list_init(&key->shared);
    list_init(&key->asks);
    key->census = commons_get(pool->commons, &peer->key, &peer->options.addr);
    if (key->census && map_insert(&pool->keys, &key->link, key->key.hash)) {
        key->census->counts[pool->worker].local = key;
        return key;
    }
    if (key->census)
        commons_release(pool->commons, &key->census);
    free(key);
    return NULL;
}

struct pool_key *pool_key_of(struct pool *pool, const struct peer *peer)
{
    struct pool_key *key = peer->known ? peer->known : key_find(pool, &peer->key);
    if (!key)
        key = key_add(pool, peer);
    if (key && !peer_is_drained(peer)) {
        key->unwanted = key->unwanted && !stays(peer);
        key->upstream_number = peer->options.upstream_number;
    }
    return key;
}

static void key_forget(struct pool *pool, struct pool_key *key)
{
    must(key->holds == 0 && list_is_empty(&key->idle) && list_is_empty(&key->asks));
    map_remove(&pool->keys, &key->link);
    key->census->counts[pool->worker].local = NULL;
    commons_release(pool->commons, &key->census);
    free(key);
}

void key_tidy(struct pool *pool, struct pool_key *key)
{
    if (key->unwanted && key->holds == 0 && key->idle_count == 0 && key->in_use_count == 0)
        key_forget(pool, key);
}

void pool_key_hold(struct pool_key *key)
{
    key->holds++;
}

void pool_key_let_go(struct pool *pool, struct pool_key *key)
{
    must(key->holds > 0);
    key->holds--;
    key_tidy(pool, key);
}

void keys_forget_all(struct pool *pool)
{
    for (struct map_link *link; (link = map_any(&pool->keys));)
        key_forget(pool, container_of(link, struct pool_key, link));
    map_fini(&pool->keys);
}

static void fail_asks(struct pool_key *key, const struct peer *peer)
{
    list_each (link, &key->asks) {
        struct ask *ask = container_of(link, struct ask, key_link);
        if (peer_base(ask->peer) == peer)
            ask_fail(ask, WEIR_E_PEER_DRAINED);
    }
}

/* Ends what a key has for a peer that is drained. */
static void drain_key(struct pool *pool, struct pool_key *key, const struct peer *peer)
{
    pool_key_hold(key);
    key->unwanted = true;
    list_each (link, &key->idle) {
        struct conn *conn = container_of(link, struct conn, key_link);
        if (peer_base(conn->peer) == peer)
            pool_close(&conn, CLOSE_DRAINED, false);
    }
    fail_asks(key, peer);
    pool_key_let_go(pool, key);
}

/* Idle connections that are one client's each stand under as many keys. */
static void drain_varieties(struct pool *pool, const struct peer *peer)
{
    list_each (link, &pool->conns) {
        struct conn *conn = container_of(link, struct conn, all_link);
        if (conn->peer->base == peer && conn->state == CONN_IDLE)
            pool_close(&conn, CLOSE_DRAINED, false);
    }
    for (size_t i = 0; i < pool->keys.bucket_count; i++)
        for (struct map_link *at = pool->keys.buckets[i]; at; at = at->next)
            fail_asks(container_of(at, struct pool_key, link), peer);
}

enum weir_err pool_adopt_peer(struct pool *pool, struct peer *peer)
{
    must(!peer->known && !peer->drained);
    peer->known = pool_key_of(pool, peer);
    if (!peer->known)
        return WEIR_E_NO_MEMORY;
    pool_key_hold(peer->known);
    return WEIR_OK;
}

/* What adopting it has begun. */
static void forget_peer(struct pool *pool, struct peer *peer)
{
    struct pool_key *key = peer->known;
    peer->known = NULL;
    if (key)
        pool_key_let_go(pool, key);
}

void pool_drain_peer(struct pool *pool, struct peer *peer)
{
    struct pool_key *key = key_find(pool, &peer->key);
    peer_ref(peer);
    peer->drained = true;
    list_remove(&peer->sibling);
    if (key)
        drain_key(pool, key, peer);
    if (peer->options.preface != PREFACE_NONE)
        drain_varieties(pool, peer);
    forget_peer(pool, peer);
    peer_unref(peer);
}

void pool_disown_peer(struct pool *pool, struct peer *peer)
{
    peer_ref(peer);
    peer->disowned = true;
    list_remove(&peer->sibling);
    if (peer->known)
        peer->known->unwanted = true; /* who still wants it says so with its next request */
    forget_peer(pool, peer);
    peer_unref(peer);
}
