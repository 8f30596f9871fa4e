/* SPDX-License-Identifier: MIT */
/* Where a server is told of the client: peers, keys and connections that are one client's. */
#include "tests/unit/upstream/rig.h"

static struct peer base;

static struct addr addr_of(const char *text)
{
    struct addr addr;
    must(addr_parse(slice_str(text), &addr) == WEIR_OK);
    return addr;
}

static void open_told(void)
{
    struct peer_options options;
    rig_open(8);
    peer_options_init(&options);
    options.upstream = "web";
    options.addr = rig.servers[0].addr;
    options.preface = PREFACE_V1;
    peer_init(&base, &options);
    CHECK_OK(pool_adopt_peer(&rig.pool, &base));
}

/* The same address and port each time: only the number tells the clients apart. */
static struct peer *client(uint64_t number)
{
    struct addr source = addr_of("192.0.2.1:1000"), destination = addr_of("192.0.2.9:80");
    return peer_new_for(&base, &source, &destination, number);
}

/* A connection that was used once, at rest; its server's end. */
WEIR_SUSPENDS static int rest_one(struct peer *peer)
{
    static const char line[] = "PROXY TCP4 192.0.2.1 192.0.2.9 1000 80\r\n";
    struct rig_pair pair = {.server = -1};
    if (!CHECK_OK(rig_connect(peer, &pair.conn)))
        return -1;
    int server = raw_accept(&rig.servers[0]);
    CHECK_EQ(sizeof line - 1, raw_read(server, line));
    rig_put(&pair);
    return server;
}

STAGE_TEST(a_connection_is_one_clients)
{
    open_told();
    struct peer *alice = client(1), *bob = client(2), *alice_again = client(1);
    int server = rest_one(alice);
    CHECK_EQ(1, rig.pool.idle_count);
    CHECK(!rig_take_for(bob));
    CHECK(!rig_take_for(&base));
    struct rig_pair pair = {.conn = rig_take_for(alice_again)};
    if (CHECK(pair.conn))
        rig_put(&pair);
    peer_unref(alice);
    peer_unref(bob);
    peer_unref(alice_again);
    pool_drain_peer(&rig.pool, &base);
    CHECK_EQ(0, raw_await_end(server));
    raw_close(server);
    rig_close();
}

/* Nothing of a client stays but what rests. */
STAGE_TEST(its_key_goes_with_its_last_connection)
{
    open_told();
    size_t keys = rig.pool.keys.count;
    struct peer *alice = client(1);
    int server = rest_one(alice);
    peer_unref(alice);
    CHECK_EQ(keys + 1, rig.pool.keys.count);
    raw_close(server);
    STAGE_UNTIL(rig.pool.idle_count == 0);
    CHECK_EQ(keys, rig.pool.keys.count);
    CHECK_EQ(0, base.references);
    pool_drain_peer(&rig.pool, &base);
    rig_close();
}

STAGE_TEST(draining_the_server_reaches_what_is_its_clients)
{
    open_told();
    struct peer *alice = client(1), *bob = client(2);
    int servers[2] = {rest_one(alice), rest_one(bob)};
    struct rig_pair pair = {.conn = rig_take_for(bob)};
    peer_unref(alice);
    peer_unref(bob);
    pool_drain_peer(&rig.pool, &base);
    CHECK_EQ(0, rig.pool.idle_count);
    CHECK_EQ(0, raw_await_end(servers[0]));
    struct keep_facts facts = {0};
    CHECK_EQ(KEEP_NOT_PEER_DRAINED, pool_put(&pair.conn, &facts)); /* in use: at its release */
    CHECK_EQ(0, raw_await_end(servers[1]));
    CHECK_EQ(0, rig.pool.keys.count);
    raw_close(servers[0]);
    raw_close(servers[1]);
    rig_close();
}

CHECK_MAIN
