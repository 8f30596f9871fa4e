/* SPDX-License-Identifier: MIT */
#include "upstream/pool.h"

#include "base/check.h"
#include "upstream/dial.h"
#include "upstream/idle.h"
#include "upstream/session_h1.h"

#include <stdlib.h>

static _Atomic uint64_t next_conn_id = 1;

void pool_init(struct pool *pool, const struct pool_options *options)
{
    *pool = (struct pool){
        .loop = options->loop,
        .streams = options->streams,
        .stats = options->stats,
        .size = options->size,
    };
    map_init(&pool->keys);
    list_init(&pool->conns);
    list_init(&pool->idle);
    slab_init(&pool->conn_slab, "upstream connection", sizeof(struct conn));
    slab_init(&pool->session_slab, "session", sizeof(struct session_h1));
    slab_init(&pool->trailer_slab, "response trailers", sizeof(struct fields));
    rand_init(&pool->rand, options->seed);
}

void pool_fini(struct pool *pool)
{
    pool_drain(pool);
    must(pool->in_use_count == 0 && pool->dialling_count == 0 && list_is_empty(&pool->conns));
    for (struct map_link *link; (link = map_any(&pool->keys));) {
        map_remove(&pool->keys, link);
        free(container_of(link, struct pool_key, link));
    }
    map_fini(&pool->keys);
    slab_fini(&pool->conn_slab);
    slab_fini(&pool->session_slab);
    slab_fini(&pool->trailer_slab);
}

void pool_drain(struct pool *pool)
{
    pool->draining = true;
    for (struct list *link; (link = list_first(&pool->idle));) {
        struct conn *conn = container_of(link, struct conn, idle_link);
        pool_close(&conn, CLOSE_SHUTDOWN, false);
    }
}

static struct pool_key *find_key(const struct pool *pool, const struct peer *peer)
{
    for (struct map_link *at = map_find(&pool->keys, peer->key.hash); at; at = map_next(at)) {
        struct pool_key *key = container_of(at, struct pool_key, link);
        if (key_equal(&key->key, &peer->key))
            return key;
    }
    return NULL;
}

static struct pool_key *find_or_add_key(struct pool *pool, const struct peer *peer)
{
    struct pool_key *key = find_key(pool, peer);
    if (key)
        return key;
    key = calloc(1, sizeof *key);
    if (!key)
        return NULL;
    key->key = peer->key;
    key->peer = peer;
    list_init(&key->idle);
    if (!map_insert(&pool->keys, &key->link, peer->key.hash)) {
        free(key);
        return NULL;
    }
    return key;
}

static void enter_use(struct conn *conn)
{
    conn->state = CONN_IN_USE;
    conn->pool->in_use_count++;
    conn->key->in_use_count++;
    stat_add(&conn_stats(conn)->in_use, 1);
}

static void leave_use(struct conn *conn)
{
    must(conn->state == CONN_IN_USE);
    conn->pool->in_use_count--;
    conn->key->in_use_count--;
    stat_sub(&conn_stats(conn)->in_use, 1);
}

void pool_close(struct conn **conn, enum close_reason reason, bool reset)
{
    struct conn *closing = *conn;
    *conn = NULL;
    if (!closing)
        return;
    struct pool *pool = closing->pool;
    must(closing->magic == CONN_MAGIC);
    if (closing->state == CONN_IDLE)
        idle_leave(closing);
    else
        leave_use(closing);
    list_remove(&closing->all_link);
    pool->closed_count++;
    closing->key->closed_count++;
    stat_add(&conn_stats(closing)->closed[reason], 1);
    stream_close(&closing->stream, reset);
    closing->magic = 0;
    slab_free(&pool->conn_slab, closing);
}

/* +- 10 %, so that connections that were opened together do not end together. */
static struct weir_span jittered(struct rand *rand, struct weir_span span)
{
    if (weir_span_is_forever(span) || span.ns < 10)
        return span;
    int64_t tenth = span.ns / 10;
    return weir_span_ns(span.ns - tenth + (int64_t)rand_below(rand, (uint64_t)tenth * 2 + 1));
}

