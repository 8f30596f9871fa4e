/* SPDX-License-Identifier: MIT */
#ifndef UPSTREAM_KEYS_H
#define UPSTREAM_KEYS_H

/*
 * The keys that one part has met. A key is forgotten when its peer is wanted no more and nothing is
 * left of it; see pool.h for who may use what.
 */

#include "upstream/pool.h"

/* NULL: this part has not met it. */
struct pool_key *key_find(const struct pool *pool, const struct key *key);

/* Forgets it, if that is due. It may be gone afterwards. */
void key_tidy(struct pool *pool, struct pool_key *key);

/* At the end of the part. */
void keys_forget_all(struct pool *pool);

#endif
