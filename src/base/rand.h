/* SPDX-License-Identifier: MIT */
#ifndef BASE_RAND_H
#define BASE_RAND_H

/* A small generator for jitter, choice and simulation; not for secrets. One per owner, no locks. */

#include <stdint.h>

struct rand {
    uint64_t state;
};

/* The same seed gives the same sequence on every machine. */
void rand_init(struct rand *rand, uint64_t seed);

/* A seed from the kernel. */
uint64_t rand_seed_from_kernel(void);

uint64_t rand_u64(struct rand *rand);

/* Even over 0 .. limit - 1; limit must not be 0. */
uint64_t rand_below(struct rand *rand, uint64_t limit);

#endif
