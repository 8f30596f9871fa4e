/* SPDX-License-Identifier: MIT */
#ifndef IO_NAME_H
#define IO_NAME_H

/*
 * What a host's name stands for, kept fresh: asked again when the answer's time to live ends. A
 * failure keeps the last answer, however old, and is tried again after a second, then twice that
 * and so on. Each family is a question of its own, and c-ares does not tell when one of two failed:
 * so an answer in which all IPv6 addresses, or all IPv4 ones, are gone is believed the second time.
 */

#include "io/resolve.h"

/* Caller's memory; it must stay until name_stop(). */
struct name {
    struct resolver *resolver; /* NULL: stopped */
    struct loop *loop;
    const char *host; /* the caller's */
    uint16_t port;
    struct resolve resolve;
    struct timer again;
    struct weir_span rest; /* after the last failure; 0: it did not fail */
    bool doubted;          /* the last answer lacked a whole family, and was not believed */
    void (*changed)(struct name *name, const struct addr *addrs, unsigned count);
    void (*failed)(struct name *name, enum weir_err err);
    unsigned count; /* 0: no answer yet */
    struct addr addrs[RESOLVE_ADDRS_MAX];
};

/*
 * Starts asking. `changed` is called with the first answer, and later when the set of addresses
 * differs from the one before; an answer in another order is the same set. `failed` is called when
 * the first try fails, or one after a success; not for those that follow. It goes on trying. Both
 * are called in the loop and may stop the name.
 * The resolver must stay until name_stop().
 */
void name_start(struct name *name, struct loop *loop, struct resolver *resolver, const char *host,
                uint16_t port,
                void (*changed)(struct name *name, const struct addr *addrs, unsigned count),
                void (*failed)(struct name *name, enum weir_err err));
/* No more calls. The last answer stays in name->addrs. Harmless when it is stopped, or zeroed. */
void name_stop(struct name *name);

/* How long an answer with this time to live is kept. */
struct weir_span name_kept(struct weir_span ttl);
/* How long to rest after one more failure, when the rest before was this; 0: it is the first. */
struct weir_span name_rest(struct weir_span before);

#endif
