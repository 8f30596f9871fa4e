/* SPDX-License-Identifier: MIT */
#include "base/rand.h"

#include "base/check.h"
#include "tests/check.h"
#include "tests/unit/base/aborts.h"

TEST(the_sequence_of_a_seed_is_fixed)
{
    /* The first outputs of SplitMix64 for this seed, as its authors' program prints them. */
    static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u,
                                        9817491932198370423u, 4593380528125082431u,
                                        16408922859458223821u};
    struct rand rand;
    rand_init(&rand, 1234567);
    for (size_t i = 0; i < COUNT_OF(expected); i++)
        CHECK(rand_u64(&rand) == expected[i]);
}

TEST(below_is_below_and_even)
{
    enum { LIMIT = 7, DRAWS = 70000 };
    struct rand rand;
    int counts[LIMIT] = {0};
    rand_init(&rand, 0);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t drawn = rand_below(&rand, LIMIT);
        if (!CHECK(drawn < LIMIT))
            return;
        counts[drawn]++;
    }
    /* Six standard deviations of a binomial count: about 93 each. */
    for (int i = 0; i < LIMIT; i++)
        CHECK(counts[i] > DRAWS / LIMIT - 560 && counts[i] < DRAWS / LIMIT + 560);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(0, rand_below(&rand, 1));
    bool upper_half = false;
    for (int i = 0; i < 100; i++)
        upper_half |= rand_below(&rand, UINT64_MAX) > UINT64_MAX / 2;
    CHECK(upper_half);
}

TEST(the_kernels_seeds_differ)
{
    CHECK(rand_seed_from_kernel() != rand_seed_from_kernel());
}

static void draw_below_zero(void)
{
    struct rand rand;
    rand_init(&rand, 1);
    rand_below(&rand, 0);
}

TEST(below_nothing_is_a_mistake)
{
    CHECK(aborts(draw_below_zero));
}

CHECK_MAIN
