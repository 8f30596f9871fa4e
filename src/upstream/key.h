/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_KEY_H
#define UPSTREAM_KEY_H

/*
 * Everything in a peer that makes two connections interchangeable (docs/reuse.md), as one run
 * of bytes. The hash only finds; the bytes decide. Fields are written in a fixed order with their
 * lengths, so that two different keys never have the same bytes. What may be long, all of TLS, of
 * a proxy on the way and of what a transport opens, stands there as the SHA-256 of such a run of
 * its own.
 */

#include <stdbool.h>
#include <stdint.h>

enum { KEY_BYTES_MAX = 512 }; /* four addresses of at most 115, and what is short */

struct key {
    uint64_t hash; /* XXH3 over the bytes, seeded per process */
    uint32_t len;
    unsigned char bytes[KEY_BYTES_MAX];
};

struct peer_options;

void key_make(const struct peer_options *options, struct key *ret_key);

bool key_equal(const struct key *a, const struct key *b);

/* For tests: every key made from now on has the same hash, so that only the bytes tell them apart.
 */
void key_force_collisions(bool force);

#endif