static enum weir_err conn_open(struct pool *pool, struct pool_key *key, const struct peer *peer,
                               struct stream **stream, struct conn **ret_conn)
{
    struct conn *conn = slab_alloc(&pool->conn_slab);
    if (!conn) {
        stream_close(stream, true);
        return WEIR_E_NO_MEMORY;
    }
    conn->magic = CONN_MAGIC;
    conn->id = atomic_fetch_add_explicit(&next_conn_id, 1, memory_order_relaxed);
    conn->pool = pool;
    conn->key = key;
    conn->peer = peer;
    conn->stream = *stream;
    *stream = NULL;
    list_push_back(&pool->conns, &conn->all_link);
    idle_init(conn);
    conn->born = loop_now(pool->loop);
    conn->max_age = jittered(&pool->rand, peer->options.limits.max_connection_age);
    pool->opened_count++;
    key->opened_count++;
    stat_add(&conn_stats(conn)->opened, 1);
    enter_use(conn);
    *ret_conn = conn;
    return WEIR_OK;
}

enum weir_err pool_dial(struct pool *pool, const struct peer *peer, struct weir_time deadline,
                        struct conn **ret_conn)
{
    struct upstream_stats *stats = &pool->stats[peer->options.upstream_number];
    struct pool_key *key = find_or_add_key(pool, peer);
    if (!key)
        return WEIR_E_NO_MEMORY;
    struct weir_time began = loop_now(pool->loop);
    struct stream *stream = NULL;
    pool->dialling_count++;
    key->dialling_count++;
    stat_add(&stats->dialling, 1);
    enum weir_err err = dial(pool->streams, peer, deadline, &stream);
    stat_sub(&stats->dialling, 1);
    key->dialling_count--;
    pool->dialling_count--;
    if (!err)
        err = conn_open(pool, key, peer, &stream, ret_conn);
    if (err)
        stat_add(&stats->connect_errors[err], 1);
    else
        histogram_add(&stats->connect, weir_time_between(began, loop_now(pool->loop)));
    return err;
}

struct conn *pool_take(struct pool *pool, const struct peer *peer, enum look look)
{
    struct pool_key *key = find_key(pool, peer);
    if (!key)
        return NULL;
    for (struct list *link; (link = list_first(&key->idle));) {
        struct conn *conn = container_of(link, struct conn, key_link);
        enum close_reason reason;
        must(conn->magic == CONN_MAGIC && key_equal(&conn->key->key, &peer->key));
        if (!idle_passes_checkout(conn, look, &reason)) {
            pool_close(&conn, reason, false);
            continue;
        }
        idle_leave(conn);
        /* An equal key may stand in another upstream too: from here on that one counts it. */
        conn->peer = peer;
        enter_use(conn);
        key->reused_count++;
        histogram_add(&conn_stats(conn)->idle_age,
                      weir_time_between(conn->released, loop_now(pool->loop)));
        return conn;
    }
    return NULL;
}

static enum close_reason close_reason_of(enum keep keep)
{
    switch (keep) {
    case KEEP_NOT_REQUEST_INCOMPLETE:
    case KEEP_NOT_RESPONSE_INCOMPLETE:
        return CLOSE_ERROR;
    case KEEP_NOT_MAX_AGE:
        return CLOSE_MAX_AGE;
    case KEEP_NOT_MAX_REQUESTS:
        return CLOSE_MAX_REQUESTS;
    case KEEP_NOT_SERVICE_DRAINING:
        return CLOSE_SHUTDOWN;
    case KEEP_NOT_PEER_DRAINED:
        return CLOSE_DRAINED;
    case KEEP_NOT_CLOSED:
        return CLOSE_PEER_CLOSED;
    case KEEP_NOT_EXCESS_BODY:
    case KEEP_NOT_UNEXPECTED_DATA:
        return CLOSE_UNEXPECTED_DATA;
    default:
        return CLOSE_NOT_REUSABLE;
    }
}

