/* SPDX-License-Identifier: MIT */
/*
 * A connection is its id, never its descriptor's number, nor where its memory lies: both are used
 * again at once, and nothing that was meant for the old one reaches the new one.
 */
#include "tests/sim/part.h"
#include "tests/sim/pool_rig.h"

#include "base/check.h"

#include "tests/check.h"

static struct pool_rig rig;
static struct rig_part *const here = &rig.parts[0], *const there = &rig.parts[1];

/* The number of the connection that was dialled last. */
static int newest_number(void)
{
    struct list *link = list_last(&rig.world.ends);
    for (; link != &rig.world.ends; link = link->prev) {
        const struct sim_end *end = container_of(link, struct sim_end, all_link);
        if (addr_equal(&end->there, &rig.server.addr) && !end->closed)
            return end->descriptor;
    }
    return -1;
}

static const struct conn *only_conn(struct rig_part *part)
{
    struct list *link = list_first(&part->pool.conns);
    CHECK(link && link->next == &part->pool.conns);
    return link ? container_of(link, struct conn, all_link) : NULL;
}

/* One connection after another, each with the number and the memory of the one before. */
static void use_one_number_often(struct pool_rig *self)
{
    int number = -1;
    uint64_t last = 0;
    const struct conn *memory = NULL;
    for (int i = 0; i < 100; i++) {
        rig_make_idle(here, 1);
        const struct conn *conn = only_conn(here);
        if (!conn)
            return;
        CHECK(conn->id > last && conn->requests == 1);
        CHECK(i == 0 || (conn == memory && newest_number() == number));
        last = conn->id;
        memory = conn;
        number = newest_number();
        scope_cancel(&self->server.connections);
        while (here->pool.idle_count > 0)
            rig_sleep_ms(1);
    }
    CHECK_EQ(100, here->pool.opened_count);
    CHECK_EQ(100, rig_closed(here, CLOSE_PEER_CLOSED));
}

TEST(each_connection_on_one_number_has_an_id_of_its_own)
{
    rig_open(&rig, 1, 1, 8, NULL);
    rig.options.limits.learn = false; /* that this server ends each after one request */
    rig_run(&rig, use_one_number_often);
}

/* The old one's rest would have ended at 100 ms; the new one began to rest at 60. */
static void rest_on_a_used_number(struct pool_rig *self)
{
    rig_make_idle(here, 1);
    struct weir_time began = loop_now(&here->loop);
    uint64_t old = only_conn(here)->id;
    int number = newest_number();
    rig_sleep_ms(50);
    scope_cancel(&self->server.connections);
    rig_sleep_ms(10);
    CHECK_EQ(1, rig_closed(here, CLOSE_PEER_CLOSED));
    rig_make_idle(here, 1);
    CHECK_EQ(number, newest_number());
    uint64_t id = only_conn(here)->id;
    CHECK(id > old);
    while (weir_time_between(began, loop_now(&here->loop)).ns < weir_span_ms(140).ns)
        rig_sleep_ms(1);
    CHECK_EQ(1, here->pool.idle_count);
    CHECK_EQ(id, only_conn(here)->id);
    rig_sleep_ms(40);
    CHECK_EQ(0, here->pool.idle_count);
    CHECK_EQ(1, rig_closed(here, CLOSE_IDLE_TIMEOUT));
}

TEST(the_rest_of_an_old_one_does_not_end_a_new_one)
{
    rig_open(&rig, 1, 1, 8, NULL);
    rig.options.limits.idle_timeout = weir_span_ms(100);
    rig_run(&rig, rest_on_a_used_number);
}

/* It breaks while it is in use, and what rested no shorter is closed for that: not the new one. */
static void break_on_a_used_number(struct pool_rig *self)
{
    struct rig_get broken;
    rig_make_idle(here, 1);
    rig_get(&broken, here, CONNECTOR_ANY);
    CHECK_OK(rig_await(&broken));
    struct weir_time released = broken.session->released_before;
    int number = newest_number();
    scope_cancel(&self->server.connections);
    rig_sleep_ms(10);
    rig_release(&broken);
    CHECK_EQ(0, here->pool.in_use_count + here->pool.idle_count);
    rig_make_idle(here, 1);
    CHECK_EQ(number, newest_number());
    pool_close_idle_since(&here->pool, here->peer, released);
    CHECK_EQ(1, here->pool.idle_count);
}

TEST(what_broke_does_not_close_who_has_its_number_now)
{
    rig_open(&rig, 1, 1, 8, NULL);
    rig_run(&rig, break_on_a_used_number);
}

/* It takes its number along, and its id, whatever memory it has there. */
static void move_with_its_number(struct pool_rig *self)
{
    struct rig_get get;
    rig_make_idle(there, 1);
    uint64_t id = only_conn(there)->id;
    int number = newest_number();
    rig_get(&get, here, CONNECTOR_ANY);
    CHECK_OK(rig_await(&get));
    CHECK_EQ(id, rig_id(&get));
    CHECK_EQ(SOURCE_TAKEN_OVER, get.session->story.source);
    CHECK_EQ(2, get.session->story.connection_requests);
    CHECK_EQ(number, newest_number());
    /* Its old part dials: another number, another id, and no word of it reaches the old one. */
    rig_make_idle(there, 1);
    CHECK(only_conn(there)->id > id && newest_number() != number);
    CHECK_EQ(id, only_conn(here)->id);
    scope_cancel(&self->server.connections);
    rig_sleep_ms(10);
    rig_release(&get);
    CHECK_EQ(1, rig_closed(here, CLOSE_PEER_CLOSED));
    CHECK_EQ(1, rig_closed(there, CLOSE_PEER_CLOSED));
    rig_make_idle(there, 1);
    CHECK_EQ(number, newest_number());
    CHECK(only_conn(there)->id > id);
}

TEST(who_moves_takes_its_number_and_its_id_along)
{
    rig_open(&rig, 1, 2, 8, NULL);
    rig_run(&rig, move_with_its_number);
}

CHECK_MAIN
