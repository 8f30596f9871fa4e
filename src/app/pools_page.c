/* SPDX-License-Identifier: MIT */
#include "app/pools_page.h"

#include "app/json.h"

/* A walk over the peers, service by service, and over their connections. */
struct walk {
    const struct survey *survey;
    struct json json;
    unsigned peer; /* the next one's place */
    size_t conn;   /* the next one's */
};

static void print_uint(struct walk *walk, const char *key, uint64_t number)
{
    json_key(&walk->json, key);
    json_uint(&walk->json, number);
}

static void print_text(struct walk *walk, const char *key, const char *text)
{
    json_key(&walk->json, key);
    json_text(&walk->json, text);
}

/* NULL is null. */
static void print_known(struct walk *walk, const char *key, const char *text)
{
    json_key(&walk->json, key);
    if (text)
        json_text(&walk->json, text);
    else
        json_null(&walk->json);
}

/* What is not there is null. */
static void print_if(struct walk *walk, const char *key, bool is_there, uint64_t number)
{
    json_key(&walk->json, key);
    if (is_there)
        json_uint(&walk->json, number);
    else
        json_null(&walk->json);
}

/* What is not known is null. */
static void print_learned(struct walk *walk, const char *key, uint64_t number)
{
    print_if(walk, key, number > 0, number);
}

static void print_conn(struct walk *walk, const struct survey_conn *conn)
{
    struct json *json = &walk->json;
    json_open_object(json);
    print_uint(walk, "id", conn->id);
    print_uint(walk, "worker", conn->worker);
    print_text(walk, "state", conn->in_use ? "in_use" : "idle");
    print_text(walk, "protocol", http_protocol_name(conn->protocol));
    print_if(walk, "streams", conn->protocol == HTTP_2, conn->streams);
    json_key(json, "age_ms");
    json_int(json, conn->age_ms);
    json_key(json, "idle_ms");
    if (conn->in_use)
        json_null(json);
    else
        json_int(json, conn->idle_ms);
    print_uint(walk, "requests", conn->requests);
    print_known(walk, "tls_version", conn->tls_version);
    json_key(json, "tls_resumed");
    if (conn->tls_version)
        json_bool(json, conn->tls_resumed);
    else
        json_null(json);
    json_close_object(json);
}

static void print_conns(struct walk *walk)
{
    json_key(&walk->json, "connections");
    json_open_array(&walk->json);
    const struct survey_conn *conns = survey_conns(walk->survey);
    size_t count = survey_conn_count(walk->survey);
    for (; walk->conn < count && conns[walk->conn].peer == walk->peer; walk->conn++)
        print_conn(walk, &conns[walk->conn]);
    json_close_array(&walk->json);
}

/* What its upstream has chosen; with auto each connection has its own. */
static const char *protocol_name(enum peer_protocol protocol)
{
    static const char *const names[] = {
        [PEER_HTTP1] = "http/1.1", [PEER_HTTP2] = "h2", [PEER_AUTO] = "auto"};
    return names[protocol];
}

static void print_peer(struct walk *walk, const struct service_options *service)
{
    const struct survey_peer *peer = &survey_peers(walk->survey)[walk->peer];
    struct json *json = &walk->json;
    char address[ADDR_TEXT_SIZE];
    json_open_object(json);
    print_text(walk, "upstream", service->upstreams[peer->upstream].name);
    print_text(walk, "address", addr_print(&peer->addr, address));
    print_text(walk, "protocol", protocol_name(service->upstreams[peer->upstream].protocol));
    json_key(json, "tls");
    json_bool(json, service->upstreams[peer->upstream].tls != NULL);
    print_known(walk, "sni", peer->sni);
    json_key(json, "healthy");
    json_bool(json, !peer->unwell);
    print_uint(walk, "idle", peer->idle);
    print_uint(walk, "in_use", peer->in_use);
    print_uint(walk, "streams", peer->streams);
    print_uint(walk, "dialling", peer->dialling);
    print_uint(walk, "waiting", peer->waiting);
    print_uint(walk, "opened", peer->opened);
    print_uint(walk, "reused", peer->reused);
    print_uint(walk, "taken_over", peer->taken_over);
    print_learned(walk, "learned_idle_timeout_ms", (uint64_t)peer->learned_idle_timeout_ms);
    print_learned(walk, "learned_max_requests", peer->learned_max_requests);
    print_conns(walk);
    json_close_object(json);
}

/* The end of a service's peers, which begin with the walk's next one. */
static unsigned end_of(const struct walk *walk, unsigned service)
{
    unsigned end = walk->peer;
    while (end < survey_peer_count(walk->survey) &&
           survey_peers(walk->survey)[end].service == service)
        end++;
    return end;
}

static void print_pool(struct walk *walk, const struct service_options *service, unsigned end)
{
    uint64_t idle = 0, in_use = 0;
    for (unsigned i = walk->peer; i < end; i++) {
        idle += survey_peers(walk->survey)[i].idle;
        in_use += survey_peers(walk->survey)[i].in_use;
    }
    json_key(&walk->json, "pool");
    json_open_object(&walk->json);
    print_uint(walk, "size", service->upstream_keepalive_pool_size);
    print_uint(walk, "idle", idle);
    print_uint(walk, "in_use", in_use);
    json_close_object(&walk->json);
}

static void print_service(struct walk *walk, const struct service_options *service, unsigned number)
{
    unsigned end = end_of(walk, number);
    json_open_object(&walk->json);
    print_text(walk, "name", service->name);
    print_pool(walk, service, end);
    json_key(&walk->json, "peers");
    json_open_array(&walk->json);
    for (; walk->peer < end; walk->peer++)
        print_peer(walk, service);
    json_close_array(&walk->json);
    json_close_object(&walk->json);
}

void pools_page_print(const struct survey *survey, struct weir_time now, struct buf *out)
{
    const struct program *program = survey->surveyor->program;
    struct walk walk = {.survey = survey};
    json_init(&walk.json, out);
    json_open_object(&walk.json);
    print_text(&walk, "version", WEIR_VERSION);
    json_key(&walk.json, "uptime_ms");
    json_int(&walk.json, weir_span_to_ms(weir_time_between(program->started, now)));
    print_uint(&walk, "workers", program->workers.count);
    /* Fewer when one was too busy to answer in time: the rest is what the others hold. */
    print_uint(&walk, "workers_answered", survey->answered);
    json_key(&walk.json, "services");
    json_open_array(&walk.json);
    for (unsigned i = 0; i < program->snapshot->service_count; i++)
        print_service(&walk, &program->snapshot->services[i], i);
    json_close_array(&walk.json);
    json_close_object(&walk.json);
    buf_append_byte(out, '\n');
}
