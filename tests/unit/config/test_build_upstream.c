/* SPDX-License-Identifier: MIT */
#include "config/build.h"

#include "base/check.h"
#include "tests/unit/config/load.h"

static void check_addr(const struct addr *addr, const char *want)
{
    char text[ADDR_TEXT_SIZE];
    CHECK_SLICE(slice_str(addr_print(addr, text)), want);
}

TEST(the_short_form)
{
    struct snapshot *snapshot = LOAD(SERVICE_HEAD "    upstream: http://127.0.0.1\n");
    struct upstream_options defaults;
    upstream_options_init(&defaults);
    if (!CHECK(snapshot))
        return;
    const struct service_options *service = &snapshot->services[0];
    const struct upstream_options *upstream = &service->upstreams[0];
    CHECK_EQ(1, service->upstream_count);
    CHECK_EQ(1, service->route_count);
    CHECK(!service->routes[0].host && !service->routes[0].path);
    CHECK_EQ(0, service->routes[0].upstream);
    CHECK_SLICE(slice_str(upstream->name), "default");
    CHECK_EQ(1, upstream->server_count);
    check_addr(&upstream->servers[0].addr, "127.0.0.1:80");
    CHECK_SLICE(slice_str(upstream->servers[0].text), "http://127.0.0.1");
    CHECK_EQ(1, upstream->servers[0].weight);
    CHECK_EQ(0, memcmp(&defaults.limits, &upstream->limits, sizeof defaults.limits));
    snapshot_unref(&snapshot);
}

TEST(servers)
{
    struct snapshot *snapshot =
        LOAD(UPSTREAM_HEAD "      servers:\n"
                           "        - 127.0.0.1:1\n"
                           "        - {address: \"[::1]:2\", weight: 1000}\n"
                           "        - unix:/run/x\n"
                           "        - {address: unix:/run/y}\n");
    if (!CHECK(snapshot))
        return;
    const struct upstream_options *upstream = &snapshot->services[0].upstreams[0];
    CHECK_EQ(4, upstream->server_count);
    check_addr(&upstream->servers[0].addr, "127.0.0.1:1");
    CHECK_EQ(1, upstream->servers[0].weight);
    check_addr(&upstream->servers[1].addr, "[::1]:2");
    CHECK_EQ(1000, upstream->servers[1].weight);
    CHECK_SLICE(slice_str(upstream->servers[1].text), "[::1]:2");
    check_addr(&upstream->servers[2].addr, "unix:/run/x");
    check_addr(&upstream->servers[3].addr, "unix:/run/y");
    CHECK_EQ(1, upstream->servers[3].weight);
    snapshot_unref(&snapshot);
}

TEST(wrong_servers)
{
    REJECT(UPSTREAM_HEAD "      idle_timeout: 5s\n",
           "t.yaml:5:7: error: an upstream needs the key 'servers'\n");
    REJECT(UPSTREAM_HEAD "      servers: []\n", "t.yaml:5:16: error: 'servers' has no entries\n");
    REJECT(UPSTREAM_HEAD "      servers: 127.0.0.1:80\n",
           "t.yaml:5:16: error: 'servers' must be a list, not '127.0.0.1:80'\n");
    REJECT(UPSTREAM_HEAD "      servers:\n"
                         "        - http://127.0.0.1:80\n"
                         "        - {address: 127.0.0.1:80, weight: 0}\n"
                         "        - {address: 127.0.0.1:80, weight: 1001}\n"
                         "        - {address: [1]}\n"
                         "        - {weight: 2}\n"
                         "        - [127.0.0.1:80]\n"
                         "        - 127.0.0.1:0\n",
           "t.yaml:6:11: error: 'http://127.0.0.1:80': an address, not a URL, belongs here: "
           "host:port\n"
           "t.yaml:7:43: error: 'weight' must be from 1 to 1000, not '0'\n"
           "t.yaml:8:43: error: 'weight' must be from 1 to 1000, not '1001'\n"
           "t.yaml:9:21: error: 'address' must be an address such as 10.0.0.1:8080 or unix:/path, "
           "not a list\n"
           "t.yaml:10:11: error: a server needs the key 'address'\n"
           "t.yaml:11:11: error: a server must be a mapping, not a list\n"
           "t.yaml:12:11: error: '127.0.0.1:0': a port is a number from 1 to 65535\n");
    REJECT(SERVICE_HEAD "    upstream: h2c://example.com\n",
           "t.yaml:4:15: error: 'h2c://example.com': h2c:// is not supported by this version\n");
}

