/* SPDX-License-Identifier: MIT */
#include "app/pools_page.h"

#include "base/slice.h"
#include "tests/check.h"

static struct upstream_options upstreams[2];
static struct service_options services[2];
static struct snapshot snapshot = {.services = services, .service_count = 2};
static struct program program = {.snapshot = &snapshot, .workers = {.count = 2}};
static struct surveyor surveyor = {.program = &program};

static void set_up(void)
{
    upstreams[0] = (struct upstream_options){.name = "api", .protocol = PEER_HTTP1};
    upstreams[1] = (struct upstream_options){.name = "web", .protocol = PEER_HTTP1};
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

static void append_peer(struct survey *survey, const char *addr, struct survey_peer peer)
{
    CHECK_OK(addr_parse(slice_str(addr), &peer.addr));
    buf_append(&survey->peers, slice_of((const char *)&peer, sizeof peer));
}

TEST(the_page_shows_services_servers_and_connections)
{
    set_up();
    struct survey survey = {.surveyor = &surveyor, .answered = 2};
    struct buf page;
    buf_init(&page);
    buf_init(&survey.peers);
    buf_init(&survey.conns);
    append_peer(
        &survey, "10.0.0.1:80",
        (struct survey_peer){.opened = 4, .reused = 996, .idle = 1, .in_use = 1, .dialling = 2});
    append_peer(&survey, "[::1]:81", (struct survey_peer){.unwell = true});
    append_peer(&survey, "unix:/run/\"a",
                (struct survey_peer){.upstream = 1, .opened = 1, .idle = 1});
    append_peer(&survey, "unix:/run/\"a", (struct survey_peer){.service = 1});
    append_conn(
        &survey,
        (struct survey_conn){
            .peer = 0, .worker = 0, .id = 17, .age_ms = 5120, .idle_ms = 12, .requests = 40});
    append_conn(&survey,
                (struct survey_conn){
                    .peer = 0, .worker = 1, .id = 9, .in_use = true, .age_ms = 7, .requests = 1});
    append_conn(&survey, (struct survey_conn){.peer = 2, .worker = 1, .id = 18});
    pools_page_print(&survey, WEIR_TIME_INIT(3500000000), &page);
#define LEARNED "\"taken_over\":0,\"learned_idle_timeout_ms\":null,\"learned_max_requests\":null,"
#define HTTP1 "\"protocol\":\"http/1.1\",\"streams\":null,"
#define PLAIN "\"tls_version\":null,\"tls_resumed\":null"
#define PROTOCOL "\"protocol\":\"http/1.1\",\"tls\":false,\"sni\":null,"
#define WELL PROTOCOL "\"healthy\":true,"
#define UNWELL PROTOCOL "\"healthy\":false,"
    CHECK_SLICE(
        buf_slice(&page),
        "{\"version\":\"" WEIR_VERSION "\",\"uptime_ms\":2500,\"workers\":2,"
        "\"workers_answered\":2,\"services\":[{\"name\":\"edge\","
        "\"pool\":{\"size\":128,\"idle\":2,\"in_use\":1},\"peers\":["
        "{\"upstream\":\"api\",\"address\":\"10.0.0.1:80\"," WELL
        "\"idle\":1,\"in_use\":1,\"streams\":0,\"dialling\":2,\"waiting\":0,\"opened\":4,"
        "\"reused\":996," LEARNED
        "\"connections\":[{\"id\":17,\"worker\":0,\"state\":\"idle\"," HTTP1 "\"age_ms\":5120,"
        "\"idle_ms\":12,\"requests\":40," PLAIN
        "},{\"id\":9,\"worker\":1,\"state\":\"in_use\"," HTTP1 "\"age_ms\":7,"
        "\"idle_ms\":null,\"requests\":1," PLAIN "}]},"
        "{\"upstream\":\"api\",\"address\":\"[::1]:81\"," UNWELL
        "\"idle\":0,\"in_use\":0,\"streams\":0,\"dialling\":0,\"waiting\":0,\"opened\":0,"
        "\"reused\":0," LEARNED "\"connections\":[]},"
        "{\"upstream\":\"web\",\"address\":\"unix:/run/\\\"a\"," WELL
        "\"idle\":1,\"in_use\":0,\"streams\":0,\"dialling\":0,\"waiting\":0,\"opened\":1,"
        "\"reused\":0," LEARNED "\"connections\":[{\"id\":18,\"worker\":1,\"state\":\"idle\"," HTTP1
        "\"age_ms\":0,\"idle_ms\":0,"
        "\"requests\":0," PLAIN "}]}]},"
        "{\"name\":\"other\",\"pool\":{\"size\":0,\"idle\":0,\"in_use\":0},\"peers\":["
        "{\"upstream\":\"web\",\"address\":\"unix:/run/\\\"a\"," WELL
        "\"idle\":0,\"in_use\":0,\"streams\":0,\"dialling\":0,\"waiting\":0,\"opened\":0,"
        "\"reused\":0," LEARNED "\"connections\":[]}]}]}\n");
    buf_fini(&page);
    buf_fini(&survey.peers);
    buf_fini(&survey.conns);
}

/* What an upstream has chosen, and what each connection came to. */
TEST(protocols_and_streams)
{
    set_up();
    upstreams[0].protocol = PEER_AUTO;
    upstreams[1].protocol = PEER_HTTP2;
    services[0].upstream_keepalive_pool_size = 8;
    struct survey survey = {.surveyor = &surveyor, .answered = 2};
    struct buf page;
    buf_init(&page);
    buf_init(&survey.peers);
    buf_init(&survey.conns);
    append_peer(&survey, "10.0.0.1:80", (struct survey_peer){.in_use = 2, .streams = 90});
    append_peer(&survey, "10.0.0.2:80", (struct survey_peer){.upstream = 1, .idle = 1});
    append_conn(&survey,
                (struct survey_conn){
                    .id = 1, .in_use = true, .protocol = HTTP_2, .streams = 90, .requests = 200});
    append_conn(&survey, (struct survey_conn){.id = 2, .in_use = true, .requests = 3});
    append_conn(&survey, (struct survey_conn){.peer = 1, .id = 3, .protocol = HTTP_2});
    pools_page_print(&survey, WEIR_TIME_INIT(3500000000), &page);
    static const char *const parts[] = {
        "\"upstream\":\"api\",\"address\":\"10.0.0.1:80\",\"protocol\":\"auto\",",
        "\"idle\":0,\"in_use\":2,\"streams\":90,",
        "{\"id\":1,\"worker\":0,\"state\":\"in_use\",\"protocol\":\"h2\",\"streams\":90,",
        "{\"id\":2,\"worker\":0,\"state\":\"in_use\",\"protocol\":\"http/1.1\",\"streams\":null,",
        "\"upstream\":\"web\",\"address\":\"10.0.0.2:80\",\"protocol\":\"h2\",",
        "\"idle\":1,\"in_use\":0,\"streams\":0,",
        "{\"id\":3,\"worker\":0,\"state\":\"idle\",\"protocol\":\"h2\",\"streams\":0,",
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!CHECK(memmem(page.at, page.len, parts[i], strlen(parts[i]))))
            printf("# no %s\n", parts[i]);
    buf_fini(&page);
    buf_fini(&survey.peers);
    buf_fini(&survey.conns);
}

CHECK_MAIN
