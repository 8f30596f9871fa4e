/* SPDX-License-Identifier: MIT */
#include "upstream/errand.h"

#include "base/check.h"
#include "co/wait.h"
#include "upstream/ask.h"
#include "upstream/idle.h"
#include "upstream/pool.h"

/* While others rest and wake so quickly that none can be evicted in so many tries, it is closed. */
enum { PLACE_TRIES = 4 };

static struct errand *new_errand(struct pool *pool)
{
    struct errand *errand = slab_alloc(&pool->errand_slab);
    if (!errand)
        return NULL;
    errand->from = pool;
    pool->errand_count++;
    return errand;
}

static void free_errand(struct errand *errand)
{
    struct pool *pool = errand->from;
    if (errand->peer)
        peer_unref(errand->peer);
    if (errand->key)
        pool_key_let_go(pool, errand->key);
    if (errand->held_census)
        commons_release(pool->commons, &errand->held_census);
    pool->errand_count--;
    slab_free(&pool->errand_slab, errand);
}

static void send_to(struct errand *errand, unsigned worker, void (*there)(struct mail *mail))
{
    errand->to = errand->from->commons->parts[worker];
    errand->mail.deliver = there;
    loop_post(errand->to->loop, &errand->mail);
}

static void deliver_back(struct mail *mail)
{
    struct errand *errand = container_of(mail, struct errand, mail);
    errand->back(errand);
}

static void send_back(struct errand *errand)
{
    errand->mail.deliver = deliver_back;
    loop_post(errand->from->loop, &errand->mail);
}

/* What this worker's part knows of the errand's key. */
static struct pool_key *key_there(const struct errand *errand)
{
    return errand->census->counts[errand->to->worker].local;
}

/* Taking over. */

static void on_moved(struct parcel *parcel, void *owner)
{
    struct errand *errand = owner;
    must(parcel == &errand->parcel);
    send_back(errand);
}

static void give_one(struct mail *mail)
{
    struct errand *errand = container_of(mail, struct errand, mail);
    struct pool_key *key = key_there(errand);
    struct conn *conn = NULL;
    unsigned dead;
    if (key) {
        pool_key_hold(key);
        conn = pool_take(errand->to, key, LOOK_SURELY, false, &dead);
        pool_key_let_go(errand->to, key);
    }
    if (conn && stream_can_move(conn->stream))
        move_out(&conn, &errand->parcel, on_moved, errand);
    else
        send_back(errand);
    if (conn)
        pool_offer(&conn);
}

/*
 * It came in vain, since somebody was faster. Who stands in the queue asks on: another worker's may
 * rest there and nobody would tell, until all that are in use come back. Not for ever, since there
 * may be some that cannot be given.
 */
static bool asks_on(struct ask *ask)
{
    return ask->place == IN_QUEUE && !ask_is_settled(ask) &&
           ask->errand_count < 2 * ask->pool->commons->part_count && errand_take(ask);
}

static void take_back(struct errand *errand)
{
    struct ask *ask = errand->ask;
    struct pool *pool = errand->from;
    struct conn *conn = NULL;
    enum take_result result = TAKE_NONE;
    if (errand->parcel.full)
        conn = move_in(pool, errand->key, errand->peer, &errand->parcel);
    if (conn)
        result = ask && !ask_is_settled(ask) && ask_may_have(ask, conn) ? TAKE_GIVEN : TAKE_LATE;
    stat_add(&peer_stats(pool, errand->peer)->takeovers[result], 1);
    if (ask)
        ask->errand = NULL;
    if (conn && result == TAKE_GIVEN)
        ask_give(ask, conn);
    else if (conn)
        pool_offer(&conn);
    else if (ask && !asks_on(ask))
        co_wake(ask->co);
    free_errand(errand);
}

bool errand_take(struct ask *ask)
{
    struct pool *pool = ask->pool;
    int worker = census_most(ask->key->census, pool->worker);
    struct errand *errand = worker >= 0 ? new_errand(pool) : NULL;
    if (!errand)
        return false;
    errand->census = ask->key->census;
    errand->key = ask->key;
    errand->peer = peer_ref(ask->peer);
    errand->ask = ask;
    errand->back = take_back;
    ask->errand = errand;
    ask->errand_count++;
    pool_key_hold(ask->key);
    send_to(errand, (unsigned)worker, give_one);
    return true;
}

/* Evicting. */

static struct conn *oldest_of(struct pool *pool)
{
    struct list *link = list_first(&pool->idle);
    return link ? container_of(link, struct conn, idle_link) : NULL;
}

static struct conn *oldest_of_process(const struct pool *pool)
{
    struct conn *oldest = oldest_of((struct pool *)pool);
    if (!pool->family)
        return oldest;
    list_each (link, &pool->family->pools) {
        struct conn *conn = oldest_of(container_of(link, struct pool, family_link));
        if (conn && (!oldest || weir_time_before(conn->released, oldest->released)))
            oldest = conn;
    }
    return oldest;
}

static struct conn *oldest_of_key(struct pool_key *key)
{
    struct list *link = key ? list_last(&key->idle) : NULL;
    return link ? container_of(link, struct conn, key_link) : NULL;
}

static void send_back_now(struct mail *mail)
{
    send_back(container_of(mail, struct errand, mail));
}

