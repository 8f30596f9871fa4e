/* SPDX-License-Identifier: MIT */
#include "client/peers.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "client/peer.h"
#include "co/wait.h"
#include "io/name.h"

#include <stdlib.h>

/* How many are looked at when one comes: so that those that the program has freed do not stay. */
enum { LOOKED_AT = 4 };

/* One address of a program's peer. */
struct address_peer {
    struct peer peer;
    struct weir_peer *of; /* held */
};

struct entry;

/* A name, and who waits for its first answer. */
struct named {
    struct name name;
    struct entry *entry;
    enum weir_err err; /* why there is no address */
    struct wait_queue answered;
    unsigned waiting;
};

/* A program's peer. */
struct entry {
    struct map_link link;
    struct list all_link;
    struct peers *peers;
    struct weir_peer *of; /* held */
    struct named *named;  /* NULL: it is an address */
    struct peer *first;   /* of the ring; NULL: there is none yet */
};

/* --- Addresses ------------------------------------------------------------------------------- */

static void free_address(struct peer *peer)
{
    struct address_peer *address = container_of(peer, struct address_peer, peer);
    client_peer_let_go(address->of);
    free(address);
}

static struct peer *new_address(const struct entry *entry, const struct addr *addr)
{
    struct peer_options options = entry->of->options;
    struct address_peer *address = malloc(sizeof *address);
    if (!address)
        return NULL;
    options.upstream = entry->peers->options.upstream;
    options.upstream_number = entry->peers->options.upstream_number;
    options.addr = *addr;
    peer_init(&address->peer, &options);
    if (pool_adopt_peer(entry->peers->options.pool, &address->peer) != WEIR_OK) {
        free(address);
        return NULL;
    }
    client_peer_hold(entry->of);
    address->of = entry->of;
    address->peer.unused = free_address;
    return &address->peer;
}

static struct peer *next_of(const struct peer *peer)
{
    return container_of(peer->sibling.next, struct peer, sibling);
}

/* NULL after the last one. */
static struct peer *following(const struct entry *entry, const struct peer *peer)
{
    struct peer *next = next_of(peer);
    return next == entry->first ? NULL : next;
}

static void leave_ring(struct entry *entry, struct peer *peer)
{
    if (entry->first == peer)
        entry->first = following(entry, peer);
    list_remove(&peer->sibling);
}

static struct peer *take_from_ring(struct entry *entry, const struct addr *addr)
{
    for (struct peer *peer = entry->first; peer; peer = following(entry, peer)) {
        if (addr_equal(&peer->options.addr, addr)) {
            leave_ring(entry, peer);
            return peer;
        }
    }
    return NULL;
}

/* Those with a source address are reached from there. */
static bool may_be_reached(const struct entry *entry, const struct addr *addr)
{
    const struct addr *source = &entry->of->options.source;
    return source->len == 0 || source->any.sa_family == addr->any.sa_family;
}

/* The entry has these from now on, in this order; those that it had before and that stay, stay. */
static void set_addresses(struct entry *entry, const struct addr *addrs, unsigned count)
{
    struct peer *first = NULL;
    for (unsigned i = 0; i < count; i++) {
        struct peer *peer = take_from_ring(entry, &addrs[i]);
        if (!peer && may_be_reached(entry, &addrs[i]))
            peer = new_address(entry, &addrs[i]);
        if (peer && first)
            list_push_back(&first->sibling, &peer->sibling);
        first = first ? first : peer;
    }
    for (struct peer *gone; (gone = entry->first);) {
        leave_ring(entry, gone);
        pool_drain_peer(entry->peers->options.pool, gone);
    }
    entry->first = first;
}

/* The one that comes first, but for a while after it could not be connected to. */
static struct peer *choose(const struct entry *entry, struct weir_time now)
{
    for (struct peer *peer = entry->first; peer; peer = following(entry, peer))
        if (!peer_is_held(peer, now))
            return peer;
    return entry->first;
}

/* --- Names ----------------------------------------------------------------------------------- */

static void on_changed(struct name *name, const struct addr *addrs, unsigned count)
{
    struct named *named = container_of(name, struct named, name);
    set_addresses(named->entry, addrs, count);
    named->err = named->entry->first ? WEIR_OK : WEIR_E_UNREACHABLE;
    wait_wake_all(&named->answered);
}

static void on_failed(struct name *name, enum weir_err err)
{
    struct named *named = container_of(name, struct named, name);
    log_line(LOG_WARN, "%s: cannot resolve %s: %s%s", named->entry->peers->options.upstream,
             name->host, weir_err_text(err), name->count > 0 ? "; what it was before holds" : "");
    if (name->count > 0)
        return;
    named->err = err;
    wait_wake_all(&named->answered);
}

