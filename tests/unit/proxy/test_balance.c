/* SPDX-License-Identifier: MIT */
#include "proxy/balance.h"

#include "base/check.h"

#include "tests/check.h"

enum { SERVERS_MAX = 4 };

static struct balance_server servers[SERVERS_MAX];
static struct peer peers[SERVERS_MAX];
static struct balance balance;
static uint64_t request;
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
    request = 0;
}

/* The next pick of a new request, or of the same one. */
static unsigned pick_new(void)
{
    return (unsigned)(balance_pick(&balance, now, ++request, 0) - servers);
}

static unsigned pick_again(void)
{
    return (unsigned)(balance_pick(&balance, now, request, 0) - servers);
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
        picked += balance_pick(&balance, WEIR_TIME_INIT(2000), ++request, 0) == &servers[1];
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

TEST(another_requests_tries_do_not_count)
{
    set_weights(2, (unsigned[]){1, 1});
    unsigned first = pick_new();
    unsigned other = (unsigned)(balance_pick(&balance, now, 1000, 0) - servers);
    CHECK(first != other);
    CHECK_EQ(first, balance_pick(&balance, now, 1001, 0) - servers);
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
    CHECK(balance_pick(&balance, now, ++request, 0) == NULL);
    servers[2].unwell = false;
    CHECK_EQ(2, pick_new());
}

TEST(without_a_server_none_is_picked)
{
    set_weights(0, NULL);
    CHECK(balance_pick(&balance, now, ++request, 0) == NULL);
}

CHECK_MAIN
