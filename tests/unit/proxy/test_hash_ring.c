/* SPDX-License-Identifier: MIT */
#include "proxy/hash_ring.h"

#include "base/slice.h"

#include "tests/check.h"

enum { SERVERS = 10, KEYS = 20000, GONE = 3 };

/* Where each of many requests goes, server `without` being left out. */
static void place_all(unsigned without, const unsigned *weights, unsigned char *ret_servers)
{
    struct hash_ring ring;
    unsigned total = 0;
    for (unsigned i = 0; i < SERVERS; i++)
        total += weights[i];
    CHECK(hash_ring_init(&ring, SERVERS, total));
    for (unsigned i = 0; i < SERVERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "10.0.0.%u:80", i);
        if (i != without)
            hash_ring_add(&ring, i, slice_str(name), weights[i]);
    }
    hash_ring_sort(&ring);
    for (unsigned key = 0; key < KEYS; key++) {
        char text[32];
        snprintf(text, sizeof text, "/path/%u", key);
        unsigned place = hash_ring_find(&ring, hash_ring_hash(slice_str(text)));
        ret_servers[key] = (unsigned char)ring.points[place].server;
    }
    hash_ring_fini(&ring);
}

static const unsigned even[SERVERS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

TEST(each_server_has_its_share)
{
    static const unsigned weights[SERVERS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 3};
    static unsigned char servers[KEYS];
    unsigned counts[SERVERS] = {0};
    place_all(SERVERS, weights, servers);
    for (unsigned key = 0; key < KEYS; key++)
        counts[servers[key]]++;
    for (unsigned i = 0; i < SERVERS; i++) {
        unsigned fair = KEYS * weights[i] / 12;
        CHECK(counts[i] > fair * 7 / 10 && counts[i] < fair * 13 / 10);
    }
}

TEST(a_server_that_goes_moves_its_own_requests_alone)
{
    static unsigned char before[KEYS], after[KEYS];
    unsigned moved = 0;
    place_all(SERVERS, even, before);
    place_all(GONE, even, after);
    for (unsigned key = 0; key < KEYS; key++) {
        CHECK(before[key] == GONE || before[key] == after[key]);
        moved += before[key] != after[key];
    }
    CHECK(moved > KEYS / SERVERS / 2 && moved < KEYS * 2 / SERVERS);
}

TEST(the_ring_is_closed)
{
    struct hash_ring ring;
    CHECK(hash_ring_init(&ring, 1, 1));
    hash_ring_add(&ring, 0, SLICE("one"), 1);
    hash_ring_sort(&ring);
    CHECK_EQ(0, hash_ring_find(&ring, 0));
    CHECK_EQ(0, hash_ring_find(&ring, UINT32_MAX));
    hash_ring_fini(&ring);
}

/* However heavy and many they are; the lightest still has a point. */
TEST(a_ring_has_a_limit)
{
    struct hash_ring ring;
    CHECK(hash_ring_init(&ring, 3, 1001001));
    hash_ring_add(&ring, 0, SLICE("heavy"), 1000000);
    unsigned heavy = ring.count;
    hash_ring_add(&ring, 1, SLICE("light"), 1000);
    unsigned both = ring.count;
    hash_ring_add(&ring, 2, SLICE("lightest"), 1);
    CHECK_EQ(1, ring.count - both);
    CHECK(heavy > HASH_RING_MOST * 0.99 && both - heavy > 100 && both - heavy < 200);
    CHECK(ring.count <= HASH_RING_MOST + 3);
    hash_ring_fini(&ring);
    CHECK(hash_ring_init(&ring, 0, 0));
    hash_ring_fini(&ring);
}

CHECK_MAIN
