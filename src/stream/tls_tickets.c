/* SPDX-License-Identifier: MIT */
#include "stream/tls_tickets.h"

#include "base/check.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

void tickets_init(struct tickets *tickets, struct weir_span rotation)
{
    *tickets = (struct tickets){.rotation = rotation};
    must(pthread_mutex_init(&tickets->lock, NULL) == 0);
}

void tickets_fini(struct tickets *tickets)
{
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets->keys, sizeof tickets->keys);
}

static bool is_due(const struct tickets *tickets, struct weir_time now)
{
    return tickets->count == 0 ||
           !weir_time_before(now, weir_time_after(tickets->keys[0].made, tickets->rotation));
}

static bool make_key(struct weir_time now, struct ticket_key *key)
{
    key->made = now;
    return RAND_bytes(key->name, sizeof key->name) == 1 &&
           RAND_priv_bytes(key->cipher_key, sizeof key->cipher_key) == 1 &&
           RAND_priv_bytes(key->mac_key, sizeof key->mac_key) == 1;
}

/* What is older than all rotations together opens nothing any more. */
static void forget_old(struct tickets *tickets, struct weir_time now)
{
    while (tickets->count > 1) {
        struct ticket_key *oldest = &tickets->keys[tickets->count - 1];
        struct weir_span age = weir_time_between(oldest->made, now);
        if (age.ns / TICKET_KEYS < tickets->rotation.ns)
            return;
        OPENSSL_cleanse(oldest, sizeof *oldest);
        tickets->count--;
    }
}

static bool rotate(struct tickets *tickets, struct weir_time now)
{
    struct ticket_key fresh;
    forget_old(tickets, now);
    if (!is_due(tickets, now))
        return true;
    if (!make_key(now, &fresh))
        return false;
    memmove(&tickets->keys[1], &tickets->keys[0], sizeof tickets->keys - sizeof fresh);
    tickets->keys[0] = fresh;
    if (tickets->count < TICKET_KEYS)
        tickets->count++;
    forget_old(tickets, now);
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return true;
}

bool tickets_newest(struct tickets *tickets, struct weir_time now, struct ticket_key *ret_key)
{
    pthread_mutex_lock(&tickets->lock);
    bool made = rotate(tickets, now);
    if (made)
        *ret_key = tickets->keys[0];
    pthread_mutex_unlock(&tickets->lock);
    return made;
}

bool tickets_find(struct tickets *tickets, struct weir_time now,
                  const unsigned char name[static TICKET_NAME_BYTES], struct ticket_key *ret_key,
                  bool *ret_stale)
{
    bool found = false;
    pthread_mutex_lock(&tickets->lock);
    bool fresh = rotate(tickets, now);
    for (unsigned i = 0; i < tickets->count && !found; i++) {
        if (memcmp(tickets->keys[i].name, name, TICKET_NAME_BYTES) != 0)
            continue;
        *ret_key = tickets->keys[i];
        *ret_stale = fresh && i > 0;
        found = true;
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}
