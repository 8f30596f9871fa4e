/* SPDX-License-Identifier: MIT */
#include "proxy/balance.h"

#include "base/check.h"

#include "tests/check.h"

enum { SERVERS_MAX = 4 };

static struct balance_server servers[SERVERS_MAX];
static struct peer peers[SERVERS_MAX];
static struct balance balance;
static struct balance_tried tried;
static const struct weir_time now = {1000};

static void set_weights(unsigned count, const unsigned *weights)
{
    memset(servers, 0, sizeof servers);
    balance = (struct balance){.servers = servers, .count = count};
    memset(peers, 0, sizeof peers);
    for (unsigned i = 0; i < count; i++) {
        servers[i].weight = weights[i];
        servers[i].peer = &peers[i];
    }
    tried = (struct balance_tried){0};
}

/* The next pick of a new request, or of the same one. */
static struct balance_server *pick_at(struct weir_time time)
{
    tried.count = 0;
    return balance_pick(&balance, time, &tried, 0);
}

static unsigned pick_new(void)
{
    return (unsigned)(pick_at(now) - servers);
}

static unsigned pick_again(void)
{
    return (unsigned)(balance_pick(&balance, now, &tried, 0) - servers);
}

static void check_order(unsigned picks, const char *want)
{
    char got[64] = "";
    for (unsigned i = 0; i < picks; i++)
        got[i] = (char)('a' + pick_new());
    CHECK(!strcmp(want, got) || !printf("# %s, not %s\n", got, want));
}

TEST(equal_weights_take_turns)
{
    set_weights(3, (unsigned[]){1, 1, 1});
    check_order(9, "abcabcabc");
    set_weights(1, (unsigned[]){7});
    check_order(3, "aaa");
}

TEST(weights_hold_over_each_round_and_are_spread)
{
    set_weights(3, (unsigned[]){5, 1, 1});
    check_order(14, "aabacaaaabacaa");
    static const unsigned weights[] = {1000, 1, 300, 7};
    set_weights(4, weights);
    for (int round = 0; round < 3; round++) {
        unsigned counts[4] = {0};
        for (unsigned i = 0; i < 1308; i++)
            counts[pick_new()]++;
        for (int i = 0; i < 4; i++)
            CHECK_EQ(weights[i], counts[i]);
        for (int i = 0; i < 4; i++)
            CHECK_EQ(0, servers[i].credit);
    }
}

TEST(a_held_server_is_left_out_until_its_time)
{
    set_weights(3, (unsigned[]){1, 1, 1});
    peers[1].held_until = WEIR_TIME_INIT(2000);
    for (int i = 0; i < 10; i++)
        CHECK(pick_new() != 1);
    unsigned picked = 0;
    for (int i = 0; i < 9; i++)
        picked += pick_at(WEIR_TIME_INIT(2000)) == &servers[1];
    CHECK_EQ(3, picked);
}

TEST(if_all_are_held_none_is_left_out)
{
    set_weights(2, (unsigned[]){1, 1});
    peers[0].held_until = WEIR_NEVER;
    peers[1].held_until = WEIR_NEVER;
    unsigned counts[2] = {0};
    for (int i = 0; i < 10; i++)
        counts[pick_new()]++;
    CHECK_EQ(5, counts[0]);
    CHECK_EQ(5, counts[1]);
}

TEST(a_request_tries_each_server_once_before_it_repeats)
{
    set_weights(3, (unsigned[]){100, 1, 1});
    for (int i = 0; i < 50; i++) {
        unsigned first = pick_new(), second = pick_again(), third = pick_again();
        CHECK(first != second && second != third && first != third);
        CHECK(pick_again() < 3);
    }
}

/* ... and a server that refused someone else a moment ago comes before one that refused us. */
TEST(held_comes_before_tried)
{
    set_weights(3, (unsigned[]){1, 1, 1});
    peers[1].held_until = WEIR_NEVER;
    peers[2].held_until = WEIR_NEVER;
    CHECK_EQ(0, pick_new());
    unsigned second = pick_again(), third = pick_again();
    CHECK(second != 0 && third != 0 && second != third);
}

/* Two requests whose tries take turns, as those of overlapping dials do. */
TEST(another_requests_tries_do_not_count)
{
    set_weights(2, (unsigned[]){1, 1});
    struct balance_tried one = {0}, other = {0};
    for (int i = 0; i < 2; i++) {
        one.count = other.count = 0;
        const struct balance_server *first = balance_pick(&balance, now, &one, 0);
        const struct balance_server *others = balance_pick(&balance, now, &other, 0);
        CHECK(balance_pick(&balance, now, &one, 0) != first);
        CHECK(balance_pick(&balance, now, &other, 0) != others);
    }
}

TEST(only_the_last_tries_are_remembered)
{
    set_weights(2, (unsigned[]){1, 1});
    for (unsigned i = 0; i < 3 * BALANCE_TRIED_MAX; i++)
        CHECK(balance_pick(&balance, now, &tried, 0) != NULL);
    CHECK_EQ(3 * BALANCE_TRIED_MAX, tried.count);
}

TEST(who_fails_its_checks_is_never_picked)
{
    set_weights(3, (unsigned[]){1, 1, 1});
    servers[1].unwell = true;
    peers[0].held_until = peers[2].held_until = WEIR_NEVER;
    for (int i = 0; i < 10; i++)
        CHECK(pick_new() != 1);
    for (int i = 0; i < 10; i++)
        CHECK(pick_again() != 1);
    servers[0].unwell = servers[2].unwell = true;
    CHECK(pick_at(now) == NULL);
    servers[2].unwell = false;
    CHECK_EQ(2, pick_new());
}

TEST(without_a_server_none_is_picked)
{
    set_weights(0, NULL);
    CHECK(pick_at(now) == NULL);
}

CHECK_MAIN
