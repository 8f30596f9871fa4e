/* SPDX-License-Identifier: MIT */
#include "upstream/places.h"

#include "base/check.h"

#include "tests/check.h"

#include <pthread.h>

enum { WORKERS = 4, ROUNDS = 20000 };

TEST(there_are_as_many_as_was_said_whoever_takes_them)
{
    static const unsigned sizes[] = {0, 1, 3, 8, 128};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned workers = 1; workers <= WORKERS; workers++) {
            struct places places;
            unsigned taken = 0;
            CHECK(places_init(&places, sizes[i], workers));
            while (taken < 1000 && places_take(&places, workers - 1))
                taken++;
            CHECK_EQ(sizes[i], taken);
            for (; taken > 0; taken--)
                places_give(&places, taken % workers);
            places_fini(&places);
        }
}

TEST(the_oldest_is_found_wherever_it_rests)
{
    struct places places;
    CHECK(places_init(&places, 8, WORKERS));
    CHECK_EQ(-1, places_find_oldest(&places));
    places_tell_oldest(&places, 0, WEIR_TIME_INIT(300));
    places_tell_oldest(&places, 2, WEIR_TIME_INIT(100));
    places_tell_oldest(&places, 3, WEIR_TIME_INIT(200));
    CHECK_EQ(2, places_find_oldest(&places));
    places_tell_oldest(&places, 2, WEIR_NEVER);
    CHECK_EQ(3, places_find_oldest(&places));
    places_fini(&places);
}

struct taker {
    pthread_t thread;
    struct places *places;
    _Atomic int *out;
    unsigned worker;
};

/* Takes and gives; never may more be out than there are. */
static void *take_and_give(void *argument)
{
    struct taker *taker = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (!places_take(taker->places, taker->worker))
            continue;
        must(atomic_fetch_add(taker->out, 1) < 3);
        atomic_fetch_sub(taker->out, 1);
        places_give(taker->places, taker->worker);
    }
    return NULL;
}

TEST(threads_never_have_more_than_there_are)
{
    struct places places;
    struct taker takers[WORKERS];
    _Atomic int out = 0;
    CHECK(places_init(&places, 3, WORKERS));
    for (unsigned i = 0; i < WORKERS; i++) {
        takers[i] = (struct taker){.places = &places, .out = &out, .worker = i};
        must(pthread_create(&takers[i].thread, NULL, take_and_give, &takers[i]) == 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(takers[i].thread, NULL);
    CHECK_EQ(0, atomic_load(&out));
    places_fini(&places); /* checks that all came back */
}

CHECK_MAIN
