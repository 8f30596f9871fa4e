/* SPDX-License-Identifier: MIT */
#include "proxy/warm.h"

#include "base/check.h"
#include "proxy/service.h"
#include "upstream/dialling.h"

/* So many for each server each time; and how long one rests whose dials came to nothing. */
enum { DIALS_AT_ONCE = 4 };
#define INTERVAL weir_span_ms(100)
#define REST weir_span_s(1)

static unsigned count_ready(const struct census *census)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < census->worker_count; i++)
        ready += atomic_load_explicit(&census->counts[i].idle, memory_order_relaxed);
    return ready;
}

static void dial_for(struct service *service, struct peer *peer, struct pool_key *key,
                     unsigned wanted)
{
    const struct peer_limits *limits = &peer->options.limits;
    for (unsigned i = 0; i < wanted && i < DIALS_AT_ONCE; i++)
        if (!gate_enter_now(gate_of(key), limits->max_connections, limits->max_dials) ||
            dialling_start(&service->pool, key, peer, NULL) != WEIR_OK)
            return;
}

/* By its own word the server ends what rests before it could be of use. */
static bool leaves_no_time(const struct census *census)
{
    struct keep_facts facts = {.idle_timeout = WEIR_FOREVER, .has_keepalive_timeout = true};
    struct weir_span told = census_told(census);
    facts.keepalive_timeout_s = (uint64_t)(told.ns < 0 ? 0 : weir_span_to_ms(told) / 1000);
    return told.ns >= 0 && keep_rest(&facts).ns <= 0;
}

static void warm_server(struct service *service, struct balance_server *server)
{
    struct warm_notes *notes = &server->warm;
    struct pool_key *key = server->peer->known;
    unsigned wanted = server->peer->options.limits.min_idle;
    struct weir_time now = loop_now(service->loop);
    if (wanted == 0 || server->unwell || leaves_no_time(key->census) ||
        weir_time_before(now, notes->rests_until))
        return;
    unsigned ready = count_ready(key->census) + key->dialling_count;
    if (notes->dialled && ready <= notes->ready_before) {
        notes->rests_until = weir_time_after(now, REST);
        notes->dialled = false;
        return;
    }
    notes->dialled = ready < wanted;
    notes->ready_before = ready;
    if (ready < wanted)
        dial_for(service, server->peer, key, wanted - ready);
}

static void on_time(struct timer *timer)
{
    struct warm *warm = container_of(timer, struct warm, timer);
    struct service *service = warm->service;
    for (unsigned i = 0; i < service->options->upstream_count; i++) {
        struct balance *balance = &service->upstreams[i].balance;
        for (unsigned k = 0; k < balance->count; k++)
            warm_server(service, &balance->servers[k]);
    }
    loop_timer_arm(service->loop, &warm->timer, INTERVAL);
}

void warm_start(struct warm *warm, struct service *service)
{
    unsigned wanted = 0;
    for (unsigned i = 0; i < service->options->upstream_count; i++)
        wanted += service->options->upstreams[i].limits.min_idle;
    if (wanted == 0)
        return;
    timer_init(&warm->timer, on_time);
    warm->service = service;
    loop_timer_arm(service->loop, &warm->timer, weir_span_ms(0));
}

void warm_stop(struct warm *warm)
{
    if (!warm->service)
        return;
    loop_timer_disarm(warm->service->loop, &warm->timer);
    warm->service = NULL;
}
