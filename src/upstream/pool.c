/* SPDX-License-Identifier: MIT */
#include "upstream/pool.h"

#include "base/check.h"
#include "upstream/conn_h2.h"
#include "upstream/dialling.h"
#include "upstream/errand.h"
#include "upstream/idle.h"
#include "upstream/keys.h"
#include "upstream/registry.h"
#include "upstream/session_custom.h"
#include "upstream/session_h1.h"
#include "upstream/session_h2.h"

static void init_slabs(struct pool *pool)
{
    slab_init(&pool->conn_slab, "upstream connection", sizeof(struct conn));
    slab_init(&pool->session_slab, "session", sizeof(struct session_h1));
    slab_init(&pool->h2_slab, "upstream connection of HTTP/2", sizeof(struct conn_h2));
    slab_init(&pool->h2_session_slab, "session of HTTP/2", sizeof(struct session_h2));
    slab_init(&pool->custom_session_slab, "session of a transport", sizeof(struct session_custom));
    slab_init(&pool->trailer_slab, "response trailers", sizeof(struct fields));
    slab_init(&pool->ask_slab, "ask", sizeof(struct ask));
    slab_init(&pool->errand_slab, "errand", sizeof(struct errand));
    slab_init(&pool->dial_slab, "dial", sizeof(struct dialling));
}

void pool_init(struct pool *pool, const struct pool_options *options)
{
    *pool = (struct pool){
        .loop = options->loop,
        .streams = options->streams,
        .commons = options->commons,
        .family = options->family,
        .worker = options->worker,
        .stats = options->stats,
    };
    map_init(&pool->keys);
    list_init(&pool->conns);
    list_init(&pool->idle);
    list_init(&pool->dials);
    list_init(&pool->family_link);
    scope_init(&pool->work);
    init_slabs(pool);
    rand_init(&pool->rand, options->seed);
    must(!pool->commons->parts[pool->worker]);
    pool->commons->parts[pool->worker] = pool;
    if (pool->family)
        list_push_back(&pool->family->pools, &pool->family_link);
}

void pool_fini(struct pool *pool)
{
    pool_drain(pool);
    must(pool->in_use_count == 0 && list_is_empty(&pool->conns) && pool_is_quiet(pool));
    keys_forget_all(pool);
    slab_fini(&pool->conn_slab);
    slab_fini(&pool->session_slab);
    slab_fini(&pool->h2_slab);
    slab_fini(&pool->h2_session_slab);
    slab_fini(&pool->custom_session_slab);
    slab_fini(&pool->trailer_slab);
    slab_fini(&pool->ask_slab);
    slab_fini(&pool->errand_slab);
    slab_fini(&pool->dial_slab);
    list_remove(&pool->family_link);
    pool->commons->parts[pool->worker] = NULL;
}

bool pool_is_quiet(const struct pool *pool)
{
    return scope_is_empty(&pool->work) && pool->dialling_count == 0 && pool->errand_count == 0 &&
           pool->abandoned_count == 0;
}

void pool_drain(struct pool *pool)
{
    pool->draining = true;
    for (struct list *link; (link = list_first(&pool->idle));) {
        struct conn *conn = container_of(link, struct conn, idle_link);
        pool_close(&conn, CLOSE_SHUTDOWN, false);
    }
    dialling_drain(pool);
}

static void enter_use(struct conn *conn)
{
    conn->state = CONN_IN_USE;
    conn->pool->in_use_count++;
    conn->key->in_use_count++;
    stat_add(&conn_stats(conn)->in_use[conn->protocol], 1);
    if (conn->peer->options.counts_active && conn->protocol != HTTP_2) /* its streams are */
        atomic_fetch_add_explicit(&gate_of(conn->key)->active, 1, memory_order_relaxed);
}

static void leave_use(struct conn *conn)
{
    must(conn->state == CONN_IN_USE && (!conn->h2 || conn->streams == 0));
    conn->streams = 0;
    conn->pool->in_use_count--;
    conn->key->in_use_count--;
    stat_sub(&conn_stats(conn)->in_use[conn->protocol], 1);
    if (conn->peer->options.counts_active && conn->protocol != HTTP_2)
        atomic_fetch_sub_explicit(&gate_of(conn->key)->active, 1, memory_order_relaxed);
}

/* +- 10 %, so that connections that were opened together do not end together. */
static int64_t jittered(struct rand *rand, int64_t amount)
{
    int64_t tenth = amount / 10;
    return amount - tenth + (int64_t)rand_below(rand, (uint64_t)tenth * 2 + 1);
}

static void begin_life(struct conn *conn)
{
    struct pool *pool = conn->pool;
    const struct peer_limits *limits = &conn->peer->options.limits;
    uint64_t requests = limits->max_requests_per_connection;
    conn->id = atomic_fetch_add_explicit(&pool->commons->next_conn_id, 1, memory_order_relaxed);
    conn->born = conn->released = loop_now(pool->loop);
    conn->rest_for = limits->idle_timeout;
    conn->max_age = limits->max_connection_age;
    if (!weir_span_is_forever(conn->max_age))
        conn->max_age = weir_span_ns(jittered(&pool->rand, conn->max_age.ns));
    conn->max_requests = requests > 0 ? (uint64_t)jittered(&pool->rand, (int64_t)requests) : 0;
    pool->opened_count++;
    conn->key->opened_count++;
    stat_add(&conn_stats(conn)->opened, 1);
}

