/* SPDX-License-Identifier: MIT */
#include "upstream/census.h"

#include "base/check.h"

#include <stdlib.h>

struct census *census_new(const struct key *key, struct gate *gate, unsigned worker_count)
{
    size_t bytes = sizeof(struct census) + worker_count * sizeof(struct census_count);
    struct census *census = aligned_alloc(_Alignof(struct census), bytes);
    if (!census)
        return NULL;
    *census = (struct census){.key = *key, .gate = gate, .worker_count = worker_count};
    list_init(&census->gate_link);
    list_init(&census->standing_by);
    atomic_init(&census->told_ns, -1);
    must(pthread_mutex_init(&census->lock, NULL) == 0);
    learn_init(&census->learn);
    tls_sessions_init(&census->sessions);
    atomic_init(&census->idle_timeout_ns, INT64_MAX);
    atomic_init(&census->safe_rest_ns, INT64_MAX);
    atomic_init(&census->news_rest_ns, INT64_MAX);
    atomic_init(&census->news_requests, UINT64_MAX);
    for (unsigned i = 0; i < worker_count; i++)
        census->counts[i] = (struct census_count){0};
    return census;
}

void census_free(struct census *census)
{
    must(list_is_empty(&census->standing_by));
    for (unsigned i = 0; i < census->worker_count; i++)
        must(atomic_load(&census->counts[i].idle) == 0 && !census->counts[i].local);
    tls_sessions_fini(&census->sessions);
    pthread_mutex_destroy(&census->lock);
    free(census);
}

int census_most(const struct census *census, unsigned self)
{
    unsigned most = 0;
    int found = -1;
    for (unsigned i = 0; i < census->worker_count; i++) {
        unsigned idle = i == self ? 0 : atomic_load(&census->counts[i].idle);
        if (idle > most) {
            most = idle;
            found = (int)i;
        }
    }
    return found;
}

bool census_is_full(const struct census *census, unsigned connections_max)
{
    struct gate *gate = census->gate;
    if (gate_has_waiting(gate))
        return true;
    return atomic_load_explicit(&gate->connections, memory_order_relaxed) >= connections_max &&
           census_most(census, census->worker_count) < 0;
}

static void publish_and_unlock(struct census *census, struct weir_time now)
{
    const struct learn *learn = &census->learn;
    atomic_store_explicit(&census->idle_timeout_ns, learn_idle_timeout(learn, now).ns,
                          memory_order_relaxed);
    atomic_store_explicit(&census->safe_rest_ns, learn_safe_rest(learn, now).ns,
                          memory_order_relaxed);
    atomic_store_explicit(&census->news_rest_ns, learn_news_rest(learn).ns, memory_order_relaxed);
    atomic_store_explicit(&census->news_requests, learn_news_requests(learn), memory_order_relaxed);
    atomic_store_explicit(&census->max_requests, learn_max_requests(learn, now),
                          memory_order_relaxed);
    pthread_mutex_unlock(&census->lock);
}

void census_closed(struct census *census, struct weir_time now, struct weir_span idle_age,
                   uint64_t requests)
{
    pthread_mutex_lock(&census->lock);
    learn_closed(&census->learn, now, idle_age, requests);
    publish_and_unlock(census, now);
}

void census_closed_after(struct census *census, struct weir_time now, uint64_t requests)
{
    pthread_mutex_lock(&census->lock);
    learn_closed_after(&census->learn, now, requests);
    publish_and_unlock(census, now);
}

void census_survived(struct census *census, struct weir_time now, struct weir_span idle_age,
                     uint64_t requests)
{
    pthread_mutex_lock(&census->lock);
    learn_survived(&census->learn, now, idle_age, requests);
    publish_and_unlock(census, now);
}

void census_refresh(struct census *census, struct weir_time now)
{
    pthread_mutex_lock(&census->lock);
    publish_and_unlock(census, now);
}

void census_tell(struct census *census, struct weir_span idle_timeout)
{
    if (atomic_load_explicit(&census->told_ns, memory_order_relaxed) != idle_timeout.ns)
        atomic_store_explicit(&census->told_ns, idle_timeout.ns, memory_order_relaxed);
}

struct weir_span census_told(const struct census *census)
{
    return weir_span_ns(atomic_load_explicit(&census->told_ns, memory_order_relaxed));
}

struct weir_span census_idle_timeout(const struct census *census)
{
    int64_t learned = atomic_load_explicit(&census->idle_timeout_ns, memory_order_relaxed);
    int64_t told = census_told(census).ns;
    return weir_span_ns(learned == INT64_MAX && told > 0 ? told : learned);
}

struct weir_span census_safe_rest(const struct census *census)
{
    return weir_span_ns(atomic_load_explicit(&census->safe_rest_ns, memory_order_relaxed));
}

uint64_t census_max_requests(const struct census *census)
{
    return atomic_load_explicit(&census->max_requests, memory_order_relaxed);
}

bool census_is_news(const struct census *census, struct weir_span idle_age, uint64_t requests)
{
    return idle_age.ns > atomic_load_explicit(&census->news_rest_ns, memory_order_relaxed) ||
           requests > atomic_load_explicit(&census->news_requests, memory_order_relaxed);
}

bool census_begin_probe(struct census *census, struct weir_time now, struct weir_span age,
                        struct weir_span *ret_stay)
{
    pthread_mutex_lock(&census->lock);
    bool begins = !atomic_load(&census->probing) && learn_wants_probe(&census->learn, now);
    if (begins) {
        *ret_stay = weir_span_ns(learn_probe_age(&census->learn, now).ns - age.ns);
        atomic_store(&census->probing, true);
    }
    publish_and_unlock(census, now);
    return begins;
}

void census_end_probe(struct census *census)
{
    atomic_store(&census->probing, false);
}

void census_prefer_http1(struct census *census, struct weir_time now)
{
    atomic_store(&census->http1_until_ns, weir_time_after(now, CENSUS_HTTP1_FOR).ns);
}

bool census_prefers_http1(const struct census *census, struct weir_time now)
{
    return now.ns < atomic_load_explicit(&census->http1_until_ns, memory_order_relaxed);
}
