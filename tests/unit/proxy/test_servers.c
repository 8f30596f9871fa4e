/* SPDX-License-Identifier: MIT */
#include "proxy/servers.h"

#include "upstream/ask.h"
#include "upstream/keys.h"

#include "tests/unit/proxy/front.h"

enum { ROOM = 8 };

static int silent;
static struct addr silent_addr;

/* The name server hears everything and says nothing: it is the test that tells of addresses. */
static void prepare(unsigned server_count)
{
    front_prepare(server_count);
    silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &silent_addr));
    must(bind(silent, &silent_addr.any, silent_addr.len) == 0);
    silent_addr = raw_addr_of(silent);
    front.options.resolver.servers = &silent_addr;
    front.options.resolver.server_count = 1;
}

WEIR_SUSPENDS static void end(void)
{
    front_close();
    raw_close(silent);
}

/* A name at the second place. */
static void open_named(void)
{
    prepare(2);
    front.server_options[1].host = "b.test";
    front.server_options[1].port = 80;
    front.server_options[1].weight = 3;
}

static struct upstream_part *part(void)
{
    return &front.service->upstreams[0];
}

static struct balance_server *server(unsigned place)
{
    must(place < part()->balance.count);
    return &part()->balance.servers[place];
}

/* The first server as it was written, and these addresses of the name. */
static struct roster *make_roster(const struct addr *addrs, unsigned count)
{
    struct roster *roster = roster_new(ROOM);
    must(roster);
    roster_add(roster, 0, &front.server_options[0].addr, 1);
    roster_add(roster, 1, addrs, count);
    return roster;
}

static void follow(const struct addr *addrs, unsigned count)
{
    struct roster *roster = make_roster(addrs, count);
    CHECK_OK(servers_follow(front.service, 0, roster));
    roster_unref(&roster);
    pool_audit(&front.service->pool);
}

static struct addr addr_of(const char *text)
{
    struct addr addr;
    must(addr_parse(slice_str(text), &addr) == WEIR_OK);
    return addr;
}

static struct addr a, b, c;

static void name_addrs(void)
{
    a = addr_of("127.0.0.2:80");
    b = addr_of("[::1]:80");
    c = addr_of("127.0.0.3:80");
}

static struct peer *next_sibling(const struct peer *peer)
{
    return container_of(peer->sibling.next, struct peer, sibling);
}

STAGE_TEST(what_stays_keeps_all_that_is_known_of_it)
{
    name_addrs();
    open_named();
    front_start();
    CHECK_EQ(1, part()->balance.count);
    CHECK(part()->pending);
    follow((struct addr[]){a, b}, 2);
    CHECK(!part()->pending);
    CHECK_EQ(3, part()->balance.count);
    CHECK_EQ(1, server(0)->weight);
    CHECK_EQ(3, server(1)->weight);
    CHECK_EQ(1, server(2)->number);
    struct peer *kept = server(2)->peer;
    server(2)->credit = 42;
    follow((struct addr[]){c, b}, 2);
    CHECK_EQ(3, part()->balance.count);
    CHECK(addr_equal(&c, &server(1)->peer->options.addr));
    CHECK(server(2)->peer == kept && server(2)->credit == 42 && !kept->drained);
    CHECK_EQ(3, stat_read(&front_stats()->servers));
    end();
}

STAGE_TEST(the_addresses_of_a_name_are_siblings)
{
    name_addrs();
    open_named();
    front_start();
    follow((struct addr[]){a, b, c}, 3);
    struct peer *alone = server(0)->peer;
    struct peer *first = server(1)->peer, *second = server(2)->peer, *third = server(3)->peer;
    CHECK(next_sibling(alone) == alone);
    CHECK(next_sibling(first) == second && next_sibling(second) == third);
    CHECK(next_sibling(third) == first);
    follow((struct addr[]){a, c}, 2);
    first = server(1)->peer;
    third = server(2)->peer;
    CHECK(next_sibling(first) == third && next_sibling(third) == first);
    follow((struct addr[]){c}, 1);
    CHECK(server(1)->peer == third && next_sibling(third) == third);
    end();
}

/* Who fails its checks is no company for one that is slow. */
STAGE_TEST(who_is_unwell_is_no_sibling)
{
    name_addrs();
    open_named();
    front_start();
    struct roster *roster = make_roster((struct addr[]){a, b, c}, 3);
    CHECK_OK(servers_follow(front.service, 0, roster));
    struct peer *first = server(1)->peer, *second = server(2)->peer, *third = server(3)->peer;
    CHECK_EQ(2, part()->balance.server_count);
    roster->entries[2].unwell = true;
    CHECK_OK(servers_follow(front.service, 0, roster));
    CHECK(server(1)->peer == first && server(2)->peer == second && server(2)->unwell);
    CHECK(next_sibling(first) == third && next_sibling(third) == first);
    CHECK(next_sibling(second) == second);
    CHECK_EQ(1, stat_read(&front_stats()->unwell_servers));
    roster->entries[2].unwell = false;
    CHECK_OK(servers_follow(front.service, 0, roster));
    CHECK(next_sibling(first) == second && next_sibling(second) == third);
    roster_unref(&roster);
    end();
}

