/* SPDX-License-Identifier: MIT */
#include "config/build.h"

#include "base/check.h"
#include "tests/unit/config/load.h"

TEST(services_have_names_of_their_own)
{
    REJECT("services:\n"
           "  - {name: a, listen: [127.0.0.1:0], upstream: unix:/x}\n"
           "  - {name: b, listen: [127.0.0.1:0], upstream: unix:/x}\n"
           "  - {name: a, listen: [127.0.0.1:0], upstream: unix:/x}\n"
           "  - {name: a b, listen: [127.0.0.1:0], upstream: unix:/x}\n",
           "t.yaml:4:12: error: a service called 'a' is in line 2 already\n"
           "t.yaml:5:12: error: 'name' must be a name (at most 64 letters, digits, '-', '_' and "
           "'.'), not 'a b'\n");
}

TEST(an_address_is_listened_on_once)
{
    REJECT("admin: {listen: 127.0.0.1:81}\n"
           "services:\n"
           "  - name: a\n"
           "    listen:\n"
           "      - 127.0.0.1:80\n"
           "      - {address: 127.0.0.1:80}\n"
           "      - unix:/s\n"
           "    upstream: unix:/x\n"
           "  - name: b\n"
           "    listen: [127.0.0.1:81, unix:/s, 127.0.0.2:80]\n"
           "    upstream: unix:/x\n",
           "t.yaml:6:9: error: 127.0.0.1:80 is listened on in line 5 already\n"
           "t.yaml:10:14: error: 127.0.0.1:81 is listened on in line 1 already\n"
           "t.yaml:10:28: error: unix:/s is listened on in line 7 already\n");
}

TEST(listeners)
{
    REJECT(SERVICE_HEAD "    upstream: unix:/x\n"
                        "  - name: t\n"
                        "    listen: 127.0.0.1:80\n"
                        "    upstream: unix:/x\n"
                        "  - name: u\n"
                        "    listen: []\n"
                        "    upstream: unix:/x\n"
                        "  - name: v\n"
                        "    listen: [[], {}, 127.0.0.1:65536, {adress: \"[::1]:1\", tls: {}}]\n"
                        "    upstream: unix:/x\n",
           "t.yaml:6:13: error: 'listen' must be a list, not '127.0.0.1:80'\n"
           "t.yaml:9:13: error: 'listen' has no entries\n"
           "t.yaml:12:14: error: a listener must be a mapping, not a list\n"
           "t.yaml:12:18: error: a listener needs the key 'address'\n"
           "t.yaml:12:22: error: '127.0.0.1:65536': a port is a number from 0 to 65535\n"
           "t.yaml:12:39: error: a listener needs the key 'address'\n"
           "t.yaml:12:40: error: unknown key 'adress' (did you mean 'address'?)\n"
           "t.yaml:12:64: error: the TLS of a listener needs the key 'cert'\n"
           "t.yaml:12:64: error: the TLS of a listener needs the key 'key'\n");
}

static void check_protocols(const char *listen, bool h1, bool h2)
{
    struct buf text;
    buf_init(&text);
    buf_printf(&text, "services:\n  - {name: s, listen: [%s], upstream: unix:/x}\n", listen);
    buf_append_byte(&text, '\0');
    struct snapshot *snapshot = LOAD(text.at);
    if (CHECK(snapshot)) {
        CHECK_EQ(h1, snapshot->services[0].listen[0].speaks_h1);
        CHECK_EQ(h2, snapshot->services[0].listen[0].speaks_h2);
    }
    snapshot_unref(&snapshot);
    buf_fini(&text);
}

TEST(protocols_of_a_listener)
{
    check_protocols("127.0.0.1:0", true, true);
    check_protocols("{address: 127.0.0.1:0}", true, true);
    check_protocols("{address: 127.0.0.1:0, protocols: [h2, http/1.1]}", true, true);
    check_protocols("{address: 127.0.0.1:0, protocols: [http/1.1, h2]}", true, true);
    check_protocols("{address: 127.0.0.1:0, protocols: [http/1.1]}", true, false);
    check_protocols("{address: 127.0.0.1:0, protocols: [h2]}", false, true);
}

TEST(wrong_protocols_of_a_listener)
{
    REJECT("services:\n"
           "  - name: s\n"
           "    listen:\n"
           "      - {address: 127.0.0.1:0, protocols: []}\n"
           "      - {address: 127.0.0.1:0, protocols: h2}\n"
           "      - {address: 127.0.0.1:0, protocols: [h2, h3]}\n"
           "      - {address: 127.0.0.1:0, protocols: [http1, []]}\n"
           "      - {address: 127.0.0.1:0, protocols: [h2, h2]}\n"
           "      - {address: 127.0.0.1:0, protocols: [h2, http/1.1, h2]}\n"
           "      - {address: 127.0.0.1:0, protocol: [h2]}\n"
           "    upstream: unix:/x\n",
           "t.yaml:4:43: error: 'protocols' has no entries\n"
           "t.yaml:5:43: error: 'protocols' must be a list, not 'h2'\n"
           "t.yaml:6:48: error: 'protocols' must be h2 or http/1.1, not 'h3'\n"
           "t.yaml:7:44: error: 'protocols' must be h2 or http/1.1, not 'http1'\n"
           "t.yaml:7:51: error: 'protocols' must be h2 or http/1.1, not a list\n"
           "t.yaml:8:48: error: 'h2' stands here twice\n"
           "t.yaml:9:43: error: 'protocols' has 3 entries, at most 2 are possible\n"
           "t.yaml:10:32: error: unknown key 'protocol' (did you mean 'protocols'?)\n");
}

