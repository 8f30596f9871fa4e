/* SPDX-License-Identifier: MIT */
#include "app/pools_page.h"

#include "base/slice.h"
#include "tests/check.h"

/* Two servers of "api" have one address, so that they are one in the page. */
static struct server_options api_servers[3], web_server;
static struct upstream_options upstreams[2];
static struct service_options services[2];
static struct snapshot snapshot = {.services = services, .service_count = 2};
static struct program program = {.snapshot = &snapshot, .worker_count = 2};
static struct surveyor surveyor = {.program = &program};

static void set_up(void)
{
    (void)addr_parse(SLICE("10.0.0.1:80"), &api_servers[0].addr);
    (void)addr_parse(SLICE("[::1]:81"), &api_servers[1].addr);
    (void)addr_parse(SLICE("10.0.0.1:80"), &api_servers[2].addr);
    (void)addr_parse(SLICE("unix:/run/\"a"), &web_server.addr);
    upstreams[0] =
        (struct upstream_options){.name = "api", .servers = api_servers, .server_count = 3};
    upstreams[1] =
        (struct upstream_options){.name = "web", .servers = &web_server, .server_count = 1};
    services[0] = (struct service_options){.name = "edge",
                                           .upstreams = upstreams,
                                           .upstream_count = 2,
                                           .upstream_keepalive_pool_size = 128};
    services[1] =
        (struct service_options){.name = "other", .upstreams = &upstreams[1], .upstream_count = 1};
    program.started = WEIR_TIME_INIT(1000000000);
}

static void append_conn(struct survey *survey, struct survey_conn conn)
{
    buf_append(&survey->conns, slice_of((const char *)&conn, sizeof conn));
}

TEST(the_page_shows_services_servers_and_connections)
{
    set_up();
    struct survey_peer peers[5] = {
        [0] = {.opened = 4, .reused = 996, .idle = 1, .in_use = 1, .dialling = 2},
        [3] = {.opened = 1, .idle = 1},
    };
    struct survey survey = {.surveyor = &surveyor, .answered = 2, .peers = peers, .peer_count = 5};
    struct buf page;
    buf_init(&page);
    buf_init(&survey.conns);
    append_conn(
        &survey,
        (struct survey_conn){
            .peer = 0, .worker = 0, .id = 17, .age_ms = 5120, .idle_ms = 12, .requests = 40});
    append_conn(&survey,
                (struct survey_conn){
                    .peer = 0, .worker = 1, .id = 9, .in_use = true, .age_ms = 7, .requests = 1});
    append_conn(&survey, (struct survey_conn){.peer = 3, .worker = 1, .id = 18});
    pools_page_print(&survey, WEIR_TIME_INIT(3500000000), &page);
#define LEARNED "\"taken_over\":0,\"learned_idle_timeout_ms\":null,\"learned_max_requests\":null,"
#define PROTOCOL "\"protocol\":\"http/1.1\",\"tls\":false,"
    CHECK_SLICE(
        buf_slice(&page),
        "{\"version\":\"" WEIR_VERSION "\",\"uptime_ms\":2500,\"workers\":2,"
        "\"workers_answered\":2,\"services\":[{\"name\":\"edge\","
        "\"pool\":{\"size\":128,\"idle\":2,\"in_use\":1},\"peers\":["
        "{\"upstream\":\"api\",\"address\":\"10.0.0.1:80\"," PROTOCOL
        "\"idle\":1,\"in_use\":1,\"dialling\":2,\"waiting\":0,\"opened\":4,\"reused\":996," LEARNED
        "\"connections\":[{\"id\":17,\"worker\":0,\"state\":\"idle\",\"age_ms\":5120,"
        "\"idle_ms\":12,\"requests\":40},{\"id\":9,\"worker\":1,\"state\":\"in_use\",\"age_ms\":7,"
        "\"idle_ms\":null,\"requests\":1}]},"
        "{\"upstream\":\"api\",\"address\":\"[::1]:81\"," PROTOCOL
        "\"idle\":0,\"in_use\":0,\"dialling\":0,\"waiting\":0,\"opened\":0,\"reused\":0," LEARNED
        "\"connections\":[]},"
        "{\"upstream\":\"web\",\"address\":\"unix:/run/\\\"a\"," PROTOCOL
        "\"idle\":1,\"in_use\":0,\"dialling\":0,\"waiting\":0,\"opened\":1,\"reused\":0," LEARNED
        "\"connections\":[{\"id\":18,\"worker\":1,\"state\":\"idle\",\"age_ms\":0,\"idle_ms\":0,"
        "\"requests\":0}]}]},"
        "{\"name\":\"other\",\"pool\":{\"size\":0,\"idle\":0,\"in_use\":0},\"peers\":["
        "{\"upstream\":\"web\",\"address\":\"unix:/run/\\\"a\"," PROTOCOL
        "\"idle\":0,\"in_use\":0,\"dialling\":0,\"waiting\":0,\"opened\":0,\"reused\":0," LEARNED
        "\"connections\":[]}]}]}\n");
    buf_fini(&page);
    buf_fini(&survey.conns);
}

CHECK_MAIN
