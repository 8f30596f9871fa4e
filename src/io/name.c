/* SPDX-License-Identifier: MIT */
#include "io/name.h"

#include "base/check.h"

#include <string.h>

#define KEPT_LEAST weir_span_s(1)
#define KEPT_MOST weir_span_s(3600)
#define KEPT_UNTOLD weir_span_s(60) /* nobody said how long: /etc/hosts, which may be edited */
#define REST_FIRST weir_span_s(1)
#define REST_MOST weir_span_s(30)

static struct weir_span least(struct weir_span a, struct weir_span b)
{
    return a.ns < b.ns ? a : b;
}

struct weir_span name_kept(struct weir_span ttl)
{
    if (weir_span_is_forever(ttl))
        return KEPT_UNTOLD;
    return ttl.ns < KEPT_LEAST.ns ? KEPT_LEAST : least(ttl, KEPT_MOST);
}

struct weir_span name_rest(struct weir_span before)
{
    if (before.ns == 0)
        return REST_FIRST;
    return least(weir_span_ns(2 * before.ns), REST_MOST);
}

/* Neither holds an address twice. */
static bool is_same_set(const struct addr *a, unsigned a_count, const struct addr *b,
                        unsigned b_count)
{
    unsigned shared = 0;
    for (unsigned i = 0; i < a_count; i++)
        for (unsigned j = 0; j < b_count; j++)
            shared += addr_equal(&a[i], &b[j]);
    return a_count == b_count && shared == a_count;
}

static bool has_family(const struct addr *addrs, unsigned count, sa_family_t family)
{
    for (unsigned i = 0; i < count; i++)
        if (addrs[i].any.sa_family == family)
            return true;
    return false;
}

static bool lacks_a_family(const struct name *name, const struct addr *addrs, unsigned count)
{
    for (unsigned i = 0; i < name->count; i++)
        if (!has_family(addrs, count, name->addrs[i].any.sa_family))
            return true;
    return false;
}

static void on_failure(struct name *name, enum weir_err err)
{
    bool is_first = name->rest.ns == 0;
    name->rest = name_rest(name->rest);
    loop_timer_arm(name->loop, &name->again, name->rest);
    if (is_first)
        name->failed(name, err);
}

static void on_success(struct name *name, const struct addr *addrs, unsigned count,
                       struct weir_span ttl)
{
    name->rest = weir_span_ns(0);
    name->doubted = !name->doubted && lacks_a_family(name, addrs, count);
    loop_timer_arm(name->loop, &name->again, name->doubted ? KEPT_LEAST : name_kept(ttl));
    if (name->doubted)
        return;
    if (is_same_set(addrs, count, name->addrs, name->count))
        return;
    memcpy(name->addrs, addrs, count * sizeof *addrs);
    name->count = count;
    name->changed(name, name->addrs, count);
}

static void on_answer(struct resolve *resolve, enum weir_err err, const struct addr *addrs,
                      unsigned count, struct weir_span ttl)
{
    struct name *name = container_of(resolve, struct name, resolve);
    if (err == WEIR_E_CANCELED)
        return; /* the resolver is closing, and this name's end comes next */
    if (err)
        on_failure(name, err);
    else
        on_success(name, addrs, count, ttl);
}

static void ask_again(struct timer *timer)
{
    struct name *name = container_of(timer, struct name, again);
    resolve_start(name->resolver, &name->resolve, name->host, name->port, on_answer);
}

void name_start(struct name *name, struct loop *loop, struct resolver *resolver, const char *host,
                uint16_t port,
                void (*changed)(struct name *name, const struct addr *addrs, unsigned count),
                void (*failed)(struct name *name, enum weir_err err))
{
    *name = (struct name){.resolver = resolver,
                          .loop = loop,
                          .host = host,
                          .port = port,
                          .changed = changed,
                          .failed = failed};
    timer_init(&name->again, ask_again);
    resolve_start(resolver, &name->resolve, host, port, on_answer);
}

void name_stop(struct name *name)
{
    if (!name->resolver)
        return;
    resolve_cancel(&name->resolve);
    loop_timer_disarm(name->loop, &name->again);
    name->resolver = NULL;
}