STAGE_TEST(what_is_gone_is_forgotten_when_nothing_is_left_of_it)
{
    name_addrs();
    open_named();
    front_start();
    follow(&front.servers[1].addr, 1);
    struct peer *gone = peer_ref(server(1)->peer);
    struct conn *conn = NULL;
    struct ask_story story;
    struct pool *pool = &front.service->pool;
    const struct ask_options options = {
        .key = server(1)->peer->known,
        .peer = gone,
        .wants_fresh = true,
        .deadline = in_ms(5000),
    };
    CHECK_OK(ask_for_conn(pool, &options, &story, &conn));
    int accepted = raw_accept(&front.servers[1]);
    follow(&a, 1);
    CHECK(gone->drained);
    CHECK(key_find(pool, &gone->key) != NULL);
    struct keep_facts facts = {0};
    pool_put(&conn, &facts);
    CHECK(key_find(pool, &gone->key) == NULL);
    CHECK_EQ(1, stat_read(&front_stats()->closed[CLOSE_DRAINED]));
    CHECK_EQ(0, raw_await_end(accepted));
    raw_close(accepted);
    peer_unref(gone);
    end();
}

STAGE_TEST(the_same_address_written_twice_is_two_servers)
{
    open_named();
    front_start();
    follow(&front.server_options[0].addr, 1);
    CHECK_EQ(2, part()->balance.count);
    CHECK(server(0)->peer != server(1)->peer && server(0)->peer->known == server(1)->peer->known);
    struct pool_key *key = server(0)->peer->known;
    name_addrs();
    follow(&a, 1);
    CHECK(server(0)->peer->known == key &&
          key_find(&front.service->pool, &server(0)->peer->key) == key);
    end();
}

STAGE_TEST(an_address_without_a_source_of_its_kind_is_left_out)
{
    struct addr source;
    CHECK_OK(addr_parse_ip(SLICE("127.0.0.9"), &source));
    name_addrs();
    open_named();
    front.upstream.bind_to = &source;
    front.upstream.bind_to_count = 1;
    front_start();
    follow((struct addr[]){b, c}, 2);
    CHECK_EQ(2, part()->balance.count);
    CHECK(addr_equal(&c, &server(1)->peer->options.addr));
    end();
}

STAGE_TEST(peers_are_spoken_with_as_their_upstream_says)
{
    open_named();
    front.upstream.h2.max_streams = 7;
    front.upstream.h2.stream_window = 70000;
    front.upstream.h2.ping_interval = weir_span_s(3);
    front_start();
    const struct peer_options *options = &server(0)->peer->options;
    CHECK_EQ(PEER_HTTP1, options->protocol);
    CHECK_EQ(7, options->h2.max_streams);
    CHECK_EQ(70000, options->h2.stream_window);
    CHECK_EQ(8 << 20, options->h2.connection_window);
    CHECK_EQ(3000, weir_span_to_ms(options->h2.ping_interval));
    end();
}

static struct peer *pick(uint64_t hash)
{
    struct balance_tried nobody = {0};
    return balance_pick(&part()->balance, loop_now(&stage.loop), &nobody, hash)->peer;
}

STAGE_TEST(a_ring_follows)
{
    name_addrs();
    open_named();
    front.upstream.balance = BALANCE_CONSISTENT_HASH;
    front_start();
    CHECK_EQ(HASH_RING_POINTS, part()->balance.ring.count);
    follow((struct addr[]){a, c}, 2);
    CHECK_EQ(7 * HASH_RING_POINTS, part()->balance.ring.count);
    unsigned at_a = 0, moved = 0;
    struct peer *before[1000];
    for (uint64_t i = 0; i < COUNT_OF(before); i++) {
        before[i] = pick(i * 0x9e3779b97f4a7c15);
        at_a += before[i] == server(1)->peer;
    }
    struct peer *gone = peer_ref(server(1)->peer);
    follow(&c, 1);
    for (uint64_t i = 0; i < COUNT_OF(before); i++)
        moved += pick(i * 0x9e3779b97f4a7c15) != before[i];
    CHECK(at_a > 300 && at_a < 550); /* 3 of 7 */
    CHECK_EQ(at_a, moved);           /* only what it had has moved */
    peer_unref(gone);
    end();
}

WEIR_SUSPENDS static void await(void *argument)
{
    *(enum weir_err *)argument = servers_await(part(), in_ms(5000));
}

/* No server but a name. */
static void open_only_named(void)
{
    prepare(1);
    front.server_options[0].host = "a.test";
    front_start();
}

static void tell(const struct addr *addr, bool pending, enum weir_err err)
{
    struct roster *roster = roster_new(1);
    must(roster);
    roster->pending = pending;
    roster->err = err;
    roster_add(roster, 0, addr, addr ? 1 : 0);
    CHECK_OK(servers_follow(front.service, 0, roster));
    roster_unref(&roster);
}

STAGE_TEST(who_comes_before_the_first_answer_waits_for_it)
{
    enum weir_err errs[2] = {WEIR_E_IO, WEIR_E_IO};
    name_addrs();
    open_only_named();
    CHECK_EQ(0, part()->balance.count);
    for (unsigned i = 0; i < 2; i++)
        CHECK_OK(co_spawn(&stage.loop.sched, NULL, "await", await, &errs[i], NULL));
    stage_turns();
    CHECK(errs[0] == WEIR_E_IO && errs[1] == WEIR_E_IO);
    tell(&a, false, WEIR_OK);
    stage_turns();
    CHECK_OK(errs[0]);
    CHECK_OK(errs[1]);
    end();
}

STAGE_TEST(without_an_answer_it_is_told_why)
{
    open_only_named();
    CHECK_ERR(WEIR_E_DNS_TIMEOUT, servers_await(part(), in_ms(1)));
    tell(NULL, false, WEIR_E_DNS_ERROR);
    CHECK_ERR(WEIR_E_DNS_ERROR, servers_await(part(), in_ms(5000)));
    end();
}

CHECK_MAIN
