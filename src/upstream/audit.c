/* SPDX-License-Identifier: MIT */
/* The books of one part, checked by walking over everything: in debug builds and simulations. */
#include "upstream/pool.h"

#include "base/check.h"
#include "upstream/conn_h2.h"

static void audit_key(const struct pool *pool, const struct pool_key *key, unsigned *ret_idle,
                      unsigned *ret_in_use)
{
    unsigned idle = 0, probes = 0;
    list_each (link, &key->idle) {
        const struct conn *conn = container_of(link, struct conn, key_link);
        must(conn->magic == CONN_MAGIC && conn->state == CONN_IDLE && conn->key == key);
        idle++;
        probes += conn->probes;
    }
    must(idle == key->idle_count);
    list_each (link, &key->shared) {
        const struct conn *conn = container_of(link, struct conn_h2, room_link)->conn;
        must(conn->magic == CONN_MAGIC && conn->state == CONN_IN_USE && conn->streams > 0);
    }
    must(key->opened_count + key->moved_in_count - key->closed_count - key->moved_out_count ==
         key->idle_count + key->in_use_count);
    must(atomic_load(&key->census->counts[pool->worker].idle) == idle - probes);
    *ret_idle += key->idle_count;
    *ret_in_use += key->in_use_count;
}

void pool_audit(const struct pool *pool)
{
    unsigned idle = 0, in_use = 0, dialling = 0, conns = 0;
    for (size_t i = 0; i < pool->keys.bucket_count; i++)
        for (struct map_link *at = pool->keys.buckets[i]; at; at = at->next) {
            const struct pool_key *key = container_of(at, struct pool_key, link);
            audit_key(pool, key, &idle, &in_use);
            dialling += key->dialling_count;
        }
    list_each (link, &pool->conns)
        conns++;
    must(idle == pool->idle_count && in_use == pool->in_use_count);
    must(dialling == pool->dialling_count);
    must(conns == idle + in_use);
    must(pool->idle_count <= pool->commons->places.size);
    must(pool->opened_count + pool->moved_in_count - pool->closed_count - pool->moved_out_count ==
         idle + in_use);
}
