/* SPDX-License-Identifier: MIT */
#include "upstream/share.h"

#include "base/check.h"
#include "co/wait.h"
#include "upstream/ask.h"
#include "upstream/conn_h2.h"
#include "upstream/pool.h"
#include "upstream/registry.h"

/* Whether what is dialled for it may turn out to have more than one stream. */
static bool may_share(const struct ask *ask)
{
    const struct peer_options *options = &ask->peer->options;
    if (ask->only_http1 || options->h2.max_streams == 1)
        return false;
    return options->protocol == PEER_HTTP2 ||
           (options->protocol == PEER_AUTO && options->tls && !ask->key->picks_http1);
}

/* What the server allows on a connection, as far as that is known. */
static unsigned streams_of(const struct pool_key *key, const struct peer *peer)
{
    unsigned ours = peer->options.h2.max_streams;
    return key->stream_limit > 0 && key->stream_limit < ours ? key->stream_limit : ours;
}

/*
 * There is a stream for everyone, if all comes as is hoped. Who wants a fresh connection hopes for
 * new ones alone.
 */
static bool is_enough(const struct ask *ask)
{
    const struct pool_key *key = ask->key;
    uint64_t hopes = ask->wants_fresh ? key->hopes - key->tests : key->hopes;
    return key->ask_count <= hopes * streams_of(key, ask->peer);
}

bool share_follow(struct ask *ask)
{
    if (!may_share(ask))
        return false;
    ask->follows = is_enough(ask);
    return ask->follows;
}

void share_lead(struct ask *ask)
{
    if (ask->leads || !may_share(ask))
        return;
    ask->leads = true;
    ask->key->hopes++;
}

/* Who cannot hope any more goes on by himself: the first leads the others. */
static void go_on(struct pool_key *key)
{
    list_each (link, &key->asks) {
        struct ask *ask = container_of(link, struct ask, key_link);
        if (!ask->follows)
            continue;
        ask->follows = false;
        co_wake(ask->co);
    }
}

static struct ask *any_follower(struct pool_key *key)
{
    list_each (link, &key->asks) {
        struct ask *ask = container_of(link, struct ask, key_link);
        if (ask->follows)
            return ask;
    }
    return NULL;
}

void share_lead_ends(struct ask *ask, enum weir_err err)
{
    struct pool_key *key = ask->key;
    if (!ask->leads)
        return;
    ask->leads = false;
    must(key->hopes > 0);
    key->hopes--;
    if (err && key->hopes == 0)
        for (struct ask *follower; (follower = any_follower(key));)
            ask_fail_now(follower, err);
    else if (!is_enough(ask))
        go_on(key);
}

void share_hope(struct conn *conn, struct pool_key *key)
{
    must(!conn->h2->hoped_by);
    conn->h2->hoped_by = key;
    pool_key_hold(key);
    key->hopes++;
    key->tests += conn->h2->stale;
    conn->h2->is_test = conn->h2->stale;
}

void share_hope_ends(struct conn *conn)
{
    struct pool_key *key = conn->h2->hoped_by;
    if (!key)
        return;
    registry_serve(conn);
    conn->h2->hoped_by = NULL;
    must(key->hopes > 0);
    key->hopes--;
    key->tests -= conn->h2->is_test;
    go_on(key);
    pool_key_let_go(conn->pool, key);
}