/* What is closed goes to the kernel within this turn, so its port and descriptor are free in the
 * next. */
static void send_back_next_turn(struct errand *errand)
{
    errand->mail.deliver = send_back_now;
    loop_post(errand->to->loop, &errand->mail);
}

static void evict_there(struct mail *mail)
{
    struct errand *errand = container_of(mail, struct errand, mail);
    struct pool *pool = errand->to;
    struct conn *conn = errand->of_process ? oldest_of_process(pool)
                        : errand->census   ? oldest_of_key(key_there(errand))
                                           : oldest_of(pool);
    if (conn) {
        errand->granted = true;
        pool_close(&conn, CLOSE_EVICTED, errand->frees_port);
    }
    if (errand->conn)
        errand->has_place = places_take(&pool->commons->places, pool->worker);
    if (errand->granted && errand->waiting)
        send_back_next_turn(errand);
    else
        send_back(errand);
}

/* A place for a connection. */

/* It has one. Somebody may have begun to wait meanwhile, and the server may have ended it. */
static void use_place(struct errand *errand)
{
    struct conn *conn = errand->conn;
    struct pool *pool = errand->from;
    enum close_reason reason = CLOSE_SHUTDOWN;
    free_errand(errand);
    if (!pool->draining && !peer_is_drained(conn->peer) && idle_may_rest(conn, &reason) &&
        idle_is_alive(conn, LOOK_SURELY, PLACE_RELEASE, &reason)) {
        pool_lay_to_rest(conn);
        return;
    }
    places_give(&pool->commons->places, pool->worker);
    pool_close(&conn, peer_is_drained(conn->peer) ? CLOSE_DRAINED : reason, false);
}

/*
 * The oldest of all goes, wherever it rests. One of this worker's goes at once; for another's this
 * connection waits until it is closed, so that there are never more than the pool's size.
 */
static void look_for_place(struct errand *errand)
{
    struct pool *pool = errand->from;
    struct conn *conn = errand->conn;
    struct places *places = &pool->commons->places;
    for (; errand->tries < PLACE_TRIES; errand->tries++) {
        if (places_take(places, pool->worker)) {
            use_place(errand);
            return;
        }
        int worker = places_find_oldest(places);
        if (worker >= 0 && (unsigned)worker != pool->worker) {
            errand->tries++;
            send_to(errand, (unsigned)worker, evict_there);
            return;
        }
        struct conn *oldest = oldest_of(pool);
        if (oldest)
            pool_close(&oldest, CLOSE_EVICTED, false);
    }
    free_errand(errand);
    pool_close(&conn, CLOSE_EVICTED, false);
}

static void place_back(struct errand *errand)
{
    if (errand->has_place)
        use_place(errand);
    else
        look_for_place(errand);
}

void errand_find_place(struct conn *conn)
{
    struct errand *errand = new_errand(conn->pool);
    if (!errand) {
        pool_close(&conn, CLOSE_EVICTED, false);
        return;
    }
    errand->conn = conn;
    errand->back = place_back;
    look_for_place(errand);
}

/* Room for a dial. */

static void forget(struct errand *errand)
{
    free_errand(errand);
}

static void wake(struct errand *errand)
{
    errand->returned = true;
    co_wake(errand->waiting);
}

/*
 * On its way to where a connection rests at this key's address, but not under `except` (NULL: under
 * any key). False: nowhere.
 */
static bool send_for_other(struct errand *errand, const struct pool_key *key,
                           const struct census *except)
{
    struct pool *pool = errand->from;
    int worker = commons_find_other(pool->commons, gate_of(key), except, &errand->held_census);
    if (worker < 0)
        return false;
    errand->census = errand->held_census;
    send_to(errand, (unsigned)worker, evict_there);
    return true;
}

void errand_evict_other(struct pool *pool, struct pool_key *key, bool any)
{
    if (!any && atomic_load(&gate_of(key)->census_count) == 1)
        return;
    struct errand *errand = new_errand(pool);
    if (!errand)
        return;
    errand->back = forget;
    if (!send_for_other(errand, key, any ? NULL : key->census))
        free_errand(errand);
}

/* Waits firmly: what is away with its name in it must come back. */
WEIR_SUSPENDS static bool wait_for(struct errand *errand)
{
    while (!errand->returned)
        co_wait_firm();
    bool granted = errand->granted;
    free_errand(errand);
    return granted;
}

bool errand_make_port(struct pool *pool, struct pool_key *key)
{
    struct errand *errand = new_errand(pool);
    if (!errand)
        return false;
    errand->back = wake;
    errand->waiting = co_self();
    errand->frees_port = true;
    if (send_for_other(errand, key, key->census))
        return wait_for(errand);
    free_errand(errand);
    return false;
}

bool errand_make_descriptor(struct pool *pool)
{
    struct errand *errand = new_errand(pool);
    bool granted = false;
    for (unsigned i = 0; errand && i < pool->commons->part_count && !granted; i++) {
        errand->back = wake;
        errand->waiting = co_self();
        errand->of_process = true;
        errand->returned = false;
        send_to(errand, (pool->worker + i) % pool->commons->part_count, evict_there);
        while (!errand->returned)
            co_wait_firm();
        granted = errand->granted;
    }
    if (errand)
        free_errand(errand);
    return granted;
}
