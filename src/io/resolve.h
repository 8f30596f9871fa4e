/* SPDX-License-Identifier: MIT */
#ifndef IO_RESOLVE_H
#define IO_RESOLVE_H

/*
 * Asks for the addresses of names, over c-ares, on one loop: first /etc/hosts, then name servers,
 * as the system's resolv.conf and nsswitch.conf say. Both IPv4 and IPv6 are asked for; addresses
 * come in the order of RFC 6724, the best first.
 *
 * Nothing here suspends, and nothing answers before the call that asks has returned: what c-ares
 * tells is noted, and answers are given by the loop.
 */

#include "base/list.h"
#include "io/addr.h"
#include "io/loop.h"

enum { RESOLVE_ADDRS_MAX = 64 }; /* of one name; who has more is known by so many */

struct ares_addrinfo;
struct question;
struct resolver;

struct resolver_options {
    const struct addr *servers; /* IP addresses; port 0: 53. They are copied. */
    unsigned server_count;      /* 0: the system's */
    struct weir_span timeout;   /* of the first round over the servers, each next has twice that;
                                   0: 2 s */
    unsigned tries;             /* rounds; 0: 3 */
};

/* WEIR_E_NO_MEMORY, WEIR_E_ADDRESS for a server that is none, WEIR_E_IO. */
enum weir_err resolver_open(struct loop *loop, const struct resolver_options *options,
                            struct resolver **ret_resolver);
/*
 * What is asked is answered with WEIR_E_CANCELED before it returns; who is told so may not ask
 * again. Not from within an answer (checked).
 */
void resolver_close(struct resolver **resolver);

/* One question: the caller's memory, zeroed before its first use. */
struct resolve {
    struct list link;
    struct resolver *resolver; /* NULL: nothing is asked */
    struct question *question; /* NULL: answered, but not told yet */
    struct ares_addrinfo *found;
    enum weir_err err;
    bool told_at_once;
    uint16_t port;
    void (*answered)(struct resolve *resolve, enum weir_err err, const struct addr *addrs,
                     unsigned count, struct weir_span ttl);
};

/*
 * Asks for `name`, which may be an IP address, and gives each address the port. `answered` is
 * called once, in the loop; it may ask again. On WEIR_OK there is at least one address and none
 * twice; they are there until it returns. `ttl` is the least of what the servers said, and
 * WEIR_FOREVER when the answer is none of theirs (/etc/hosts, an IP address). WEIR_E_DNS_ERROR:
 * there is no such name, or it has no address, or the servers fail; WEIR_E_DNS_TIMEOUT, _NO_MEMORY,
 * _CANCELED.
 */
void resolve_start(struct resolver *resolver, struct resolve *resolve, const char *name,
                   uint16_t port,
                   void (*answered)(struct resolve *resolve, enum weir_err err,
                                    const struct addr *addrs, unsigned count,
                                    struct weir_span ttl));
/* `answered` is not called any more. Harmless when nothing is asked. */
void resolve_cancel(struct resolve *resolve);

static inline bool resolve_is_asked(const struct resolve *resolve)
{
    return resolve->resolver != NULL;
}

#endif
