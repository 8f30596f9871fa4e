/* SPDX-License-Identifier: MIT */
/* A program's defaults are the configuration's. */
#include "proxy/options.h"
#include "tests/check.h"

#include <weir/server.h>

TEST(a_service_is_by_default_as_the_configuration_has_it)
{
    struct weir_service_options options;
    struct service_options inner;
    weir_service_options_init(&options);
    service_options_init(&inner);
    CHECK_EQ(inner.upstream_keepalive_pool_size, options.pool_size);
    CHECK_EQ(inner.client.keepalive_timeout.ns, options.keepalive_timeout.ns);
    CHECK_EQ(inner.client.header_timeout.ns, options.header_timeout.ns);
    CHECK_EQ(inner.client.body_timeout.ns, options.body_timeout.ns);
    CHECK_EQ(inner.client.write_timeout.ns, options.write_timeout.ns);
    CHECK_EQ(inner.client.max_request_body, options.max_request_body);
    CHECK_EQ(2, options.retries);
    CHECK(options.name && !options.handler && !options.proxy && !options.started);
}

TEST(a_listener_is_plain_and_speaks_both)
{
    struct weir_listen_options options;
    weir_listen_options_init(&options);
    CHECK(options.http1 && options.http2 && !options.proxy_protocol && !options.cert_file);
}

TEST(a_server_has_a_thread_for_each_cpu_five_minutes_of_grace_and_no_signals)
{
    struct weir_server_options options;
    weir_server_options_init(&options);
    CHECK_EQ(0, options.threads);
    CHECK_EQ(weir_span_s(300).ns, options.grace_period.ns);
    CHECK_EQ(WEIR_IO_AUTO, options.io);
    CHECK(!options.handles_signals);
}

TEST(an_upstream_goes_round_without_checks)
{
    struct weir_upstream_options options;
    struct weir_peer_options peer;
    weir_upstream_options_init(&options);
    weir_peer_options_init(&peer);
    CHECK_EQ(WEIR_ROUND_ROBIN, options.balance);
    CHECK(!options.health_path && !options.peer.url && options.name);
    CHECK_EQ(weir_span_s(5).ns, options.health_interval.ns);
    CHECK_EQ(peer.idle_timeout.ns, options.peer.idle_timeout.ns);
}

CHECK_MAIN
