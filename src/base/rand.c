/* SPDX-License-Identifier: MIT */
#include "base/rand.h"

#include "base/check.h"

#include <sys/random.h>

void rand_init(struct rand *rand, uint64_t seed)
{
    rand->state = seed;
}

uint64_t rand_seed_from_kernel(void)
{
    uint64_t seed = 0;
    must(getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
    return seed;
}

/* SplitMix64 (Steele, Lea, Flood 2014): every seed is a good one, the state is one word. */
uint64_t rand_u64(struct rand *rand)
{
    uint64_t z = rand->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Lemire's multiplication; the bias is below limit / 2^64, which no user of jitter can see. */
uint64_t rand_below(struct rand *rand, uint64_t limit)
{
    must(limit != 0);
    return (uint64_t)(((unsigned __int128)rand_u64(rand) * limit) >> 64);
}
