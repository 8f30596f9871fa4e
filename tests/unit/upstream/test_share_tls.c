/* SPDX-License-Identifier: MIT */
/* Who speaks HTTP/2 and who HTTP/1, where the server picks it in TLS's handshake. */
#include "upstream/share.h"

#include "stream/tls_alpn.h"
#include "tests/unit/stream/tls_ends.h"
#include "tests/unit/upstream/h2_host.h"

enum { DOORS = 12 };

/* A connection, seen from a server that speaks TLS. */
struct door {
    struct stream *stream;
    struct h2_wire *wire; /* NULL: HTTP/1 */
    bool shut;            /* it failed, or is over */
};

struct doors {
    struct door at[DOORS];
    unsigned count;
    enum alpn alpn;
    bool stops, stopped, slow;
    struct scope scope;
    struct tls_server *server;
    struct tls_client *client;
};

static struct doors doors;

static void on_changed(void *owner)
{
    (void)owner;
}

static void open_wire(struct door *door)
{
    static const struct h2_events no_events;
    struct iobuf *nothing = NULL;
    struct h2_wire_options options = {
        .session = end_serving(),
        .scope = &doors.scope,
        .write_timeout = weir_span_s(5),
        .changed = on_changed,
    };
    options.session.loop = &stage.loop;
    options.session.events = &no_events;
    CHECK_OK(h2_wire_open(&door->stream, &nothing, &options, &door->wire));
}

WEIR_SUSPENDS static void greet(int descriptor)
{
    struct door *door = &doors.at[doors.count++];
    struct stream *below = NULL;
    struct iobuf *nothing = NULL;
    char why[TLS_WHY_SIZE];
    struct ssl_st *ssl = tls_server_ssl(doors.server);
    must(doors.count <= DOORS);
    *door = (struct door){0};
    tls_alpn_allow(ssl, doors.alpn);
    must(socket_stream_attach(&stage.streams.sockets, descriptor, &below) == WEIR_OK);
    door->shut = tls_open(&stage.streams.tls, ssl, &below, &nothing, in_ms(5000), why,
                          &door->stream) != WEIR_OK;
    if (!door->shut && tls_facts_of(door->stream).is_http2)
        open_wire(door);
}

WEIR_SUSPENDS static void run_doors(void *unused)
{
    (void)unused;
    while (!doors.stops) {
        int descriptor =
            accept4(rig.servers[0].descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0)
            greet(descriptor);
        else
            (void)!co_sleep(weir_span_ms(1));
    }
    doors.stopped = true;
}

static void open_doors(enum alpn alpn, enum peer_protocol protocol)
{
    struct peer_options options;
    rig_open(8);
    memset(askers, 0, sizeof askers);
    doors = (struct doors){.alpn = alpn};
    scope_init(&doors.scope);
    doors.server = server_of(CERT_WWW);
    doors.client = client_of_default();
    options = host_options(0);
    options.protocol = protocol;
    options.tls = doors.client;
    options.tls_name = "www.example.com";
    peer_init(&rig.peers[0], &options);
    CHECK_OK(co_spawn(&stage.loop.sched, NULL, "doors", run_doors, NULL, NULL));
}

WEIR_SUSPENDS static void close_doors(void)
{
    give_all_back();
    doors.stops = true;
    STAGE_UNTIL(doors.stopped && pool_is_quiet(&rig.pool));
    rig_close();
    for (unsigned i = 0; i < doors.count; i++) {
        h2_wire_close(&doors.at[i].wire, WEIR_E_EOF, false);
        stream_close(&doors.at[i].stream, false);
    }
    CHECK_OK(scope_join(&doors.scope));
    tls_client_free(doors.client);
    tls_server_free(doors.server);
}

static unsigned count_protocol(unsigned askers_count, enum http_protocol protocol)
{
    unsigned count = 0;
    for (unsigned i = 0; i < askers_count; i++)
        count += conn_of(i)->protocol == protocol;
    return count;
}

