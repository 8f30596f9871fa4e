/* SPDX-License-Identifier: MIT */
#ifndef SERVER_OVERSEE_H
#define SERVER_OVERSEE_H

/* What the owner of workers does while they run: waits, and sees them stop. */

#include "server/signals.h"
#include "server/workers.h"

struct overseer {
    const struct signals *signals; /* NULL: none are taken */
    /* Every one but SIGINT and SIGTERM, which stop the workers; NULL: there are no others. */
    void (*on_signal)(void *owner, int number);
    /* The workers do not end, though they should have by now. Once: they are waited for. */
    void (*on_hang)(void *owner);
    void *owner;
};

/*
 * Waits until the workers are told to stop, by workers_ask_stop() or a signal: SIGTERM gracefully,
 * SIGINT at once, also after SIGTERM. Returns when they are on their way out, to be joined.
 */
void workers_oversee(struct workers *workers, const struct overseer *overseer);

#endif
