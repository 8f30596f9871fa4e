/* SPDX-License-Identifier: MIT */
#include "proxy/roster.h"

#include "proxy/options.h"

#include <stdlib.h>

struct roster *roster_new(unsigned room)
{
    struct roster *roster = calloc(1, sizeof *roster + room * sizeof roster->entries[0]);
    if (roster)
        atomic_init(&roster->references, 1);
    return roster;
}

struct roster *roster_of_options(const struct upstream_options *options)
{
    struct roster *roster = roster_new(options->server_count);
    for (unsigned i = 0; roster && i < options->server_count; i++) {
        if (options->servers[i].host)
            roster->pending = true;
        else
            roster_add(roster, i, &options->servers[i].addr, 1);
    }
    return roster;
}

struct roster *roster_ref(struct roster *roster)
{
    atomic_fetch_add_explicit(&roster->references, 1, memory_order_relaxed);
    return roster;
}

void roster_unref(struct roster **roster)
{
    struct roster *last = *roster;
    *roster = NULL;
    if (last && atomic_fetch_sub_explicit(&last->references, 1, memory_order_acq_rel) == 1)
        free(last);
}

/* The next one of the family, or not of it, at or behind `from`; `count` when there is none. */
static unsigned find_next(const struct addr *addrs, unsigned count, unsigned from,
                          sa_family_t family, bool of_it)
{
    while (from < count && (addrs[from].any.sa_family == family) != of_it)
        from++;
    return from;
}

void roster_add(struct roster *roster, unsigned server, const struct addr *addrs, unsigned count)
{
    sa_family_t first = count > 0 ? addrs[0].any.sa_family : AF_UNSPEC;
    unsigned next[2] = {find_next(addrs, count, 0, first, false),
                        find_next(addrs, count, 0, first, true)};
    for (bool of_first = true; next[0] < count || next[1] < count; of_first = !of_first) {
        unsigned at = next[of_first];
        if (at == count)
            continue;
        roster->entries[roster->count++] =
            (struct roster_entry){.addr = addrs[at], .server = server};
        next[of_first] = find_next(addrs, count, at + 1, first, of_first);
    }
}
