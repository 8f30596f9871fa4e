/* SPDX-License-Identifier: MIT */
#include "upstream/ask.h"

#include "base/check.h"
#include "co/wait.h"
#include "upstream/conn_h2.h"
#include "upstream/dialling.h"
#include "upstream/errand.h"
#include "upstream/pool.h"
#include "upstream/registry.h"
#include "upstream/share.h"

/* Another worker gives a connection within its present turn, or dialling is the better way. */
#define PATIENCE weir_span_ms(10)
/* RFC 8305 section 5: how long one attempt to connect goes on alone. */
#define ATTEMPT_DELAY weir_span_ms(250)
/* What comes on top may take longer where the address is good; beyond this another one is tried. */
#define CONNECTED_DELAY weir_span_s(1)

bool ask_is_settled(const struct ask *ask)
{
    return ask->conn || ask->err;
}

/* Whoever decides leaves the key's list, so that nothing more is given. */
static void settle(struct ask *ask)
{
    list_remove(&ask->key_link);
    ask->key->ask_count--;
    co_wake(ask->co);
}

/* One of HTTP/2 that was made while it asked is fresh enough, whoever had a stream of it first. */
static bool is_fresh(const struct ask *ask, const struct conn *conn)
{
    return conn->h2 && !conn->rested && !weir_time_before(conn->born, ask->asked);
}

bool ask_may_have(const struct ask *ask, const struct conn *conn)
{
    if (conn->h2 && (ask->only_http1 || conn->streams >= conn_h2_limit(conn)))
        return false;
    return !ask->wants_fresh || is_fresh(ask, conn);
}

static enum wait_result result_of(const struct ask *ask, const struct conn *conn)
{
    if (conn->moved)
        return WAIT_TAKEN_OVER;
    if (conn->h2 && !conn->rested && weir_time_is_never(ask->dial_began))
        return WAIT_SHARED;
    return conn->requests || conn->rested ? WAIT_HANDED : WAIT_DIALLED;
}

void ask_give(struct ask *ask, struct conn *conn)
{
    must(!ask_is_settled(ask));
    ask->conn = conn;
    ask->result = result_of(ask, conn);
    if (conn->key == ask->key)
        pool_change_peer(conn, ask->peer);
    registry_add_stream(conn);
    settle(ask);
    share_lead_ends(ask, WEIR_OK);
}

void ask_fail_now(struct ask *ask, enum weir_err err)
{
    ask->err = err;
    ask->result = err == WEIR_E_PEER_DRAINED ? WAIT_DRAINED : WAIT_FAILED;
    settle(ask);
}

void ask_fail(struct ask *ask, enum weir_err err)
{
    if (ask_is_settled(ask))
        return;
    ask_fail_now(ask, err);
    share_lead_ends(ask, WEIR_OK);
}

/* The next of its server's addresses that was not tried; NULL: all were. */
static struct peer *next_sibling(const struct ask *ask)
{
    struct list *link = &ask->peer->sibling;
    for (unsigned i = 0; i < ask->peers_tried; i++) {
        link = link->next;
        if (link == &ask->peer->sibling)
            return NULL;
    }
    return container_of(link, struct peer, sibling);
}

static void note_dial(struct ask *ask)
{
    ask->waited_for_tls = false;
    ask->slow = next_sibling(ask) ? loop_deadline(ask->pool->loop, ATTEMPT_DELAY) : WEIR_NEVER;
}

/* False: none is left that may be dialled now. */
static bool dial_sibling(struct ask *ask)
{
    for (struct peer *peer; (peer = next_sibling(ask));) {
        const struct peer_limits *limits = &peer->options.limits;
        struct pool_key *key = pool_key_of(ask->pool, peer);
        ask->peers_tried++;
        if (key && gate_enter_now(gate_of(key), limits->max_connections, limits->max_dials) &&
            dialling_start(ask->pool, key, peer, ask) == WEIR_OK) {
            note_dial(ask);
            return true;
        }
    }
    ask->slow = WEIR_NEVER;
    return false;
}

void ask_dial_failed(struct ask *ask, enum weir_err err)
{
    if (ask_is_settled(ask) || dial_sibling(ask) || !list_is_empty(&ask->dials))
        return;
    ask_fail_now(ask, err);
    share_lead_ends(ask, err);
}

/* What becomes free at this worker finds it anyway. */
static void stand_by(struct ask *ask)
{
    if (ask->wants_fresh || ask->pool->commons->part_count == 1)
        return;
    ask->place = STANDING_BY;
    gate_stand_by(gate_of(ask->key), ask);
}

/* There is room at its own gate. */
static void start_dial(struct ask *ask)
{
    ask->dial_began = loop_now(ask->pool->loop);
    ask->peers_tried = 1;
    note_dial(ask);
    share_lead(ask);
    enum weir_err err = dialling_start(ask->pool, ask->key, ask->peer, ask);
    if (err)
        ask_fail(ask, err);
    else
        stand_by(ask);
}