TEST(source_addresses)
{
    struct snapshot *snapshot = LOAD(UPSTREAM_HEAD "      servers: [127.0.0.1:1, unix:/x]\n"
                                                   "      bind_to: [127.0.0.2, \"::1\"]\n");
    if (CHECK(snapshot)) {
        const struct upstream_options *upstream = &snapshot->services[0].upstreams[0];
        CHECK_EQ(2, upstream->bind_to_count);
        check_addr(&upstream->bind_to[0], "127.0.0.2:0");
        check_addr(&upstream->bind_to[1], "[::1]:0");
    }
    snapshot_unref(&snapshot);
    REJECT(UPSTREAM_HEAD "      servers: [127.0.0.1:1, \"[::1]:2\"]\n"
                         "      bind_to: [\"::1\"]\n",
           "t.yaml:6:16: error: none of these addresses is of the same kind as the server "
           "'127.0.0.1:1'\n");
    REJECT(UPSTREAM_HEAD "      servers: [127.0.0.1:1]\n"
                         "      bind_to: [127.0.0.2:80, {}, localhost]\n",
           "t.yaml:6:17: error: '127.0.0.2:80': not an IP address without a port\n"
           "t.yaml:6:31: error: a source address must be an IP, not a mapping\n"
           "t.yaml:6:35: error: 'localhost': not an IP address without a port\n");
}

TEST(every_option_arrives)
{
    struct snapshot *snapshot =
        LOAD(UPSTREAM_HEAD "      servers: [127.0.0.1:1]\n"
                           "      balance: round_robin\n"
                           "      protocol: http1\n"
                           "      group_key: 12345678901234567890\n"
                           "      connection_timeout: 1s\n"
                           "      total_connection_timeout: 2s\n"
                           "      read_timeout: 3s\n"
                           "      write_timeout: none\n"
                           "      idle_timeout: 0\n"
                           "      max_requests_per_connection: 4\n"
                           "      max_connection_age: none\n"
                           "      fail_timeout: 250ms\n"
                           "      tcp: {keepalive: {idle: 0, interval: 6s, count: 7}}\n"
                           "      retry: {attempts: 8, body_buffer: 9KiB, non_idempotent: true}\n");
    if (!CHECK(snapshot))
        return;
    const struct upstream_options *upstream = &snapshot->services[0].upstreams[0];
    CHECK(upstream->group_key == 12345678901234567890U);
    CHECK_EQ(1000, weir_span_to_ms(upstream->limits.connection_timeout));
    CHECK_EQ(2000, weir_span_to_ms(upstream->limits.total_connection_timeout));
    CHECK_EQ(3000, weir_span_to_ms(upstream->limits.read_timeout));
    CHECK(weir_span_is_forever(upstream->limits.write_timeout));
    CHECK_EQ(0, upstream->limits.idle_timeout.ns);
    CHECK_EQ(4, upstream->limits.max_requests_per_connection);
    CHECK(weir_span_is_forever(upstream->limits.max_connection_age));
    CHECK_EQ(250, weir_span_to_ms(upstream->limits.fail_timeout));
    CHECK_EQ(0, upstream->tcp.keepalive_idle.ns);
    CHECK_EQ(6000, weir_span_to_ms(upstream->tcp.keepalive_interval));
    CHECK_EQ(7, upstream->tcp.keepalive_count);
    CHECK_EQ(8, upstream->retry.attempts);
    CHECK_EQ(9 * 1024, upstream->retry.body_buffer);
    CHECK(upstream->retry.non_idempotent);
    snapshot_unref(&snapshot);
}

CHECK_MAIN
