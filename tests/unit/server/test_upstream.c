/* SPDX-License-Identifier: MIT */
#include "server/server.h"
#include "tests/unit/server/running.h"
#include "tests/unit/stream/certificates.h"

static char why[WEIR_WHY_BYTES];
static struct weir_service *service;
static struct weir_upstream_options options;
static const char *urls[3];

static void set_up(void)
{
    running_new(2);
    service = running_add(NULL, NULL);
    weir_upstream_options_init(&options);
    memset(urls, 0, sizeof urls);
    options.urls = urls;
    why[0] = '\0';
}

static enum weir_err add(unsigned count)
{
    options.count = count;
    return weir_service_add_upstream(service, &options, why);
}

static bool tells(const char *words)
{
    bool told = strstr(why, words) != NULL;
    if (!told)
        printf("# '%s' does not say '%s'\n", why, words);
    return told;
}

TEST(its_options_become_those_of_an_upstream)
{
    const unsigned weights[] = {3, 1000};
    char first[] = "http://127.0.0.1:9001";
    set_up();
    urls[0] = first;
    urls[1] = "http://Backend.test";
    options.name = "api";
    options.weights = weights;
    options.balance = WEIR_RANDOM;
    options.health_path = "/health";
    options.health_interval = weir_span_ms(700);
    options.peer.protocol = WEIR_HTTP_AUTO;
    options.peer.group_key = 5;
    options.peer.bind_to = "127.0.0.2";
    options.peer.read_timeout = weir_span_ms(70);
    options.peer.max_streams = 9;
    CHECK_OK(add(2));
    memset(first, 'x', sizeof first);
    CHECK_EQ(1, service->options.upstream_count);
    const struct upstream_options *upstream = service->options.upstreams;
    CHECK_SLICE(weir_str(upstream->name), "api");
    CHECK_EQ(2, upstream->server_count);
    CHECK_SLICE(weir_str(upstream->servers[0].text), "http://127.0.0.1:9001");
    CHECK(!upstream->servers[0].host && addr_port(&upstream->servers[0].addr) == 9001);
    CHECK_EQ(3, upstream->servers[0].weight);
    CHECK_SLICE(weir_str(upstream->servers[1].host), "backend.test");
    CHECK_EQ(80, upstream->servers[1].port);
    CHECK_EQ(1000, upstream->servers[1].weight);
    CHECK_EQ(BALANCE_RANDOM, upstream->balance);
    CHECK_SLICE(weir_str(upstream->health.path), "/health");
    CHECK_EQ(weir_span_ms(700).ns, upstream->health.interval.ns);
    CHECK_EQ(PEER_HTTP1, upstream->protocol); /* without TLS nobody picks */
    CHECK_EQ(5, upstream->group_key);
    CHECK_EQ(1, upstream->bind_to_count);
    CHECK_EQ(weir_span_ms(70).ns, upstream->limits.read_timeout.ns);
    CHECK_EQ(9, upstream->h2.max_streams);
    CHECK_EQ(2, upstream->retry.attempts);
    CHECK(!upstream->tls);
    weir_server_free(&running.server);
}

TEST(the_first_one_is_where_everything_goes)
{
    set_up();
    urls[0] = "http://127.0.0.1:9001";
    CHECK_OK(add(1));
    options.name = "second";
    CHECK_OK(add(1));
    CHECK_ERR(WEIR_E_CONFIG, add(1));
    CHECK(tells("second already"));
    CHECK_EQ(2, service->options.upstream_count);
    CHECK_EQ(1, service->options.route_count);
    CHECK_EQ(0, service->options.routes[0].upstream);
    CHECK_SLICE(weir_str(service->options.upstreams[0].name), "default");
    CHECK_SLICE(weir_str(service->options.upstreams[1].name), "second");
    weir_server_free(&running.server);
}

TEST(what_is_wrong_is_told_and_nothing_is_added)
{
    static const unsigned nothing[] = {0}, heavy[] = {1001};
    set_up();
    CHECK_ERR(WEIR_E_CONFIG, add(0));
    CHECK(tells("a URL at least"));
    urls[0] = "127.0.0.1:9001";
    CHECK_ERR(WEIR_E_ADDRESS, add(1));
    CHECK(tells("127.0.0.1:9001"));
    urls[0] = "http://127.0.0.1:9001";
    options.weights = nothing;
    CHECK_ERR(WEIR_E_CONFIG, add(1));
    CHECK(tells("1 to 1000"));
    options.weights = heavy;
    CHECK_ERR(WEIR_E_CONFIG, add(1));
    options.weights = NULL;
    options.health_path = "health";
    CHECK_ERR(WEIR_E_CONFIG, add(1));
    CHECK(tells("begins with '/'"));
    options.health_path = NULL;
    urls[1] = "h2c://127.0.0.1:9002";
    CHECK_ERR(WEIR_E_CONFIG, add(2));
    CHECK(tells("do not go together"));
    CHECK_EQ(0, service->options.upstream_count);
    weir_server_free(&running.server);
}

TEST(tls_is_read_at_once)
{
    set_up();
    urls[0] = "https://www.example.com";
    urls[1] = "http://www.example.com";
    options.peer.ca_file = "/nowhere.pem";
    CHECK_ERR(WEIR_E_CONFIG, add(1));
    CHECK(tells("/nowhere.pem"));
    options.peer.ca_file = certs[CERT_CA].cert_file;
    CHECK_ERR(WEIR_E_CONFIG, add(2));
    CHECK(tells("do not go together"));
    char sni[] = "shop.example.com";
    options.peer.sni = sni;
    options.peer.protocol = WEIR_HTTP_AUTO;
    CHECK_OK(add(1));
    memset(sni, 'x', sizeof sni);
    const struct upstream_options *upstream = service->options.upstreams;
    CHECK(upstream->tls != NULL);
    CHECK_SLICE(weir_str(upstream->sni), "shop.example.com");
    CHECK_EQ(PEER_AUTO, upstream->protocol);
    CHECK_EQ(443, upstream->servers[0].port);
    weir_server_free(&running.server);
}

/* A service with an upstream and neither handler nor phases passes requests on. */
TEST(requests_go_there)
{
    char url[ADDR_TEXT_SIZE + 8];
    set_up();
    struct weir_service *passing = service;
    struct weir_service *origin = running_add(NULL, NULL), *broken = running_add(NULL, NULL);
    running_listen(origin);
    running_listen(passing);
    running_listen(broken);
    snprintf(url, sizeof url, "http://%s", weir_service_address(origin, 0));
    urls[0] = url;
    CHECK_OK(add(1));
    service = broken;
    urls[0] = "unix:/nowhere/at/all";
    CHECK_OK(add(1));
    running_start();
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(404, running_ask(passing, 0));
        CHECK_EQ(502, running_ask(broken, 0));
    }
    weir_server_stop(running.server, true);
    running_end();
}

CHECK_MAIN
