/* SPDX-License-Identifier: MIT */
#include "base/slab.h"

#include "base/poison.h"
#include "tests/check.h"
#include "tests/unit/base/aborts.h"

#include <stdalign.h>
#include <stdint.h>

struct thing {
    char bytes[100];
};

TEST(objects_are_zeroed_aligned_and_apart)
{
    enum { MANY = 2000 };
    static struct thing *things[MANY];
    struct slab slab;
    slab_init(&slab, "thing", sizeof(struct thing));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            things[i] = slab_alloc(&slab);
            if (!CHECK(things[i] != NULL))
                return;
            CHECK_EQ(0, (uintptr_t)things[i] % alignof(max_align_t));
            CHECK_EQ(0, things[i]->bytes[0]);
            CHECK_EQ(0, things[i]->bytes[99]);
            memset(things[i], i % 100 + 1, sizeof *things[i]);
        }
        CHECK_EQ(MANY, slab.used_count);
        for (int i = 0; i < MANY; i++) {
            CHECK_EQ(i % 100 + 1, things[i]->bytes[0]);
            CHECK_EQ(i % 100 + 1, things[i]->bytes[99]);
            slab_free(&slab, things[i]);
        }
    }
    CHECK(slab.page_count > 1 && slab.page_count < 10);
    slab_fini(&slab);
}

TEST(the_last_freed_one_comes_first)
{
    struct slab slab;
    slab_init(&slab, "thing", sizeof(struct thing));
    void *first = slab_alloc(&slab);
    void *second = slab_alloc(&slab);
    slab_free(&slab, first);
    CHECK(slab_alloc(&slab) == first);
    slab_free(&slab, NULL);
    slab_free(&slab, first);
    slab_free(&slab, second);
    CHECK_EQ(0, slab.used_count);
    slab_fini(&slab);
}

static void end_while_in_use(void)
{
    struct slab slab;
    slab_init(&slab, "thing", sizeof(struct thing));
    if (slab_alloc(&slab))
        slab_fini(&slab);
}

static void make_one_of_huge_objects(void)
{
    struct slab slab;
    slab_init(&slab, "huge", 1 << 20);
}

TEST(mistakes_are_found)
{
    CHECK(aborts(end_while_in_use));
    CHECK(aborts(make_one_of_huge_objects));
}

#ifdef WEIR_ASAN
TEST(freed_objects_are_poisoned)
{
    struct slab slab;
    slab_init(&slab, "thing", sizeof(struct thing));
    struct thing *thing = slab_alloc(&slab);
    CHECK(!__asan_address_is_poisoned(thing));
    slab_free(&slab, thing);
    CHECK(__asan_address_is_poisoned(thing));
    CHECK(__asan_address_is_poisoned(&thing->bytes[99]));
    slab_fini(&slab);
}
#endif

CHECK_MAIN