static void add_pool_facts(const struct conn *conn, struct keep_facts *facts)
{
    const struct peer_limits *limits = &conn->peer->options.limits;
    const struct pool *pool = conn->pool;
    facts->requests = conn->requests;
    facts->max_requests = limits->max_requests_per_connection;
    facts->age = weir_time_between(conn->born, loop_now(pool->loop));
    facts->max_age = conn->max_age;
    facts->service_draining = pool->draining;
    facts->idle_timeout = limits->idle_timeout;
    facts->pool_size = pool->size;
}

static void evict_over_size(struct pool *pool)
{
    while (pool->idle_count > pool->size) {
        struct conn *oldest = container_of(list_first(&pool->idle), struct conn, idle_link);
        pool_close(&oldest, CLOSE_EVICTED, false);
    }
}

void pool_put(struct conn **conn, struct keep_facts *facts)
{
    struct conn *released = *conn;
    struct pool *pool = released->pool;
    *conn = NULL;
    add_pool_facts(released, facts);
    enum keep keep = keep_decide(facts);
    enum close_reason reason = CLOSE_NOT_REUSABLE;
    if (keep == KEEP && !idle_is_alive(released, LOOK_TOLD, PLACE_RELEASE, &reason)) {
        keep = reason == CLOSE_UNEXPECTED_DATA ? KEEP_NOT_UNEXPECTED_DATA : KEEP_NOT_CLOSED;
        stat_add(&conn_stats(released)->not_kept[keep], 1);
        pool_close(&released, reason, false);
        return;
    }
    if (keep == KEEP) {
        leave_use(released);
        idle_enter(released, keep_rest(facts));
        evict_over_size(pool);
        return;
    }
    stat_add(&conn_stats(released)->not_kept[keep], 1);
    /* A cut-off exchange must not look like a finished one to the server. */
    bool reset = facts->request_incomplete || facts->response_incomplete;
    pool_close(&released, close_reason_of(keep), reset);
}

void pool_close_idle_since(struct pool *pool, const struct peer *peer, struct weir_time released)
{
    struct pool_key *key = find_key(pool, peer);
    if (!key)
        return;
    for (struct list *link; (link = list_last(&key->idle));) {
        struct conn *conn = container_of(link, struct conn, key_link);
        if (weir_time_before(released, conn->released))
            return;
        pool_close(&conn, CLOSE_PEER_CLOSED, false);
    }
}

static void audit_key(const struct pool_key *key, unsigned *ret_idle, unsigned *ret_in_use)
{
    unsigned idle = 0;
    list_each (link, &key->idle) {
        const struct conn *conn = container_of(link, struct conn, key_link);
        must(conn->magic == CONN_MAGIC && conn->state == CONN_IDLE && conn->key == key);
        idle++;
    }
    must(idle == key->idle_count);
    must(key->opened_count - key->closed_count == key->idle_count + key->in_use_count);
    *ret_idle += key->idle_count;
    *ret_in_use += key->in_use_count;
}

void pool_audit(const struct pool *pool)
{
    unsigned idle = 0, in_use = 0, dialling = 0, conns = 0;
    for (size_t i = 0; i < pool->keys.bucket_count; i++)
        for (struct map_link *at = pool->keys.buckets[i]; at; at = at->next) {
            const struct pool_key *key = container_of(at, struct pool_key, link);
            audit_key(key, &idle, &in_use);
            dialling += key->dialling_count;
        }
    list_each (link, &pool->conns)
        conns++;
    must(idle == pool->idle_count && in_use == pool->in_use_count);
    must(dialling == pool->dialling_count);
    must(conns == idle + in_use);
    must(pool->idle_count <= pool->size);
    must(pool->opened_count - pool->closed_count == idle + in_use);
}
