/* SPDX-License-Identifier: MIT */
/* docs/configuration.md */
#include "proxy/options.h"

#include "tests/check.h"

TEST(an_upstreams_defaults)
{
    struct upstream_options options;
    struct peer_options peer;
    memset(&options, 0x5a, sizeof options);
    upstream_options_init(&options);
    peer_options_init(&peer);
    CHECK_EQ(PEER_HTTP1, options.protocol);
    CHECK_EQ(0, options.group_key);
    CHECK_EQ(0, options.server_count);
    CHECK_EQ(0, options.bind_to_count);
    CHECK_EQ(5000, weir_span_to_ms(options.limits.connection_timeout));
    CHECK_EQ(10000, weir_span_to_ms(options.limits.total_connection_timeout));
    CHECK_EQ(60000, weir_span_to_ms(options.limits.read_timeout));
    CHECK_EQ(60000, weir_span_to_ms(options.limits.write_timeout));
    CHECK_EQ(60000, weir_span_to_ms(options.limits.idle_timeout));
    CHECK_EQ(3600000, weir_span_to_ms(options.limits.max_connection_age));
    CHECK_EQ(0, options.limits.max_requests_per_connection);
    CHECK_EQ(peer.tcp.keepalive_idle.ns, options.tcp.keepalive_idle.ns);
    CHECK_EQ(100, options.h2.max_streams);
    CHECK_EQ(8 << 20, options.h2.stream_window);
    CHECK_EQ(8 << 20, options.h2.connection_window);
    CHECK(weir_span_is_forever(options.h2.ping_interval));
    CHECK_EQ(5000, weir_span_to_ms(options.h2.ping_timeout));
    CHECK_EQ(2, options.retry.attempts);
    CHECK_EQ(65536, options.retry.body_buffer);
    CHECK(!options.retry.non_idempotent);
    CHECK_EQ(1000, weir_span_to_ms(options.limits.fail_timeout));
}

TEST(a_listeners_defaults)
{
    struct listener_options options;
    memset(&options, 0x5a, sizeof options);
    listener_options_init(&options);
    CHECK(options.speaks_h1 && options.speaks_h2);
    CHECK(!options.tls && !options.expects_preface);
    CHECK_EQ(0, options.addr.len);
}

TEST(a_services_defaults)
{
    struct service_options options;
    memset(&options, 0x5a, sizeof options);
    service_options_init(&options);
    CHECK_EQ(128, options.upstream_keepalive_pool_size);
    CHECK_EQ(60000, weir_span_to_ms(options.client.keepalive_timeout));
    CHECK_EQ(0, options.client.keepalive_request_limit);
    CHECK_EQ(AT_LIMIT_CLOSE, options.client.upstream_at_limit);
    CHECK_EQ(0, options.route_count + options.upstream_count + options.listen_count);
}

CHECK_MAIN