static enum weir_err start_name(struct entry *entry)
{
    struct peers *peers = entry->peers;
    struct loop *loop = peers->options.pool->loop;
    if (!peers->resolver)
        TRY(resolver_open(loop, &peers->options.resolver, &peers->resolver));
    entry->named = calloc(1, sizeof *entry->named);
    if (!entry->named)
        return WEIR_E_NO_MEMORY;
    entry->named->entry = entry;
    wait_queue_init(&entry->named->answered);
    name_start(&entry->named->name, loop, peers->resolver, entry->of->host, entry->of->port,
               on_changed, on_failed);
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err await_answer(struct entry *entry, struct weir_time deadline)
{
    struct named *named = entry->named;
    enum weir_err err = WEIR_OK;
    named->waiting++;
    while (!entry->first && !named->err && !err)
        err = wait_on(&named->answered, deadline);
    named->waiting--;
    if (entry->first && err != WEIR_E_CANCELED)
        return WEIR_OK;
    if (named->err && !err)
        return named->err;
    return err == WEIR_E_TIMEOUT ? WEIR_E_DNS_TIMEOUT : err;
}

/* --- Entries --------------------------------------------------------------------------------- */

static void entry_free(struct entry *entry)
{
    if (entry->named) {
        must(entry->named->waiting == 0);
        name_stop(&entry->named->name);
        free(entry->named);
    }
    client_peer_let_go(entry->of);
    free(entry);
}

static void entry_end(struct entry *entry, void (*leave)(struct pool *pool, struct peer *peer))
{
    struct peers *peers = entry->peers;
    map_remove(&peers->map, &entry->link);
    list_remove(&entry->all_link);
    for (struct peer *peer; (peer = entry->first);) {
        leave_ring(entry, peer);
        leave(peers->options.pool, peer);
    }
    entry_free(entry);
}

/* Who is still wanted goes to the end of the line. */
static void look_at_some(struct peers *peers)
{
    for (unsigned i = 0; i < LOOKED_AT && !list_is_empty(&peers->all); i++) {
        struct entry *entry = container_of(list_first(&peers->all), struct entry, all_link);
        bool waited_for = entry->named && entry->named->waiting > 0;
        list_remove(&entry->all_link);
        list_push_back(&peers->all, &entry->all_link);
        if (!client_peer_is_wanted(entry->of) && !waited_for)
            entry_end(entry, pool_disown_peer);
    }
}

static struct entry *find_entry(const struct peers *peers, const struct weir_peer *peer)
{
    for (struct map_link *at = map_find(&peers->map, peer->number); at; at = map_next(at)) {
        struct entry *entry = container_of(at, struct entry, link);
        if (entry->of == peer)
            return entry;
    }
    return NULL;
}

static enum weir_err fill_entry(struct entry *entry)
{
    if (entry->of->host)
        return start_name(entry);
    entry->first = new_address(entry, &entry->of->options.addr);
    return entry->first ? WEIR_OK : WEIR_E_NO_MEMORY;
}

static enum weir_err new_entry(struct peers *peers, struct weir_peer *peer,
                               struct entry **ret_entry)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return WEIR_E_NO_MEMORY;
    if (!map_insert(&peers->map, &entry->link, peer->number)) {
        free(entry);
        return WEIR_E_NO_MEMORY;
    }
    client_peer_hold(peer);
    entry->of = peer;
    entry->peers = peers;
    list_push_back(&peers->all, &entry->all_link);
    enum weir_err err = fill_entry(entry);
    if (err)
        entry_end(entry, pool_disown_peer);
    else
        *ret_entry = entry;
    return err;
}

enum weir_err peers_get(struct peers *peers, struct weir_peer *peer, struct weir_time deadline,
                        struct peer **ret_peer)
{
    struct entry *entry = find_entry(peers, peer);
    if (!entry) {
        look_at_some(peers);
        TRY(new_entry(peers, peer, &entry));
    }
    if (!entry->first)
        TRY(await_answer(entry, deadline));
    *ret_peer = choose(entry, loop_now(peers->options.pool->loop));
    return WEIR_OK;
}

void peers_init(struct peers *peers, const struct peers_options *options)
{
    *peers = (struct peers){.options = *options};
    map_init(&peers->map);
    list_init(&peers->all);
}

void peers_fini(struct peers *peers)
{
    for (struct list *link; (link = list_first(&peers->all));)
        entry_end(container_of(link, struct entry, all_link), pool_drain_peer);
    map_fini(&peers->map);
    resolver_close(&peers->resolver);
}
