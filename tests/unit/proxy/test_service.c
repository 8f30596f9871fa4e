/* SPDX-License-Identifier: MIT */
#include "proxy/service.h"

#include "tests/unit/proxy/front.h"

STAGE_TEST(each_server_is_a_peer_of_its_upstream)
{
    struct addr sources[2];
    CHECK_OK(addr_parse_ip(SLICE("127.0.0.2"), &sources[0]));
    CHECK_OK(addr_parse_ip(SLICE("127.0.0.3"), &sources[1]));
    front_prepare(3);
    front.server_options[1].weight = 7;
    front.upstream.bind_to = sources;
    front.upstream.bind_to_count = 2;
    front.upstream.group_key = 42;
    front.upstream.limits.read_timeout = weir_span_ms(123);
    front_start();
    struct balance *balance = &front.service->upstreams[0].balance;
    CHECK_EQ(3, balance->count);
    for (unsigned i = 0; i < balance->count; i++) {
        const struct peer_options *options = &balance->servers[i].peer->options;
        CHECK(addr_equal(&front.servers[i].addr, &options->addr));
        CHECK(addr_equal(&sources[i % 2], &options->source));
        CHECK_EQ(42, options->group_key);
        CHECK_EQ(123, weir_span_to_ms(options->limits.read_timeout));
        CHECK(!strcmp("web", options->upstream));
        CHECK_EQ(0, options->upstream_number);
        CHECK_EQ(i == 1 ? 7 : 1, balance->servers[i].weight);
    }
    front_close();
}

STAGE_TEST(closing_no_service_is_fine)
{
    struct service *service = NULL;
    service_close(&service);
}

STAGE_TEST(draining_ends_parked_clients_and_idle_connections)
{
    front_open(1);
    int client = front_client(), idle = front_client();
    int server = front_warm(client);
    raw_send(client, FRONT_GET);
    raw_read_head(server);
    service_drain(front.service);
    CHECK_EQ(0, raw_await_end(idle));
    raw_send(server, FRONT_OK);
    CHECK(raw_read_all(client));
    CHECK(raw_has("Connection: close\r\n") && raw_has("hello"));
    CHECK_EQ(0, raw_await_end(server));
    CHECK_EQ(1, stat_read(&front_stats()->closed[CLOSE_SHUTDOWN]));
    raw_close(client);
    raw_close(idle);
    raw_close(server);
    front_close();
}

/* Two services with the same server: none is given the other's connection. */
STAGE_TEST(two_services_never_share)
{
    front_open(1);
    int client = front_client();
    int server = front_warm(client);
    struct service *first = front.service;
    struct commons *first_commons = front.commons;
    front_start();
    int other = front_client();
    int other_server = front_exchange(other, -1);
    CHECK(other_server != server);
    CHECK_EQ(SOURCE_NEW, front.record.story.source);
    raw_close(other);
    STAGE_UNTIL(service_has_ended(front.service));
    service_close(&front.service);
    commons_free(&front.commons);
    front.service = first;
    front.commons = first_commons;
    front_exchange(client, server);
    raw_close(client);
    raw_close(server);
    raw_close(other_server);
    front_close();
}

CHECK_MAIN
