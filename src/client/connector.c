/* SPDX-License-Identifier: MIT */
#include "client/connector.h"

#include "base/check.h"
#include "base/log.h"
#include "client/loop.h"
#include "client/peer.h"
#include "client/session.h"
#include "upstream/connector.h"

#include <stdlib.h>
#include <string.h>

enum { POOL_SIZE = 128 };

_Static_assert((int)WEIR_ANY == CONNECTOR_ANY && (int)WEIR_SURE == CONNECTOR_SURE &&
                   (int)WEIR_FRESH == CONNECTOR_FRESH,
               "one is the other");

/* --- Any connector --------------------------------------------------------------------------- */

void connector_init(struct weir_connector *connector, struct peers *peers)
{
    *connector = (struct weir_connector){.peers = peers, .where = "the program"};
    list_init(&connector->sessions);
}

unsigned connector_fini(struct weir_connector *connector, const char *owner)
{
    unsigned count = 0;
    for (struct list *link; (link = list_first(&connector->sessions)); count++) {
        struct weir_session *session = container_of(link, struct weir_session, link);
        log_line(LOG_WARN, "%s: a session with %s was never released (got in %s): closed", owner,
                 weir_peer_url(session->peer), session->where);
        weir_session_release(&session);
    }
    return count;
}

/* An address that its name has lost while it was asked was never asked: the next one is. */
WEIR_SUSPENDS static enum weir_err get_inner(struct weir_connector *connector,
                                             struct weir_peer *peer, enum weir_want want,
                                             struct weir_time deadline, struct session **ret_inner)
{
    struct pool *pool = connector->peers->options.pool;
    enum weir_err err;
    do {
        struct peer *address;
        TRY(peers_get(connector->peers, peer, deadline, &address));
        peer_ref(address);
        err = connector_get(pool, address, (enum connector_want)want, deadline, ret_inner);
        peer_unref(address);
    } while (err == WEIR_E_PEER_DRAINED);
    return err;
}

enum weir_err weir_connector_get(struct weir_connector *connector, struct weir_peer *peer,
                                 enum weir_want want, struct weir_time deadline,
                                 struct weir_session **ret_session)
{
    struct session *inner = NULL;
    weir_peer_ref(peer);
    connector->getting++;
    enum weir_err err = get_inner(connector, peer, want, deadline, &inner);
    connector->getting--;
    if (!err && !connector->ending)
        return client_session_new(connector, peer, inner, ret_session);
    session_release(&inner, true);
    weir_peer_free(&peer);
    return err ? err : WEIR_E_CANCELED;
}

void weir_connector_counts(const struct weir_connector *connector,
                           struct weir_pool_counts *ret_counts)
{
    const struct peers_options *options = &connector->peers->options;
    const struct pool *pool = options->pool;
    const struct upstream_stats *stats = &pool->stats[options->upstream_number];
    *ret_counts = (struct weir_pool_counts){
        .opened = pool->opened_count,
        .closed = pool->closed_count,
        .reused = stat_read(&stats->requests[SOURCE_REUSED]) +
                  stat_read(&stats->requests[SOURCE_TAKEN_OVER]),
        .idle = pool->idle_count,
        .in_use = pool->in_use_count,
        .dialling = pool->dialling_count,
    };
}

/* --- One with a pool of its own -------------------------------------------------------------- */

struct own_connector {
    struct weir_connector connector;
    struct commons *commons;
    struct pool pool;
    struct peers peers;
    struct upstream_stats stats;
    char name[];
};

void weir_connector_options_init(struct weir_connector_options *options)
{
    *options = (struct weir_connector_options){.name = "connector", .pool_size = POOL_SIZE};
}

static void open_own(struct own_connector *own, struct weir_loop *loop)
{
    const struct pool_options pool = {
        .loop = &loop->loop,
        .streams = &loop->streams,
        .commons = own->commons,
        .family = &loop->family,
        .stats = &own->stats,
        .seed = rand_seed_from_kernel(),
    };
    const struct peers_options peers = {.pool = &own->pool, .upstream = own->name};
    pool_init(&own->pool, &pool);
    peers_init(&own->peers, &peers);
    connector_init(&own->connector, &own->peers);
}

enum weir_err weir_connector_new(struct weir_loop *loop,
                                 const struct weir_connector_options *options,
                                 struct weir_connector **ret_connector)
{
    struct weir_connector_options defaults;
    weir_connector_options_init(&defaults);
    options = options ? options : &defaults;
    size_t name_bytes = strlen(options->name) + 1;
    struct own_connector *own = calloc(1, sizeof *own + name_bytes);
    if (!own)
        return WEIR_E_NO_MEMORY;
    memcpy(own->name, options->name, name_bytes);
    own->commons = commons_new(1, options->pool_size);
    if (!own->commons) {
        free(own);
        return WEIR_E_NO_MEMORY;
    }
    open_own(own, loop);
    *ret_connector = &own->connector;
    return WEIR_OK;
}

/* Who waits for the end of a connector; he may be canceled, and waits on. */
struct end_wait {
    struct timer timer;
    struct co *co;
};

static void look_again(struct timer *timer)
{
    co_wake(container_of(timer, struct end_wait, timer)->co);
}

WEIR_SUSPENDS static void await_quiet(const struct own_connector *own)
{
    struct end_wait wait = {.co = co_self()};
    timer_init(&wait.timer, look_again);
    while (own->connector.getting > 0 || !pool_is_quiet(&own->pool)) {
        loop_timer_arm(own->pool.loop, &wait.timer, weir_span_ms(1));
        co_wait_firm();
    }
    loop_timer_disarm(own->pool.loop, &wait.timer);
}

void weir_connector_free(struct weir_connector **connector)
{
    if (!*connector)
        return;
    struct own_connector *own = container_of(*connector, struct own_connector, connector);
    must(own->connector.peers == &own->peers); /* else it is a service's */
    *connector = NULL;
    own->connector.ending = true;
    connector_fini(&own->connector, own->name);
    pool_drain(&own->pool);
    await_quiet(own);
    peers_fini(&own->peers);
    pool_fini(&own->pool);
    commons_free(&own->commons);
    free(own);
}
