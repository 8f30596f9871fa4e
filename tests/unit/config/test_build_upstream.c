/* SPDX-License-Identifier: MIT */
#include "config/build.h"

#include "base/check.h"
#include "client/transports.h"
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
    REJECT(SERVICE_HEAD "    upstream: h2c://example.com/v1\n",
           "t.yaml:4:15: error: 'h2c://example.com/v1': a path in a URL is not supported\n");
}

TEST(servers_that_a_transport_reaches)
{
    struct snapshot *snapshot =
        LOAD(UPSTREAM_HEAD "      servers: [\"exec:cat -u\", {address: exec:cat, weight: 2}]\n"
                           "      proxy_protocol: v2\n"
                           "      protocol: http2\n");
    if (!CHECK(snapshot))
        return;
    const struct server_options *servers = snapshot->services[0].upstreams[0].servers;
    check_addr(&servers[0].addr, "exec:cat -u");
    CHECK_SLICE(slice_str(servers[0].transport_address), "cat -u");
    CHECK(servers[1].transport.bytes == &exec_transport && servers[1].weight == 2);
    snapshot_unref(&snapshot);
    REJECT(UPSTREAM_HEAD "      servers: [\"exec:cat\"]\n"
                         "      tcp: {fast_open: true}\n"
                         "      bind_to: [127.0.0.1]\n",
           "t.yaml:6:7: error: 'tcp' cannot be with 'exec:cat': it is no socket\n"
           "t.yaml:7:16: error: none of these addresses is of the same kind as the server "
           "'exec:cat'\n");
    REJECT(UPSTREAM_HEAD "      servers: [\"exec:cat\"]\n"
                         "      proxy: {address: 127.0.0.1:3128}\n",
           "t.yaml:6:14: error: the server 'exec:cat' cannot be reached through a proxy\n");
    REJECT(UPSTREAM_HEAD "      servers: [\"exec:cat\"]\n"
                         "      tls: {}\n",
           "t.yaml:6:12: error: the server 'exec:cat' has no name: its certificate's name cannot "
           "be verified without 'sni' or 'alternative_cn'\n");
    REJECT(SERVICE_HEAD "    upstream: exce:cat\n",
           "t.yaml:4:15: error: 'exce:cat': there is no transport 'exce'; there are: exec\n");
}

/* What a session transport carries is its own affair. */
TEST(servers_of_a_session_transport)
{
    static struct weir_session_transport toy = {.name = "toysessions"};
    /* Nobody calls these. */
    memset((char *)&toy + offsetof(struct weir_session_transport, open), 1,
           sizeof toy - offsetof(struct weir_session_transport, open));
    CHECK_OK(weir_transport_register_sessions(&toy));
    struct snapshot *snapshot = LOAD(SERVICE_HEAD "    upstream: toysessions:x\n");
    CHECK(snapshot && snapshot->services[0].upstreams[0].servers[0].transport.sessions == &toy);
    snapshot_unref(&snapshot);
    REJECT(UPSTREAM_HEAD "      servers: [\"toysessions:x\"]\n"
                         "      tls: {sni: a.example.com, verify_cert: false}\n"
                         "      protocol: auto\n"
                         "      proxy_protocol: v1\n",
           "t.yaml:6:7: error: 'tls' cannot be with 'toysessions:x': its transport has its own "
           "way\n"
           "t.yaml:7:7: error: 'protocol' cannot be with 'toysessions:x': its transport has its "
           "own\n"
           "t.yaml:8:7: error: 'proxy_protocol' cannot be with 'toysessions:x': its transport has "
           "its own way\n");
}

static void check_protocol(const char *upstream, enum peer_protocol want, const char *messages)
{
    struct buf text;
    buf_init(&text);
    buf_printf(&text, SERVICE_HEAD "    upstream: %s\n", upstream);
    buf_append_byte(&text, '\0');
    struct snapshot *snapshot = LOAD_WITH(text.at, messages);
    if (CHECK(snapshot)) {
        const struct upstream_options *options = &snapshot->services[0].upstreams[0];
        CHECK_EQ(want, options->protocol);
        CHECK(!options->tls);
    }
    snapshot_unref(&snapshot);
    buf_fini(&text);
}

TEST(protocols)
{
    check_protocol("http://127.0.0.1", PEER_HTTP1, "");
    check_protocol("unix:/x", PEER_HTTP1, "");
    check_protocol("h2c://127.0.0.1:81", PEER_HTTP2, "");
    check_protocol("{servers: [127.0.0.1:1]}", PEER_HTTP1, "");
    check_protocol("{servers: [127.0.0.1:1], protocol: http1}", PEER_HTTP1, "");
    check_protocol("{servers: [127.0.0.1:1], protocol: http2}", PEER_HTTP2, "");
    check_protocol("{servers: [unix:/x], protocol: http2, h2: {}}", PEER_HTTP2, "");
    check_protocol("{servers: [h2c://127.0.0.1:1, {address: h2c://a}]}", PEER_HTTP2, "");
    check_protocol("{servers: [h2c://127.0.0.1:1], protocol: http2}", PEER_HTTP2, "");
}