/* The address is worse than another one until it has connected. */
static void add_company(struct ask *ask)
{
    struct list *link = list_last(&ask->dials);
    struct dialling *last = link ? container_of(link, struct dialling, ask_link) : NULL;
    ask->slow = WEIR_NEVER;
    if (last && last->story.connected && !ask->waited_for_tls) {
        ask->waited_for_tls = true;
        ask->slow = loop_deadline(ask->pool->loop, CONNECTED_DELAY);
        return;
    }
    if (last && !last->story.connected)
        dialling_hold_peer(last);
    (void)dial_sibling(ask);
}

static void free_ask(struct ask *ask)
{
    struct pool *pool = ask->pool;
    struct pool_key *key = ask->key;
    peer_unref(ask->peer);
    slab_free(&pool->ask_slab, ask);
    pool_key_let_go(pool, key);
}

static void free_abandoned(struct ask *ask)
{
    ask->pool->abandoned_count--;
    free_ask(ask);
}

static void enter_queue(struct ask *ask)
{
    ask->place = IN_QUEUE;
    ask->key->waiting_count++;
    stat_add(&peer_stats(ask->pool, ask->peer)->waiting, 1);
}

static void leave_place(struct ask *ask)
{
    struct upstream_stats *stats = peer_stats(ask->pool, ask->peer);
    if (ask->place == IN_QUEUE) {
        ask->key->waiting_count--;
        stat_sub(&stats->waiting, 1);
        histogram_add(&stats->wait, weir_time_between(ask->asked, loop_now(ask->pool->loop)));
    }
    ask->place = AT_NO_GATE;
}

void ask_left_gate(struct ask *ask)
{
    if (ask->abandoned)
        free_abandoned(ask);
    else
        leave_place(ask);
}

static void take_conn(struct ask *ask)
{
    struct conn *conn = move_in(ask->pool, ask->key, ask->peer, &ask->parcel);
    if (conn && !ask_is_settled(ask) && ask_may_have(ask, conn))
        ask_give(ask, conn);
    else if (conn)
        pool_offer(&conn);
    else if (list_is_empty(&ask->dials))
        ask_fail(ask, WEIR_E_NO_MEMORY);
    else if (!ask_is_settled(ask))
        stand_by(ask);
}

/* The gate's answer is used, or handed on when it comes too late. */
static void take_answer(struct ask *ask)
{
    if (ask->answer == ANSWER_CONN)
        take_conn(ask);
    else if (ask->answer == ANSWER_DIAL && ask_is_settled(ask))
        gate_dialled(gate_of(ask->key), false);
    else if (ask->answer == ANSWER_DIAL)
        start_dial(ask);
    else if (!ask_is_settled(ask))
        stand_by(ask);
}

static void on_answer(struct mail *mail)
{
    struct ask *ask = container_of(mail, struct ask, mail);
    bool abandoned = ask->abandoned;
    leave_place(ask);
    take_answer(ask);
    if (abandoned)
        free_abandoned(ask);
}

void ask_answer(struct ask *ask, enum ask_answer answer)
{
    ask->answer = answer;
    ask->mail.deliver = on_answer;
    loop_post(ask->pool->loop, &ask->mail);
}

static void give_up(struct ask *ask, enum weir_err err)
{
    ask_fail(ask, err);
    ask->result = err == WEIR_E_CANCELED ? WAIT_CANCELED : WAIT_TIMEOUT;
}

/* True when the time is over and nothing has come. */
WEIR_SUSPENDS static bool waits_in_vain(struct ask *ask, struct weir_time until)
{
    enum weir_err err = co_wait(until);
    if (ask_is_settled(ask) || err == WEIR_OK)
        return false;
    if (err == WEIR_E_TIMEOUT)
        return true;
    give_up(ask, err);
    return false;
}

/* Other workers first: theirs are there already. */
WEIR_SUSPENDS static void ask_others(struct ask *ask)
{
    if (ask->wants_fresh || !errand_take(ask))
        return;
    struct weir_time patience = loop_deadline(ask->pool->loop, PATIENCE);
    while (!ask_is_settled(ask) && ask->errand &&
           weir_time_before(loop_now(ask->pool->loop), patience))
        (void)waits_in_vain(ask, patience);
}

static bool is_limited(const struct ask *ask)
{
    return ask->peer->options.limits.max_connections > 0;
}

static bool limit_is_reached(const struct ask *ask)
{
    unsigned connections, dials;
    gate_count(gate_of(ask->key), &connections, &dials);
    return is_limited(ask) && connections >= ask->peer->options.limits.max_connections;
}

