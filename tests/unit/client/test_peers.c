/* SPDX-License-Identifier: MIT */
#include "client/peers.h"

#include "tests/unit/client/play.h"
#include "tests/unit/io/dnsmasq.h"

static struct dnsmasq names = {.ttl_s = 1};

/* From now on names are asked for there. */
static void ask_names_there(void)
{
    connector->peers->options.resolver = (struct resolver_options){
        .servers = &names.addr, .server_count = 1, .timeout = weir_span_ms(500), .tries = 1};
}

static void play_named(const char *hosts, WEIR_SUSPENDS void (*body)(void))
{
    log_set_level(LOG_ERROR);
    if (!dnsmasq_start(&names, hosts))
        return;
    origin_open(&origin);
    peer = play_peer(origin_url(&origin, "http://a.test"));
    CHECK_OK(weir_run(NULL, play_main, (void *)body));
    origin_close(&origin);
    dnsmasq_stop(&names);
}

WEIR_SUSPENDS static struct peer *get(void)
{
    struct peer *found = NULL;
    CHECK_OK(peers_get(connector->peers, peer, PLAY_DEADLINE, &found));
    return found;
}

static unsigned ring_length(const struct peer *first)
{
    unsigned count = 1;
    for (const struct list *at = first->sibling.next; at != &first->sibling; at = at->next)
        count++;
    return count;
}

WEIR_SUSPENDS static void fetch_ok(void)
{
    struct weir_reply *reply = play_fetch("GET", "/");
    CHECK(reply);
    weir_reply_free(&reply);
}

/* The origin listens on 127.0.0.1 alone: one of these refuses. */
WEIR_SUSPENDS static void try_all(void)
{
    ask_names_there();
    fetch_ok();
    CHECK_EQ(2, ring_length(get()));
    fetch_ok();
    CHECK_EQ(1, atomic_load(&origin.accepted));
}

TEST(a_name_is_a_ring_of_addresses)
{
    play_named("127.0.0.1 a.test\n127.0.0.9 a.test\n", try_all);
}

/* What a name has lost is closed. */
WEIR_SUSPENDS static void follow_change(void)
{
    struct weir_pool_counts counts;
    struct weir_time until = PLAY_DEADLINE;
    ask_names_there();
    fetch_ok();
    struct peer *first = get();
    CHECK_EQ(1, ring_length(first));
    dnsmasq_change(&names, "127.0.0.9 a.test\n");
    while (strncmp(get()->address_text, "127.0.0.9", 9) != 0 &&
           CHECK(weir_time_before(weir_now(), until)))
        CHECK_OK(weir_sleep(weir_span_ms(10)));
    weir_connector_counts(connector, &counts);
    CHECK_EQ(0, counts.idle);
    CHECK_EQ(1, counts.closed);
}

TEST(a_name_changes)
{
    play_named("127.0.0.1 a.test\n", follow_change);
}

/* Many wait for the first answer. */
static unsigned told;

static void expect_none(void *argument)
{
    struct peer *found = NULL;
    (void)argument;
    CHECK_ERR(WEIR_E_DNS_ERROR, peers_get(connector->peers, peer, PLAY_DEADLINE, &found));
    told++;
}

WEIR_SUSPENDS static void tell_all(void)
{
    struct weir_scope *scope = NULL;
    struct peer *found = NULL;
    told = 0;
    ask_names_there();
    CHECK_ERR(WEIR_E_DNS_TIMEOUT, peers_get(connector->peers, peer, weir_now(), &found));
    CHECK_OK(weir_scope_open(&scope));
    for (unsigned i = 0; i < 3; i++)
        CHECK_OK(weir_scope_spawn(scope, expect_none, NULL));
    CHECK_OK(weir_scope_join(&scope));
    CHECK_EQ(3, told);
}

TEST(a_name_has_no_address)
{
    play_named("127.0.0.1 b.test\n", tell_all);
}

CHECK_MAIN
