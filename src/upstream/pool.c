/* SPDX-License-Identifier: MIT */
#include "upstream/pool.h"

#include "base/check.h"
#include "base/log.h"
#include "upstream/dial.h"
#include "upstream/session_h1.h"

#include <stdlib.h>

enum { CONN_MAGIC = 0xc0991dd1 };

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

static void leave_idle(struct conn *conn)
{
    must(conn->state == CONN_IDLE);
    loop_timer_disarm(conn->pool->loop, &conn->rest);
    stream_watch(conn->stream, NULL, NULL);
    list_remove(&conn->key_link);
    list_remove(&conn->idle_link);
    conn->pool->idle_count--;
    conn->key->idle_count--;
    stat_sub(&conn_stats(conn)->idle, 1);
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
        leave_idle(closing);
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

void pool_note_unexpected(const struct conn *conn, enum data_place place, struct weir_slice bytes)
{
    char text[LOG_ESCAPED_SIZE];
    stat_add(&conn_stats(conn)->unexpected_data[place], 1);
    LOG_LIMITED(LOG_WARN, "upstream %s: %s: unexpected data at %s on connection %llu: \"%s\"",
                conn->peer->options.upstream, conn->peer->address_text, data_place_name(place),
                (unsigned long long)conn->id, log_escape(bytes, text));
}

/*
 * Looks at a connection that nobody reads from. False, with the reason, when it must be closed.
 * `ask`: whether the kernel is asked although it announced nothing.
 */
static bool is_alive(struct conn *conn, bool ask, enum data_place place,
                     enum close_reason *ret_reason)
{
    struct iobuf *buf = NULL;
    switch (stream_look(conn->stream, ask, &buf)) {
    case STREAM_QUIET:
        return true;
    case STREAM_BYTES:
        pool_note_unexpected(conn, place, iobuf_slice(buf));
        iobuf_give(&conn->pool->loop->bufs, &buf);
        *ret_reason = CLOSE_UNEXPECTED_DATA;
        return false;
    case STREAM_ENDED:
        *ret_reason = CLOSE_PEER_CLOSED;
        return false;
    default:
        *ret_reason = CLOSE_PEER_RESET;
        return false;
    }
}

static void on_idle_event(struct stream *stream, void *owner)
{
    struct conn *conn = owner;
    enum close_reason reason;
    must(conn->magic == CONN_MAGIC && conn->stream == stream);
    if (!is_alive(conn, false, PLACE_IDLE, &reason))
        pool_close(&conn, reason, false);
}

static void on_rested(struct timer *timer)
{
    struct conn *conn = container_of(timer, struct conn, rest);
    pool_close(&conn, conn->rest_ends_by, false);
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
    list_init(&conn->key_link);
    list_init(&conn->idle_link);
    list_push_back(&pool->conns, &conn->all_link);
    timer_init(&conn->rest, on_rested);
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

/* The look at checkout; what was released in this very turn was looked at in it. */
static bool passes_checkout(struct conn *conn, enum close_reason *ret_reason)
{
    struct loop *loop = conn->pool->loop;
    if (weir_time_between(conn->born, loop_now(loop)).ns >= conn->max_age.ns) {
        *ret_reason = CLOSE_MAX_AGE;
        return false;
    }
    bool ask = conn->released_turn != loop->turn;
    return is_alive(conn, ask, PLACE_CHECKOUT, ret_reason);
}

struct conn *pool_take(struct pool *pool, const struct peer *peer)
{
    struct pool_key *key = find_key(pool, peer);
    if (!key)
        return NULL;
    for (struct list *link; (link = list_first(&key->idle));) {
        struct conn *conn = container_of(link, struct conn, key_link);
        enum close_reason reason;
        must(conn->magic == CONN_MAGIC && key_equal(&conn->key->key, &peer->key));
        if (!passes_checkout(conn, &reason)) {
            pool_close(&conn, reason, false);
            continue;
        }
        leave_idle(conn);
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

static void evict_over_size(struct pool *pool)
{
    while (pool->idle_count > pool->size) {
        struct conn *oldest = container_of(list_first(&pool->idle), struct conn, idle_link);
        pool_close(&oldest, CLOSE_EVICTED, false);
    }
}

static void park(struct conn *conn, struct weir_span rest)
{
    struct pool *pool = conn->pool;
    struct weir_time now = loop_now(pool->loop);
    struct weir_span left = weir_span_ns(conn->max_age.ns - weir_time_between(conn->born, now).ns);
    bool age_first = !weir_span_is_forever(conn->max_age) && left.ns < rest.ns;
    leave_use(conn);
    conn->state = CONN_IDLE;
    conn->released = now;
    conn->released_turn = pool->loop->turn;
    conn->rest_ends_by = age_first ? CLOSE_MAX_AGE : CLOSE_IDLE_TIMEOUT;
    loop_timer_arm(pool->loop, &conn->rest, age_first ? left : rest);
    stream_watch(conn->stream, on_idle_event, conn);
    list_push_front(&conn->key->idle, &conn->key_link);
    list_push_back(&pool->idle, &conn->idle_link);
    pool->idle_count++;
    conn->key->idle_count++;
    stat_add(&conn_stats(conn)->idle, 1);
    evict_over_size(pool);
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

void pool_put(struct conn **conn, struct keep_facts *facts)
{
    struct conn *released = *conn;
    *conn = NULL;
    add_pool_facts(released, facts);
    enum keep keep = keep_decide(facts);
    enum close_reason reason = CLOSE_NOT_REUSABLE;
    if (keep == KEEP && !is_alive(released, false, PLACE_RELEASE, &reason)) {
        keep = reason == CLOSE_UNEXPECTED_DATA ? KEEP_NOT_UNEXPECTED_DATA : KEEP_NOT_CLOSED;
        stat_add(&conn_stats(released)->not_kept[keep], 1);
        pool_close(&released, reason, false);
        return;
    }
    if (keep == KEEP) {
        park(released, keep_rest(facts));
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
