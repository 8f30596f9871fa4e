/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_TICKETS_H
#define STREAM_TLS_TICKETS_H

/*
 * The keys of a server's session tickets (RFC 5077, RFC 8446 section 4.6.1), shared by all workers.
 * The newest key seals; those before it still open what they sealed, until they are forgotten: so
 * who steals a key cannot open what was recorded long before.
 */

#include <weir/time.h>

#include <pthread.h>
#include <stdbool.h>

enum { TICKET_KEYS = 3, TICKET_NAME_BYTES = 16, TICKET_SECRET_BYTES = 32 };

struct ticket_key {
    unsigned char name[TICKET_NAME_BYTES];
    unsigned char cipher_key[TICKET_SECRET_BYTES], mac_key[TICKET_SECRET_BYTES];
    struct weir_time made;
};

struct tickets {
    pthread_mutex_t lock;
    struct weir_span rotation;
    unsigned count;
    struct ticket_key keys[TICKET_KEYS]; /* newest first */
};

void tickets_init(struct tickets *tickets, struct weir_span rotation);
/* Wipes the keys. */
void tickets_fini(struct tickets *tickets);

/* The key that seals now: a new one when the last is older than the rotation. False: no randomness.
 */
bool tickets_newest(struct tickets *tickets, struct weir_time now, struct ticket_key *ret_key);
/* The key of this name; *ret_stale: it seals no more, so a new ticket is due. False: none. */
bool tickets_find(struct tickets *tickets, struct weir_time now,
                  const unsigned char name[static TICKET_NAME_BYTES], struct ticket_key *ret_key,
                  bool *ret_stale);

#endif
