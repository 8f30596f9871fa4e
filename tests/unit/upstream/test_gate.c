/* SPDX-License-Identifier: MIT */
/* Who stands where in the queue, without anybody who would be told. */
#include "upstream/gate.h"

#include "upstream/ask.h"
#include "upstream/peer.h"
#include "upstream/pool.h"

#include "tests/check.h"

enum { ASKS = 4 };

struct waiting {
    struct gate *gate;
    struct census *census;
    struct pool_key key;
    struct peer peer;
    struct ask asks[ASKS];
};

static struct waiting waiting;

/* A gate at its limit of one connection, and all asks in its queue. */
static void open_queue(void)
{
    struct peer_options options;
    peer_options_init(&options);
    options.limits.max_connections = 1;
    memset(&waiting, 0, sizeof waiting);
    peer_init(&waiting.peer, &options);
    waiting.gate = gate_new(&options.addr);
    waiting.census = census_new(&waiting.peer.key, waiting.gate, 1);
    if (!CHECK(waiting.census))
        return;
    waiting.key.census = waiting.census;
    CHECK(gate_enter_now(waiting.gate, 1, 0));
    for (int i = 0; i < ASKS; i++) {
        waiting.asks[i].key = &waiting.key;
        waiting.asks[i].peer = &waiting.peer;
        list_init(&waiting.asks[i].gate_link);
        CHECK_EQ(GATE_WAIT, gate_enter(waiting.gate, &waiting.asks[i]));
    }
}

static void close_queue(void)
{
    CHECK(!gate_has_waiting(waiting.gate));
    gate_dialled(waiting.gate, false);
    census_free(waiting.census);
    gate_free(waiting.gate);
}

static struct ask *take(int number)
{
    struct ask *ask = gate_take_oldest(waiting.gate);
    CHECK(ask == &waiting.asks[number]);
    return ask;
}

TEST(first_come_first_served)
{
    open_queue();
    CHECK(gate_leave(waiting.gate, &waiting.asks[1]));
    CHECK(!gate_leave(waiting.gate, &waiting.asks[1]));
    take(0);
    take(2);
    take(3);
    CHECK(!gate_take_oldest(waiting.gate));
    close_queue();
}

/* Two workers had one each on its way to the oldest two, and neither can have it. */
TEST(who_is_put_back_stands_where_he_stood)
{
    open_queue();
    take(0);
    take(1);
    gate_put_back(&waiting.asks[0]);
    gate_put_back(&waiting.asks[1]);
    take(0);
    take(1);
    gate_put_back(&waiting.asks[1]);
    gate_put_back(&waiting.asks[0]);
    for (int i = 0; i < ASKS; i++)
        take(i);
    close_queue();
}

/* And so does who asks again, because what it got was dead. */
TEST(who_enters_again_keeps_its_place)
{
    open_queue();
    take(0);
    take(1);
    CHECK_EQ(GATE_WAIT, gate_enter(waiting.gate, &waiting.asks[1]));
    CHECK_EQ(GATE_WAIT, gate_enter(waiting.gate, &waiting.asks[0]));
    for (int i = 0; i < ASKS; i++)
        take(i);
    close_queue();
}

/* Those that dial: each key's for itself, and nobody of them counts as waiting. */
TEST(who_stands_by_is_taken_in_the_order_of_coming)
{
    open_queue();
    struct census *census = census_new(&waiting.peer.key, waiting.gate, 1);
    struct pool_key other = {.census = census};
    if (!CHECK(census))
        return;
    for (int i = 0; i < ASKS; i++)
        take(i);
    CHECK(!census_has_standing_by(waiting.census));
    waiting.asks[0].key = &other;
    for (int i = 0; i < ASKS; i++) {
        waiting.asks[i].place = STANDING_BY;
        gate_stand_by(waiting.gate, &waiting.asks[i]);
    }
    CHECK(census_has_standing_by(waiting.census) && !gate_has_waiting(waiting.gate));
    CHECK(gate_leave(waiting.gate, &waiting.asks[2]));
    CHECK(gate_take_standing_by(waiting.census) == &waiting.asks[1]);
    CHECK(gate_take_standing_by(waiting.census) == &waiting.asks[3]);
    CHECK(!gate_take_standing_by(waiting.census));
    CHECK(!gate_leave(waiting.gate, &waiting.asks[3]));
    CHECK(gate_leave(waiting.gate, &waiting.asks[0]));
    CHECK(!census_has_standing_by(waiting.census) && !census_has_standing_by(census));
    census_free(census);
    close_queue();
}

CHECK_MAIN
