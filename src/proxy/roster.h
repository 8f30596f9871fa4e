/* SPDX-License-Identifier: MIT */
#ifndef PROXY_ROSTER_H
#define PROXY_ROSTER_H

/*
 * Which addresses the servers of one upstream have at the moment, and which of them fail their
 * health checks. Made by the lookout (lookout.h), immutable from then on, and followed by every
 * worker (servers.h).
 */

#include "io/addr.h"
#include <weir/err.h>

#include <stdatomic.h>

struct upstream_options;

struct roster_entry {
    struct addr addr;
    unsigned server; /* whose it is: index in upstream_options.servers */
    bool unwell;
};

struct roster {
    _Atomic unsigned references;
    bool pending;      /* a name has not been answered yet: there may be more soon */
    enum weir_err err; /* why a name has no address; WEIR_OK */
    unsigned count;
    struct roster_entry entries[]; /* in the order of servers; those of one server, as they are to
                                      be tried */
};

/* An empty one with room for so many, which the caller fills; NULL when memory is out. */
struct roster *roster_new(unsigned room);
/* Those whose address was written down; the others are pending. */
struct roster *roster_of_options(const struct upstream_options *options);

struct roster *roster_ref(struct roster *roster);
/* Frees it with the last reference; nulls the pointer. NULL is fine. */
void roster_unref(struct roster **roster);

/*
 * Adds the addresses of a server. IPv6 and IPv4 take turns, from the family of the first one, so
 * that who tries them one after the other does not wait for a whole family that cannot be reached
 * (RFC 8305 section 4).
 */
void roster_add(struct roster *roster, unsigned server, const struct addr *addrs, unsigned count);

#endif
