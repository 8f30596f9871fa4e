/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_CONNECTOR_H
#define CLIENT_CONNECTOR_H

/*
 * A connector as a program sees it (weir/connector.h): a door to one worker's part of a pool, and
 * the sessions that were got through it. One pool has many: its owner's, and one for each exchange
 * whose phases ask for one.
 */

#include "base/list.h"
#include "client/peers.h"
#include <weir/connector.h>

struct weir_connector {
    struct peers *peers;  /* which know the pool */
    struct list sessions; /* not released yet */
    const char *where;    /* what is going on now, a literal: where a session is got */
    unsigned getting;     /* who asks for a session, or fetches */
    bool ending;          /* nobody gets one any more */
};

void connector_init(struct weir_connector *connector, struct peers *peers);
/*
 * Closes the sessions that are left, each with a line in the log: `owner` never released it, and
 * where it was got. How many there were.
 */
unsigned connector_fini(struct weir_connector *connector, const char *owner);

#endif