static void enter_gate(struct ask *ask)
{
    switch (gate_enter(gate_of(ask->key), ask)) {
    case GATE_DIAL:
        start_dial(ask);
        return;
    case GATE_FULL:
        ask_fail(ask, WEIR_E_QUEUE_FULL);
        ask->result = WAIT_FULL;
        return;
    case GATE_WAIT:
        break;
    }
    enter_queue(ask);
    /* What was laid to rest elsewhere just before we stood in the queue is looked for once more. */
    if (!ask->wants_fresh && !ask->errand)
        (void)errand_take(ask);
    if (limit_is_reached(ask))
        errand_evict_other(ask->pool, ask->key, ask->wants_fresh);
}

/* The end of the queue's time, counted from then. */
static struct weir_time queue_end(const struct ask *ask, struct weir_time from)
{
    struct weir_span timeout = ask->peer->options.limits.queue_timeout;
    return is_limited(ask) ? weir_time_after(from, timeout) : WEIR_NEVER;
}

/*
 * The queue's time counts where max_connections is reached. Who stands there for a dial alone waits
 * on, and looks again after as long, since others may reach it meanwhile.
 */
WEIR_SUSPENDS static void wait_for_any(struct ask *ask, struct weir_time deadline)
{
    struct weir_time end = weir_time_min(queue_end(ask, ask->asked), deadline);
    while (!ask_is_settled(ask)) {
        if (!waits_in_vain(ask, weir_time_min(ask->slow, end)))
            continue;
        struct weir_time now = loop_now(ask->pool->loop);
        if (weir_time_before(now, end))
            add_company(ask);
        else if (ask->place == IN_QUEUE && limit_is_reached(ask))
            give_up(ask, WEIR_E_QUEUE_TIMEOUT);
        else if (!weir_time_before(now, deadline))
            give_up(ask, WEIR_E_CONNECT_TIMEOUT);
        else if (ask->place == IN_QUEUE)
            end = weir_time_min(queue_end(ask, weir_time_after(now, PATIENCE)), deadline);
        else
            end = deadline;
    }
}

static struct ask *new_ask(struct pool *pool, const struct ask_options *options)
{
    struct ask *ask = slab_alloc(&pool->ask_slab);
    if (!ask)
        return NULL;
    ask->pool = pool;
    ask->key = options->key;
    ask->peer = peer_ref(options->peer);
    ask->co = co_self();
    ask->asked = loop_now(pool->loop);
    ask->dial_began = ask->slow = WEIR_NEVER;
    list_init(&ask->dials);
    ask->wants_fresh = options->wants_fresh;
    ask->only_http1 = options->only_http1;
    list_init(&ask->key_link);
    list_init(&ask->gate_link);
    pool_key_hold(ask->key);
    list_push_back(&ask->key->asks, &ask->key_link);
    ask->key->ask_count++;
    return ask;
}

/* Leaves every place where it stands. What is still to come finds its way without it. */
static void end(struct ask *ask)
{
    must(list_is_empty(&ask->key_link));
    stat_add(&peer_stats(ask->pool, ask->peer)->waits[ask->result], 1);
    if (ask->errand)
        ask->errand->ask = NULL;
    for (struct list *link; (link = list_first(&ask->dials));)
        dialling_disown(container_of(link, struct dialling, ask_link));
    ask->errand = NULL;
    ask->co = NULL;
    bool stands_free = ask->place == AT_NO_GATE || gate_leave(gate_of(ask->key), ask);
    leave_place(ask);
    if (stands_free) {
        free_ask(ask);
        return;
    }
    ask->abandoned = true;
    ask->err = ask->err ? ask->err : WEIR_E_CANCELED;
    ask->pool->abandoned_count++;
}

/* For what becomes of another's dial; then there is a stream, or it goes on by itself. */
WEIR_SUSPENDS static void follow(struct ask *ask, struct weir_time deadline)
{
    while (!ask_is_settled(ask) && share_follow(ask))
        while (ask->follows && !ask_is_settled(ask))
            if (waits_in_vain(ask, deadline))
                give_up(ask, WEIR_E_CONNECT_TIMEOUT);
}

enum weir_err ask_for_conn(struct pool *pool, const struct ask_options *options,
                           struct ask_story *story, struct conn **ret_conn)
{
    struct ask *ask = new_ask(pool, options);
    if (!ask)
        return WEIR_E_NO_MEMORY;
    ask->ticket = story->ticket;
    ask_others(ask);
    follow(ask, options->deadline);
    if (!ask_is_settled(ask))
        enter_gate(ask);
    wait_for_any(ask, options->deadline);
    enum weir_err err = ask->err;
    if (!err)
        *ret_conn = ask->conn;
    *story = (struct ask_story){ask->ticket, ask->result, ask->dial_began};
    end(ask);
    return err;
}
