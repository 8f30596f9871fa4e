/* SPDX-License-Identifier: MIT */
#include "app/ring.h"

#include "base/slice.h"
#include "tests/check.h"

#include <pthread.h>
#include <sched.h>

static char filling[RING_BYTES];

TEST(what_is_put_is_taken_in_order)
{
    struct ring ring;
    struct weir_slice views[2];
    CHECK(ring_init(&ring));
    CHECK_EQ(0, ring_fill(&ring));
    CHECK(ring_put(&ring, SLICE("one ")));
    CHECK(ring_put(&ring, SLICE("two")));
    ring_peek(&ring, views);
    CHECK_SLICE(views[0], "one two");
    CHECK_EQ(0, views[1].len);
    ring_drop(&ring, 4);
    ring_peek(&ring, views);
    CHECK_SLICE(views[0], "two");
    CHECK_EQ(3, ring_fill(&ring));
    ring_fini(&ring);
}

TEST(all_or_nothing_when_it_is_full)
{
    struct ring ring;
    CHECK(ring_init(&ring));
    CHECK(ring_put(&ring, slice_of(filling, RING_BYTES - 3)));
    CHECK(!ring_put(&ring, SLICE("four")));
    CHECK_EQ(RING_BYTES - 3, ring_fill(&ring));
    CHECK(ring_put(&ring, SLICE("abc")));
    CHECK(!ring_put(&ring, SLICE("d")));
    ring_drop(&ring, RING_BYTES - 3);
    CHECK(ring_put(&ring, SLICE("d")));
    ring_fini(&ring);
}

TEST(a_text_over_the_seam_comes_in_two_views)
{
    struct ring ring;
    struct weir_slice views[2];
    CHECK(ring_init(&ring));
    CHECK(ring_put(&ring, slice_of(filling, RING_BYTES - 3)));
    ring_drop(&ring, RING_BYTES - 3);
    CHECK(ring_put(&ring, SLICE("abcdef")));
    ring_peek(&ring, views);
    CHECK_SLICE(views[0], "abc");
    CHECK_SLICE(views[1], "def");
    ring_fini(&ring);
}

enum { NUMBERS = 400000 };

static void *put_numbers(void *argument)
{
    struct ring *ring = argument;
    for (uint32_t i = 0; i < NUMBERS; i++)
        while (!ring_put(ring, slice_of((const char *)&i, sizeof i)))
            sched_yield();
    return NULL;
}

/* Each number is four bytes, so that none lies over the seam. */
static unsigned take_numbers(struct weir_slice view, uint32_t *next)
{
    unsigned wrong = 0;
    for (size_t at = 0; at < view.len; at += sizeof(uint32_t)) {
        uint32_t number;
        memcpy(&number, view.at + at, sizeof number);
        wrong += number != (*next)++;
    }
    return wrong;
}

TEST(two_threads_lose_nothing)
{
    struct ring ring;
    pthread_t thread;
    uint32_t next = 0;
    unsigned wrong = 0;
    CHECK(ring_init(&ring));
    CHECK_EQ(0, pthread_create(&thread, NULL, put_numbers, &ring));
    while (next < NUMBERS) {
        struct weir_slice views[2];
        ring_peek(&ring, views);
        wrong += take_numbers(views[0], &next) + take_numbers(views[1], &next);
        ring_drop(&ring, views[0].len + views[1].len);
    }
    pthread_join(thread, NULL);
    CHECK_EQ(0, wrong);
    CHECK_EQ(0, ring_fill(&ring));
    ring_fini(&ring);
}

CHECK_MAIN
