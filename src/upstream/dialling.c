/* SPDX-License-Identifier: MIT */
#include "upstream/dialling.h"

#include "base/check.h"
#include "upstream/dial.h"
#include "upstream/errand.h"
#include "upstream/pool.h"
#include "upstream/share.h"

static struct addr choose_source(struct pool *pool, const struct peer_options *options)
{
    if (options->source.len > 0 || options->source_count == 0)
        return options->source;
    return options->sources[pool->next_source++ % options->source_count];
}

WEIR_SUSPENDS static enum weir_err connect_once(struct dialling *self, struct stream **ret_stream)
{
    struct addr source = choose_source(self->pool, &self->peer->options);
    bool only_http1 =
        self->only_http1 || census_prefers_http1(self->key->census, loop_now(self->pool->loop));
    return dial(self->pool->streams, self->peer, &source, only_http1, &self->key->census->sessions,
                &self->story, ret_stream);
}

/* Where ports or descriptors have run out, an idle connection makes room for this one. */
WEIR_SUSPENDS static enum weir_err connect_somehow(struct dialling *self,
                                                   struct stream **ret_stream)
{
    enum weir_err err = connect_once(self, ret_stream);
    if ((err == WEIR_E_NO_PORTS && errand_make_port(self->pool, self->key)) ||
        (err == WEIR_E_NO_DESCRIPTORS && errand_make_descriptor(self->pool)))
        err = connect_once(self, ret_stream);
    return err;
}

static void count_dialling(struct dialling *self, int change)
{
    struct upstream_stats *stats = peer_stats(self->pool, self->peer);
    self->pool->dialling_count += (unsigned)change;
    self->key->dialling_count += (unsigned)change;
    stat_add(&stats->dialling, (uint64_t)(int64_t)change);
}

/* Parts it from who wanted it; NULL: nobody does any more. */
static struct ask *leave_ask(struct dialling *self)
{
    struct ask *ask = self->ask;
    list_remove(&self->ask_link);
    self->ask = NULL;
    return ask;
}

/* What the server picks, where it has the choice, is expected of it the next time. */
static void note_protocol(struct dialling *self)
{
    if (self->peer->options.protocol == PEER_AUTO && !self->only_http1)
        self->key->picks_http1 = self->story.protocol == HTTP_1;
}

/* The connection is its ask's if that still waits; else whoever may have it gets it. */
static void give(struct conn *conn, struct ask *ask)
{
    bool wanted = ask && !ask_is_settled(ask);
    /* Until it is settled who followed that ask waits for it. */
    if (conn->h2)
        share_hope(conn, ask ? ask->key : conn->key);
    if (wanted)
        ask_give(ask, conn);
    else
        pool_offer(&conn);
}

static void deliver(struct dialling *self, struct stream **stream)
{
    struct pool *pool = self->pool;
    struct conn *conn = pool_add(pool, self->key, self->peer, stream, self->story.protocol, NULL);
    if (conn)
        conn->tls_took = self->story.tls;
    struct ask *ask = leave_ask(self);
    note_protocol(self);
    gate_dialled(gate_of(self->key), conn != NULL);
    peer_base(self->peer)->held_until = (struct weir_time){0};
    if (conn)
        give(conn, ask);
    else if (ask)
        ask_fail(ask, WEIR_E_NO_MEMORY);
}

/* Connecting failed because of the server, and not because of ours or of what we allow. */
static bool is_servers_fault(enum weir_err err)
{
    switch (err) {
    case WEIR_E_REFUSED:
    case WEIR_E_UNREACHABLE:
    case WEIR_E_CONNECT_TIMEOUT:
    case WEIR_E_TLS_CERTIFICATE:
    case WEIR_E_TLS_PROTOCOL:
    case WEIR_E_TLS_ALERT:
    case WEIR_E_NO_HTTP2:
    case WEIR_E_PROXY_REFUSED:
        return true;
    default:
        return false;
    }
}

static void fail(struct dialling *self, enum weir_err err)
{
    struct ask *ask = leave_ask(self);
    stat_add(&peer_stats(self->pool, self->peer)->connect_errors[err], 1);
    gate_dialled(gate_of(self->key), false);
    if (is_servers_fault(err))
        dialling_hold_peer(self);
    if (ask)
        ask_dial_failed(ask, err);
}

static void end(struct dialling *self)
{
    struct pool *pool = self->pool;
    struct pool_key *key = self->key;
    list_remove(&self->link);
    peer_unref(self->peer);
    slab_free(&pool->dial_slab, self);
    pool_key_let_go(pool, key);
}

static void count_stages(const struct dialling *self, enum weir_err err,
                         const struct stream *stream)
{
    const struct dial_story *story = &self->story;
    struct upstream_stats *stats = peer_stats(self->pool, self->peer);
    if (!err)
        histogram_add(&stats->connect, story->connect);
    if (!story->has_tls)
        return;
    bool resumed = stream && tls_facts_of(stream).resumed;
    stat_add(&stats->tls_handshakes[err ? TLS_FAILED : resumed ? TLS_RESUMED : TLS_FULL], 1);
    if (!err)
        histogram_add(&stats->tls, story->tls);
}

WEIR_SUSPENDS static void run(void *argument)
{
    struct dialling *self = argument;
    struct stream *stream = NULL;
    self->co = co_self();
    if (self->pool->draining && !self->ask)
        co_cancel(self->co); /* disowned before it could be told */
    enum weir_err err = connect_somehow(self, &stream);
    self->co = NULL;
    count_dialling(self, -1);
    count_stages(self, err, stream);
    if (err)
        fail(self, err);
    else
        deliver(self, &stream);
    end(self);
}

enum weir_err dialling_start(struct pool *pool, struct pool_key *key, struct peer *peer,
                             struct ask *ask)
{
    struct dialling *self = slab_alloc(&pool->dial_slab);
    if (!self) {
        gate_dialled(gate_of(key), false);
        return WEIR_E_NO_MEMORY;
    }
    self->pool = pool;
    self->key = key;
    self->peer = peer_ref(peer);
    self->ask = ask;
    self->only_http1 = ask && ask->only_http1;
    list_init(&self->ask_link);
    pool_key_hold(key);
    list_push_back(&pool->dials, &self->link);
    enum weir_err err = scope_spawn(&pool->work, "dial", run, self);
    if (err) {
        gate_dialled(gate_of(key), false);
        end(self);
        return err;
    }
    count_dialling(self, 1);
    if (ask)
        list_push_back(&ask->dials, &self->ask_link);
    return WEIR_OK;
}

void dialling_hold_peer(struct dialling *dialling)
{
    struct peer *peer = peer_base(dialling->peer);
    peer->held_until = loop_deadline(dialling->pool->loop, peer->options.limits.fail_timeout);
}

void dialling_disown(struct dialling *dialling)
{
    (void)leave_ask(dialling);
    if (dialling->pool->draining && dialling->co)
        co_cancel(dialling->co);
}

void dialling_drain(struct pool *pool)
{
    list_each (link, &pool->dials) {
        struct dialling *dialling = container_of(link, struct dialling, link);
        if (!dialling->ask && dialling->co)
            co_cancel(dialling->co);
    }
}