/* It is TLS's handshake in which a server picks. */
TEST(auto_without_tls_is_http1)
{
    check_protocol("{servers: [127.0.0.1:1], protocol: auto}", PEER_HTTP1, "");
    check_protocol(
        "{servers: [127.0.0.1:1], protocol: auto, h2: {}}", PEER_HTTP1,
        "t.yaml:4:56: warning: h2 does nothing where HTTP/2 is not spoken, see 'protocol'\n");
    check_protocol(
        "{servers: [127.0.0.1:1], h2: {max_streams: 1}}", PEER_HTTP1,
        "t.yaml:4:40: warning: h2 does nothing where HTTP/2 is not spoken, see 'protocol'\n");
}

TEST(wrong_settings_of_http2)
{
    REJECT(UPSTREAM_HEAD "      servers: [127.0.0.1:1]\n"
                         "      protocol: http2\n"
                         "      h2:\n"
                         "        max_streams: 0\n"
                         "        stream_window: 0\n"
                         "        connection_window: 2GiB\n"
                         "        ping_interval: 0\n"
                         "        ping_timeout: none\n"
                         "        max_stream: 1\n",
           "t.yaml:8:22: error: 'max_streams' must be from 1 to 2147483647, not '0'\n"
           "t.yaml:9:24: error: 'stream_window' must be from 1 to 2147483647, not '0'\n"
           "t.yaml:10:28: error: 'connection_window' must be from 1 to 2147483647, not '2GiB'\n"
           "t.yaml:11:24: error: 'ping_interval' must be from 10ms to 1d, not '0'\n"
           "t.yaml:12:23: error: 'ping_timeout' must be a duration such as 500ms, 5s or 1h, not "
           "'none'\n"
           "t.yaml:13:9: error: unknown key 'max_stream' (did you mean 'max_streams'?)\n");
    REJECT(UPSTREAM_HEAD "      servers: [127.0.0.1:1]\n"
                         "      protocol: http2\n"
                         "      h2: [1]\n",
           "t.yaml:7:11: error: the settings of HTTP/2 must be a mapping, not a list\n");
}

TEST(h2c_is_of_all_servers_and_without_tls)
{
#define ALL_OR_NONE "of the servers of an upstream all are h2c://, or none is\n"
    REJECT(UPSTREAM_HEAD "      servers:\n"
                         "        - h2c://127.0.0.1:1\n"
                         "        - 127.0.0.1:2\n"
                         "        - h2c://127.0.0.1:3\n"
                         "        - h2c://127.0.0.1:0\n"
                         "        - unix:/x\n",
           "t.yaml:7:11: error: '127.0.0.1:2': " ALL_OR_NONE
           "t.yaml:9:11: error: 'h2c://127.0.0.1:0': a port is a number from 1 to 65535\n"
           "t.yaml:10:11: error: 'unix:/x': " ALL_OR_NONE);
    REJECT(UPSTREAM_HEAD "      servers: [127.0.0.1:1, {address: h2c://127.0.0.1:2}]\n",
           "t.yaml:5:30: error: 'h2c://127.0.0.1:2': " ALL_OR_NONE);
    REJECT(UPSTREAM_HEAD "      servers: [h2c://127.0.0.1:1]\n"
                         "      protocol: auto\n"
                         "      tls: {verify_cert: false, verify_hostname: false}\n",
           "t.yaml:6:17: error: 'protocol' must be http2 with servers that are h2c://\n"
           "t.yaml:7:7: error: 'tls' cannot be with servers that are h2c://: that is HTTP/2 "
           "without TLS\n");
    REJECT(UPSTREAM_HEAD "      servers: [h2c://127.0.0.1:1]\n"
                         "      protocol: http1\n",
           "t.yaml:6:17: error: 'protocol' must be http2 with servers that are h2c://\n");
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
                           "      protocol: http2\n"
                           "      h2: {max_streams: 2147483647, stream_window: 1, "
                           "connection_window: 3MiB, ping_interval: 20s, ping_timeout: 250ms}\n"
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
    CHECK_EQ(PEER_HTTP2, upstream->protocol);
    CHECK_EQ(INT32_MAX, upstream->h2.max_streams);
    CHECK_EQ(1, upstream->h2.stream_window);
    CHECK_EQ(3 << 20, upstream->h2.connection_window);
    CHECK_EQ(20000, weir_span_to_ms(upstream->h2.ping_interval));
    CHECK_EQ(250, weir_span_to_ms(upstream->h2.ping_timeout));
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