STAGE_TEST(a_server_that_has_the_choice_is_shared)
{
    open_doors(ALPN_BOTH, PEER_AUTO);
    ask_many(6);
    if (all_have(6)) {
        CHECK_EQ(1, opened_count());
        CHECK_EQ(6, count_protocol(6, HTTP_2));
        CHECK(askers[0].session->story.facts.is_http2);
    }
    close_doors();
}

/* Who led has his, and the others dial: each of them, now that it is known. */
STAGE_TEST(where_it_picks_http1_everyone_has_his_own)
{
    open_doors(ALPN_HTTP_1, PEER_AUTO);
    ask_many(4);
    if (all_have(4)) {
        CHECK_EQ(4, opened_count());
        CHECK_EQ(4, count_protocol(4, HTTP_1));
        CHECK(conn_of(0)->key->picks_http1);
    }
    /* The next ones do not wait for each other. */
    for (unsigned i = 4; i < 7; i++)
        ask_for(i, CONNECTOR_ANY);
    if (all_have(7))
        CHECK_EQ(7, opened_count());
    CHECK_EQ(0, stat_read(&rig.stats[0].waits[WAIT_SHARED]));
    close_doors();
}

STAGE_TEST(a_server_without_http2_is_an_error_where_nothing_else_will_do)
{
    open_doors(ALPN_HTTP_1, PEER_HTTP2);
    ask_many(3);
    for (unsigned i = 0; i < 3; i++) {
        STAGE_UNTIL(askers[i].over);
        CHECK(askers[i].err == WEIR_E_NO_HTTP2 || askers[i].err == WEIR_E_TLS_ALERT);
    }
    close_doors();
}

STAGE_TEST(http1_can_be_asked_for)
{
    open_doors(ALPN_BOTH, PEER_AUTO);
    ask_many(1);
    if (all_have(1)) {
        CHECK_EQ(HTTP_2, conn_of(0)->protocol);
        ask_for(1, CONNECTOR_HTTP1);
        all_have(2);
        CHECK_EQ(HTTP_1, conn_of(1)->protocol);
        STAGE_UNTIL(conn_of(0)->h2->settled);
        give_back(1);
        ask_for(1, CONNECTOR_HTTP1); /* one that rests will do */
        all_have(2);
        CHECK_EQ(SOURCE_REUSED, askers[1].session->story.source);
        CHECK_EQ(HTTP_1, conn_of(1)->protocol);
        ask_for(2, CONNECTOR_ANY); /* what one request needed is not the server's choice */
        all_have(3);
        CHECK(conn_of(2) == conn_of(0));
    }
    close_doors();
}

/* After a server has said that it wants HTTP/1, or has spoken HTTP/2 wrongly. */
STAGE_TEST(http1_is_preferred_for_a_while)
{
    open_doors(ALPN_BOTH, PEER_AUTO);
    struct pool_key *key = pool_key_of(&rig.pool, &rig.peers[0]);
    pool_key_hold(key);
    census_prefer_http1(key->census, loop_now(&stage.loop));
    ask_many(3);
    if (all_have(3)) {
        CHECK_EQ(3, opened_count());
        CHECK_EQ(3, count_protocol(3, HTTP_1));
    }
    give_all_back();
    pool_key_let_go(&rig.pool, key);
    close_doors();
}

/* Both kinds rest under one key, and each request finds what it may have. */
STAGE_TEST(both_may_rest_side_by_side)
{
    open_doors(ALPN_BOTH, PEER_AUTO);
    ask_for(0, CONNECTOR_ANY);
    ask_for(1, CONNECTOR_HTTP1);
    if (all_have(2)) {
        STAGE_UNTIL(conn_of(0)->h2->settled);
        give_back(1);
        give_back(0);
        CHECK_EQ(2, rig.pool.idle_count);
        CHECK_EQ(1, stat_read(&rig.stats[0].idle[HTTP_1]));
        CHECK_EQ(1, stat_read(&rig.stats[0].idle[HTTP_2]));
        ask_for(0, CONNECTOR_HTTP1);
        ask_for(1, CONNECTOR_ANY);
        all_have(2);
        CHECK_EQ(HTTP_1, conn_of(0)->protocol);
        CHECK_EQ(2, opened_count());
    }
    close_doors();
}

CHECK_MAIN
