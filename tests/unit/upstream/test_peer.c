/* SPDX-License-Identifier: MIT */
#include "upstream/peer.h"

#include "base/slice.h"

#include "tests/check.h"

/* docs/configuration.md */
TEST(defaults_are_those_of_the_contract)
{
    struct peer_options options;
    memset(&options, 0x5a, sizeof options);
    peer_options_init(&options);
    CHECK_EQ(PEER_HTTP1, options.protocol);
    CHECK_EQ(0, options.addr.len);
    CHECK_EQ(0, options.source.len);
    CHECK_EQ(0, options.group_key);
    CHECK_EQ(0, options.upstream_number);
    CHECK_EQ(5000, weir_span_to_ms(options.limits.connection_timeout));
    CHECK_EQ(10000, weir_span_to_ms(options.limits.total_connection_timeout));
    CHECK_EQ(60000, weir_span_to_ms(options.limits.read_timeout));
    CHECK_EQ(60000, weir_span_to_ms(options.limits.write_timeout));
    CHECK_EQ(60000, weir_span_to_ms(options.limits.idle_timeout));
    CHECK_EQ(3600000, weir_span_to_ms(options.limits.max_connection_age));
    CHECK_EQ(0, options.limits.max_requests_per_connection);
    CHECK_EQ(45000, weir_span_to_ms(options.tcp.keepalive_idle));
    CHECK_EQ(5000, weir_span_to_ms(options.tcp.keepalive_interval));
    CHECK_EQ(3, options.tcp.keepalive_count);
}

static void check_text(const char *text)
{
    struct peer_options options;
    static struct peer peer;
    peer_options_init(&options);
    CHECK_OK(addr_parse(slice_str(text), &options.addr));
    peer_init(&peer, &options);
    CHECK_SLICE(slice_str(peer.address_text), text);
    CHECK(addr_equal(&options.addr, &peer.options.addr));
    struct key key;
    key_make(&options, &key);
    CHECK(key_equal(&key, &peer.key));
}

TEST(a_peer_has_its_key_and_its_text)
{
    check_text("10.0.0.1:8080");
    check_text("[::1]:80");
    check_text("unix:/run/app.sock");
}

CHECK_MAIN
