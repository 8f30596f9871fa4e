/* SPDX-License-Identifier: MIT */
#include "stream/tls_tickets.h"

#include "tests/check.h"

enum { ROTATION_S = 100 };

static struct tickets tickets;

static struct weir_time at_s(int64_t seconds)
{
    return (struct weir_time){(1000000 + seconds) * 1000000000};
}

static struct ticket_key newest_at(int64_t seconds)
{
    struct ticket_key key = {.name = ""};
    CHECK(tickets_newest(&tickets, at_s(seconds), &key));
    return key;
}

enum { GONE, OPENS, OPENS_STALE };

static int try_at(int64_t seconds, const struct ticket_key *key)
{
    struct ticket_key found;
    bool stale = false;
    if (!tickets_find(&tickets, at_s(seconds), key->name, &found, &stale))
        return GONE;
    CHECK(memcmp(&found, key, sizeof found) == 0);
    return stale ? OPENS_STALE : OPENS;
}

static bool same(const struct ticket_key *a, const struct ticket_key *b)
{
    return memcmp(a->name, b->name, sizeof a->name) == 0;
}

TEST(one_key_seals_for_one_rotation)
{
    tickets_init(&tickets, weir_span_s(ROTATION_S));
    struct ticket_key first = newest_at(0), again = newest_at(ROTATION_S - 1);
    CHECK(same(&first, &again));
    CHECK_EQ(1, tickets.count);
    struct ticket_key second = newest_at(ROTATION_S);
    CHECK(!same(&first, &second));
    CHECK(memcmp(first.cipher_key, second.cipher_key, sizeof first.cipher_key) != 0);
    CHECK(memcmp(first.mac_key, second.mac_key, sizeof first.mac_key) != 0);
    CHECK_EQ(2, tickets.count);
    tickets_fini(&tickets);
}

TEST(an_old_key_opens_for_two_rotations_more)
{
    tickets_init(&tickets, weir_span_s(ROTATION_S));
    struct ticket_key first = newest_at(0);
    CHECK_EQ(OPENS, try_at(0, &first));
    CHECK_EQ(OPENS, try_at(ROTATION_S - 1, &first));
    CHECK_EQ(OPENS_STALE, try_at(ROTATION_S, &first));
    struct ticket_key second = newest_at(ROTATION_S);
    CHECK_EQ(OPENS, try_at(ROTATION_S, &second));
    CHECK_EQ(OPENS_STALE, try_at(2 * ROTATION_S, &first));
    CHECK_EQ(OPENS_STALE, try_at(2 * ROTATION_S, &second));
    CHECK_EQ(OPENS_STALE, try_at(3 * ROTATION_S - 1, &first));
    CHECK_EQ(GONE, try_at(3 * ROTATION_S, &first));
    CHECK_EQ(OPENS_STALE, try_at(3 * ROTATION_S, &second));
    CHECK_EQ(TICKET_KEYS, tickets.count);
    tickets_fini(&tickets);
}

/* Nobody came for long: what is older than all rotations is forgotten at once. */
TEST(keys_are_forgotten_in_quiet_times_too)
{
    tickets_init(&tickets, weir_span_s(ROTATION_S));
    struct ticket_key first = newest_at(0), second = newest_at(ROTATION_S + 50);
    CHECK_EQ(OPENS_STALE, try_at(3 * ROTATION_S - 10, &first));
    CHECK_EQ(3, tickets.count);
    CHECK_EQ(OPENS_STALE, try_at(4 * ROTATION_S, &second));
    tickets_fini(&tickets);

    tickets_init(&tickets, weir_span_s(ROTATION_S));
    first = newest_at(0);
    CHECK_EQ(GONE, try_at(3 * ROTATION_S, &first));
    CHECK_EQ(1, tickets.count);
    tickets_fini(&tickets);
}

/* The key is too old although no rotation is due: it was the last but one when those made a pause.
 */
TEST(a_key_opens_for_three_rotations_and_no_longer)
{
    tickets_init(&tickets, weir_span_s(ROTATION_S));
    struct ticket_key first = newest_at(0);
    (void)newest_at(ROTATION_S + 90);
    (void)newest_at(2 * ROTATION_S + 95);
    CHECK_EQ(OPENS_STALE, try_at(2 * ROTATION_S + 99, &first));
    CHECK_EQ(GONE, try_at(3 * ROTATION_S, &first));
    tickets_fini(&tickets);
}

TEST(a_name_that_is_none_is_not_found)
{
    struct ticket_key unknown = {.name = "who is this"};
    tickets_init(&tickets, weir_span_s(ROTATION_S));
    CHECK_EQ(GONE, try_at(0, &unknown));
    (void)newest_at(0);
    CHECK_EQ(GONE, try_at(0, &unknown));
    tickets_fini(&tickets);
}

TEST(keys_are_wiped_at_the_end)
{
    static const struct ticket_key zeros[TICKET_KEYS];
    tickets_init(&tickets, weir_span_s(ROTATION_S));
    (void)newest_at(0);
    tickets_fini(&tickets);
    CHECK(memcmp(tickets.keys, zeros, sizeof zeros) == 0);
}

CHECK_MAIN