TEST(routes_name_upstreams)
{
    REJECT(SERVICE_HEAD "    routes:\n"
                        "      - {host: a.example, upstream: wbe}\n"
                        "      - {path: /x, upstream: somewhere}\n"
                        "      - {upstream: web}\n"
                        "    upstreams: {web: unix:/x}\n",
           "t.yaml:5:37: error: there is no upstream 'wbe' (did you mean 'web'?)\n"
           "t.yaml:6:30: error: there is no upstream 'somewhere'\n");
}

TEST(routes)
{
    REJECT(SERVICE_HEAD "    routes:\n"
                        "      - {host: \"a:80\", upstream: web}\n"
                        "      - {path: v1, upstream: web}\n"
                        "      - {path: /}\n"
                        "      - web\n"
                        "      - {path: /, upstream: web}\n"
                        "    upstreams: {web: unix:/x}\n",
           "t.yaml:5:16: error: 'host' must be a host without port, such as example.com or "
           "*.example.com, not 'a:80'\n"
           "t.yaml:6:16: error: 'path' must be a path, which begins with '/', not 'v1'\n"
           "t.yaml:7:9: error: a route needs the key 'upstream'\n"
           "t.yaml:8:9: error: a route must be a mapping, not 'web'\n"
           "t.yaml:8:9: warning: never used: the route in line 7 takes everything\n"
           "t.yaml:9:9: warning: never used: the route in line 7 takes everything\n");
}

TEST(where_requests_go_is_said_once)
{
    REJECT("services:\n"
           "  - {name: a, listen: [127.0.0.1:0]}\n"
           "  - {name: b, listen: [127.0.0.1:0], upstream: unix:/x, routes: [{upstream: y}]}\n"
           "  - {name: c, listen: [127.0.0.1:0], routes: [{upstream: y}]}\n"
           "  - {name: d, listen: [127.0.0.1:0], upstreams: {y: unix:/x}}\n"
           "  - {name: e, listen: [127.0.0.1:0], upstream: [unix:/x]}\n"
           "  - {name: f, listen: [127.0.0.1:0], routes: [], upstreams: {}}\n",
           "t.yaml:2:5: error: a service needs 'routes' or 'upstream'\n"
           "t.yaml:3:38: error: 'upstream' stands in place of 'routes' and 'upstreams', not beside "
           "them\n"
           "t.yaml:4:5: error: 'routes' need 'upstreams' to name\n"
           "t.yaml:5:5: error: a service needs 'routes' or 'upstream'\n"
           "t.yaml:6:48: error: an upstream must be a mapping, not a list\n"
           "t.yaml:7:46: error: 'routes' has no entries\n"
           "t.yaml:7:61: error: 'upstreams' has no entries\n");
}

TEST(what_is_of_no_use_is_told)
{
    struct snapshot *snapshot =
        LOAD_WITH(SERVICE_HEAD "    routes:\n"
                               "      - {upstream: a}\n"
                               "      - {path: /b, upstream: b}\n"
                               "    upstreams:\n"
                               "      x-note: {b: 1}\n"
                               "      a: unix:/a\n"
                               "      b: unix:/b\n"
                               "      c: unix:/c\n",
                  "t.yaml:6:9: warning: never used: the route in line 5 takes everything\n"
                  "t.yaml:11:7: warning: no route names the upstream 'c'\n");
    if (CHECK(snapshot)) {
        CHECK_EQ(3, snapshot->services[0].upstream_count);
        CHECK_EQ(1, snapshot->services[0].routes[1].upstream);
    }
    snapshot_unref(&snapshot);
}

TEST(names_of_upstreams)
{
    REJECT(SERVICE_HEAD "    routes: [{upstream: a}]\n"
                        "    upstreams: {a: unix:/x, \"b c\": unix:/x}\n",
           "t.yaml:5:29: error: 'the name of an upstream' must be a name (at most 64 letters, "
           "digits, '-', '_' and '.'), not 'b c'\n");
}

TEST(too_many_services)
{
    struct buf text;
    buf_init(&text);
    buf_printf(&text, "services:\n");
    for (int i = 0; i < 257; i++)
        buf_printf(&text, "  - {name: s%d, listen: [127.0.0.1:0], upstream: unix:/x}\n", i);
    buf_append_byte(&text, '\0');
    REJECT(text.at, "t.yaml:2:3: error: 'services' has 257 entries, at most 256 are possible\n");
    buf_fini(&text);
}

TEST(what_a_service_does_not_say_the_top_does)
{
    struct snapshot *snapshot = LOAD("upstream_keepalive_pool_size: 7\n"
                                     "max_retries: 5\n"
                                     "services:\n"
                                     "  - name: a\n"
                                     "    listen: [127.0.0.1:0]\n"
                                     "    upstream: unix:/x\n"
                                     "  - name: b\n"
                                     "    listen: [127.0.0.1:0]\n"
                                     "    upstream_keepalive_pool_size: 9\n"
                                     "    upstream: {servers: [unix:/x], retry: {attempts: 0}}\n");
    if (!CHECK(snapshot))
        return;
    CHECK_EQ(7, snapshot->services[0].upstream_keepalive_pool_size);
    CHECK_EQ(5, snapshot->services[0].upstreams[0].retry.attempts);
    CHECK_EQ(9, snapshot->services[1].upstream_keepalive_pool_size);
    CHECK_EQ(0, snapshot->services[1].upstreams[0].retry.attempts);
    snapshot_unref(&snapshot);
}

CHECK_MAIN
