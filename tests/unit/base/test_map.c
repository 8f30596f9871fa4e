/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include "base/check.h"
#include "base/rand.h"
#include "tests/check.h"
#include "tests/unit/base/aborts.h"

struct thing {
    struct map_link link;
    uint64_t key;
    bool present;
};

static struct thing *find(const struct map *map, uint64_t hash, uint64_t key)
{
    for (struct map_link *at = map_find(map, hash); at; at = map_next(at)) {
        CHECK_EQ(hash, at->hash);
        struct thing *thing = container_of(at, struct thing, link);
        if (thing->key == key)
            return thing;
    }
    return NULL;
}

TEST(an_empty_map)
{
    struct map map;
    map_init(&map);
    CHECK(!map_find(&map, 1));
    CHECK(!map_any(&map));
    map_fini(&map);
}

TEST(equal_hashes_are_told_apart_by_the_caller)
{
    struct map map;
    struct thing things[5] = {0};
    map_init(&map);
    for (uint64_t i = 0; i < 5; i++) {
        things[i].key = i;
        CHECK(map_insert(&map, &things[i].link, 42));
    }
    for (uint64_t i = 0; i < 5; i++)
        CHECK(find(&map, 42, i) == &things[i]);
    CHECK(!find(&map, 42, 5));
    CHECK(!map_find(&map, 42 + 16));
    map_remove(&map, &things[2].link);
    CHECK(!find(&map, 42, 2));
    CHECK(find(&map, 42, 4) == &things[4]);
    for (struct map_link *link; (link = map_any(&map));)
        map_remove(&map, link);
    CHECK_EQ(0, map.count);
    map_fini(&map);
}

TEST(random_changes_against_a_plain_table)
{
    static struct thing things[3000];
    struct map map;
    struct rand rand;
    size_t count = 0;
    map_init(&map);
    rand_init(&rand, 3);
    for (uint64_t i = 0; i < COUNT_OF(things); i++)
        things[i].key = i;
    for (int i = 0; i < 30000; i++) {
        struct thing *thing = &things[rand_below(&rand, COUNT_OF(things))];
        uint64_t hash = thing->key / 3 * 0x9e3779b97f4a7c15u; /* three of each hash */
        CHECK_EQ(thing->present, find(&map, hash, thing->key) != NULL);
        if (thing->present)
            map_remove(&map, &thing->link);
        else
            CHECK(map_insert(&map, &thing->link, hash));
        thing->present = !thing->present;
        count = thing->present ? count + 1 : count - 1;
        CHECK_EQ(count, map.count);
    }
    CHECK(map.bucket_count >= 1024);
    for (struct map_link *link; (link = map_any(&map)); count--)
        map_remove(&map, link);
    CHECK_EQ(0, count);
    map_fini(&map);
}

static void remove_a_stranger(void)
{
    struct map map;
    struct thing mine = {0}, stranger = {0};
    map_init(&map);
    if (map_insert(&map, &mine.link, 1))
        map_remove(&map, &stranger.link);
}

static void end_a_full_map(void)
{
    struct map map;
    struct thing mine = {0};
    map_init(&map);
    if (map_insert(&map, &mine.link, 1))
        map_fini(&map);
}

TEST(mistakes_are_found)
{
    CHECK(aborts(remove_a_stranger));
    CHECK(aborts(end_a_full_map));
}

CHECK_MAIN
