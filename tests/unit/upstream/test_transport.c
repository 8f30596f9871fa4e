/* SPDX-License-Identifier: MIT */
/* A pool over a byte transport: as over TCP, and what does not move between two parts of it. */
#include "tests/unit/stream/toy_transport.h"
#include "tests/unit/upstream/swap.h"
#include "upstream/dial.h"

static struct pool other; /* part 1; the rig's is part 0 */
static struct upstream_stats other_stats[RIG_SERVERS];
static struct peer peers[2];
static struct weir_byte_transport transport;

static void begin(unsigned max_connections)
{
    struct peer_options options;
    rig_open_among(8, 2);
    memset(other_stats, 0, sizeof other_stats);
    toy = (struct toy){.ours = -1, .theirs = -1};
    transport = toy_sockets;
    peer_options_init(&options);
    options.upstream = "web";
    options.transport.bytes = &transport;
    options.transport_address = "there";
    options.limits.max_connections = max_connections;
    addr_of_text(SLICE("toy:there"), &options.addr);
    peer_init(&peers[0], &options);
    peer_init(&peers[1], &options);
    const struct pool_options pool = {
        .loop = &stage.loop,
        .streams = &stage.streams,
        .commons = rig.commons,
        .worker = 1,
        .stats = other_stats,
        .seed = 2,
    };
    pool_init(&other, &pool);
    swap_request("GET");
}

WEIR_SUSPENDS static void end(void)
{
    pool_audit(&other);
    STAGE_UNTIL(pool_is_quiet(&other) && pool_is_quiet(&rig.pool));
    pool_fini(&other);
    rig_close();
    CHECK_EQ(toy.opened, toy.closed);
    if (toy.theirs >= 0)
        close(toy.theirs);
}

WEIR_SUSPENDS static bool get(unsigned part)
{
    struct pool *pool = part ? &other : &rig.pool;
    return CHECK_OK(connector_get(pool, &peers[part], CONNECTOR_ANY, in_ms(5000), &swap.session));
}

WEIR_SUSPENDS static void exchange(void)
{
    swap.server = toy.theirs;
    if (!swap_send())
        return;
    raw_send(toy.theirs, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    CHECK_OK(swap_recv());
    CHECK(!strcmp("hello", swap.body));
}

STAGE_EACH(a_connection_is_used_again_and_watched)
{
    begin(0);
    for (unsigned i = 0; i < 3; i++) {
        if (!get(0))
            return;
        CHECK_EQ(i == 0 ? SOURCE_NEW : SOURCE_REUSED, swap.session->story.source);
        CHECK_EQ(HTTP_1, swap.session->story.protocol);
        exchange();
        swap_release(true);
        CHECK_EQ(1, rig.pool.idle_count);
        stage_turns();
    }
    CHECK_EQ(1, toy.opened);
    close(toy.theirs);
    toy.theirs = -1;
    STAGE_UNTIL(rig.pool.idle_count == 0);
    CHECK_EQ(1, rig_closed(0, CLOSE_PEER_CLOSED));
    end();
}

STAGE_EACH(unexpected_bytes_end_it)
{
    begin(0);
    log_set_level(LOG_ERROR);
    if (!get(0))
        return;
    exchange();
    swap_release(true);
    raw_send(toy.theirs, "boo");
    STAGE_UNTIL(rig.pool.idle_count == 0);
    CHECK_EQ(1, rig_closed(0, CLOSE_UNEXPECTED_DATA));
    end();
}

STAGE_EACH(it_moves_to_who_wants_it)
{
    begin(1);
    for (unsigned i = 0; i < 4; i++) {
        if (!get(i % 2))
            return;
        CHECK_EQ(i == 0 ? SOURCE_NEW : SOURCE_TAKEN_OVER, swap.session->story.source);
        exchange();
        swap_release(true);
    }
    CHECK_EQ(1, toy.opened);
    end();
}

/* With one connection allowed: it makes room for another worker's. */
STAGE_EACH(one_that_does_not_move_makes_room)
{
    begin(1);
    transport.moves = false;
    for (unsigned i = 0; i < 4; i++) {
        int theirs = toy.theirs;
        if (!get(i % 2))
            return;
        CHECK_EQ(SOURCE_NEW, swap.session->story.source);
        if (theirs >= 0)
            close(theirs);
        exchange();
        swap_release(true);
    }
    CHECK_EQ(4, toy.opened);
    CHECK_EQ(3, toy.closed);
    end();
}

static struct session *waited;
static enum weir_err waited_err;
static bool is_over;

WEIR_SUSPENDS static void wait_there(void *unused)
{
    (void)unused;
    waited_err = connector_get(&other, &peers[1], CONNECTOR_ANY, in_ms(5000), &waited);
    is_over = true;
}

STAGE_TEST(who_waits_elsewhere_for_one_that_does_not_move_dials)
{
    begin(1);
    transport.moves = false;
    is_over = false;
    waited = NULL;
    if (!get(0))
        return;
    exchange();
    CHECK_OK(co_spawn(&stage.loop.sched, NULL, "waits", wait_there, NULL, NULL));
    stage_turns();
    CHECK(!is_over);
    int theirs = toy.theirs;
    swap_release(true);
    STAGE_UNTIL(is_over);
    close(theirs);
    CHECK_OK(waited_err);
    CHECK_EQ(1, rig_closed(0, CLOSE_EVICTED));
    CHECK_EQ(2, toy.opened);
    session_release(&waited, true);
    end();
}

STAGE_TEST(what_cannot_be_opened_is_told)
{
    begin(0);
    toy.refusal = WEIR_E_REFUSED;
    CHECK_ERR(WEIR_E_REFUSED,
              connector_get(&rig.pool, &peers[0], CONNECTOR_ANY, in_ms(5000), &swap.session));
    CHECK_EQ(1, stat_read(&rig.stats[0].connect_errors[WEIR_E_REFUSED]));
    end();
}

CHECK_MAIN