static void go_on_with_life(struct conn *conn, const struct parcel *parcel)
{
    conn->id = parcel->id;
    conn->born = parcel->born;
    conn->released = parcel->released;
    conn->max_age = parcel->max_age;
    conn->rest_for = parcel->rest_for;
    conn->max_requests = parcel->max_requests;
    conn->requests = parcel->requests;
    conn->moved = conn->rested = true;
    conn->pool->moved_in_count++;
    conn->key->moved_in_count++;
}

/* WEIR_E_NO_MEMORY: it has no stream then. */
static enum weir_err begin_http2(struct conn *conn, struct parcel *parcel)
{
    if (!parcel)
        return conn_h2_begin(conn);
    h2_wire_resume(parcel->wire, conn->stream, &conn->pool->work, conn);
    return conn_h2_join(conn, &parcel->wire);
}

struct conn *pool_add(struct pool *pool, struct pool_key *key, struct peer *peer,
                      struct stream **stream, enum http_protocol protocol, struct parcel *parcel)
{
    struct conn *conn = slab_alloc(&pool->conn_slab);
    if (!conn) {
        stream_close(stream, true);
        return NULL;
    }
    conn->magic = CONN_MAGIC;
    conn->protocol = protocol;
    conn->pool = pool;
    conn->key = key;
    conn->peer = peer_ref(peer);
    conn->stream = *stream;
    *stream = NULL;
    idle_init(conn);
    if (protocol == HTTP_2 && begin_http2(conn, parcel) != WEIR_OK) {
        peer_unref(peer);
        slab_free(&pool->conn_slab, conn);
        return NULL;
    }
    list_push_back(&pool->conns, &conn->all_link);
    if (parcel)
        go_on_with_life(conn, parcel);
    else
        begin_life(conn);
    enter_use(conn);
    if (conn->h2)
        conn_h2_rouse(conn);
    return conn;
}

/* Out of the books; its stream is gone already. */
static void forget(struct conn *conn)
{
    struct pool *pool = conn->pool;
    struct pool_key *key = conn->key;
    list_remove(&conn->all_link);
    peer_unref(conn->peer);
    conn->magic = 0;
    slab_free(&pool->conn_slab, conn);
    key_tidy(pool, key);
}

void pool_remove_moved(struct conn **conn)
{
    struct conn *moved = *conn;
    *conn = NULL;
    must(moved->magic == CONN_MAGIC && !moved->stream);
    leave_use(moved);
    moved->pool->moved_out_count++;
    moved->key->moved_out_count++;
    forget(moved);
}

void pool_close(struct conn **conn, enum close_reason reason, bool reset)
{
    struct conn *closing = *conn;
    *conn = NULL;
    if (!closing)
        return;
    struct pool *pool = closing->pool;
    struct pool_key *key = closing->key;
    struct gate *gate = gate_of(key);
    must(closing->magic == CONN_MAGIC);
    pool_key_hold(key); /* who hopes for the connection lets go of it */
    if (closing->state == CONN_IDLE)
        idle_leave(closing);
    else
        leave_use(closing);
    closing->pool->closed_count++;
    closing->key->closed_count++;
    stat_add(&conn_stats(closing)->closed[reason], 1);
    if (closing->h2)
        conn_h2_end(closing, reset);
    else
        stream_close(&closing->stream, reset);
    gate_closed(gate);
    forget(closing);
    pool_key_let_go(pool, key);
}

void pool_change_peer(struct conn *conn, struct peer *peer)
{
    if (conn->peer == peer || conn->streams > 0)
        return;
    leave_use(conn);
    peer_ref(peer);
    peer_unref(conn->peer);
    conn->peer = peer;
    enter_use(conn);
}

void pool_rouse(struct conn *conn)
{
    idle_leave(conn);
    enter_use(conn);
    if (conn->h2)
        conn_h2_rouse(conn);
}

void pool_rest(struct conn *conn)
{
    leave_use(conn);
    idle_enter(conn);
}

struct conn *pool_take(struct pool *pool, struct pool_key *key, enum look look, bool only_http1,
                       unsigned *ret_dead)
{
    unsigned dead = 0;
    struct conn *taken = NULL;
    list_each (link, &key->idle) {
        struct conn *conn = container_of(link, struct conn, key_link);
        enum close_reason reason;
        must(conn->magic == CONN_MAGIC && conn->pool == pool && conn->key == key);
        if (conn->probes || (conn->h2 && (only_http1 || conn_h2_limit(conn) == 0)))
            continue;
        if (idle_passes_checkout(conn, look, &reason)) {
            taken = conn;
            break;
        }
        dead++;
        pool_close(&conn, reason, false);
    }
    *ret_dead = dead;
    if (taken)
        pool_rouse(taken);
    return taken;
}

void pool_close_idle_since(struct pool *pool, const struct peer *peer, struct weir_time released)
{
    struct pool_key *key = key_find(pool, &peer->key);
    if (!key)
        return;
    pool_key_hold(key);
    for (struct list *link; (link = list_last(&key->idle));) {
        struct conn *conn = container_of(link, struct conn, key_link);
        if (weir_time_before(released, conn->released))
            break;
        pool_close(&conn, CLOSE_PEER_CLOSED, false);
    }
    pool_key_let_go(pool, key);
}
