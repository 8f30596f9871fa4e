/* SPDX-License-Identifier: MIT */
/* The example that docs/configuration.md shows. */
#include "config/snapshot.h"

#include "base/slice.h"
#include "tests/check.h"

TEST(the_example_loads)
{
    struct snapshot *snapshot = NULL;
    struct buf messages;
    buf_init(&messages);
    CHECK_OK(snapshot_load_file(EXAMPLE_FILE, &messages, &snapshot));
    CHECK_SLICE(buf_slice(&messages), "");
    buf_fini(&messages);
    if (!CHECK(snapshot))
        return;
    CHECK_EQ(30000, weir_span_to_ms(snapshot->grace_period));
    CHECK(snapshot->has_admin);
    CHECK_EQ(2, snapshot->service_count);
    const struct service_options *edge = &snapshot->services[0];
    CHECK_EQ(2, edge->listen_count);
    CHECK_EQ(10000, edge->client.keepalive_request_limit);
    CHECK_EQ(3, edge->route_count);
    CHECK_SLICE(slice_str(edge->routes[1].host), "*.example.org");
    CHECK_EQ(2, edge->routes[1].upstream);
    CHECK_EQ(3, edge->upstream_count);
    const struct upstream_options *api = &edge->upstreams[1], *reports = &edge->upstreams[2];
    CHECK_EQ(3, api->server_count);
    CHECK_EQ(3, api->servers[1].weight);
    CHECK_EQ(4, api->tcp.keepalive_count);
    CHECK_EQ(1, api->retry.attempts);
    CHECK_EQ(300000, weir_span_to_ms(reports->limits.read_timeout));
    CHECK(weir_span_is_forever(reports->limits.max_connection_age));
    CHECK_EQ(1, snapshot->services[1].upstreams[0].server_count);
    snapshot_unref(&snapshot);
}

CHECK_MAIN
