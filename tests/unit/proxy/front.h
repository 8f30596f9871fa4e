/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_PROXY_FRONT_H
#define TESTS_UNIT_PROXY_FRONT_H

/*
 * A service between clients and servers that are all plain sockets in the test's hand. There is one
 * upstream, "web", with as many servers as the test wants; what the access log was told is kept.
 */

#include "base/log.h"
#include "proxy/service.h"
#include "tests/unit/http/raw.h"

enum { FRONT_SERVERS = 3 };

struct front {
    struct commons *commons;
    struct service *service;
    struct service_options options;
    struct upstream_options upstream;
    struct upstream_options apart[FRONT_SERVERS]; /* after front_split() */
    struct route_options route;
    struct server_options server_options[FRONT_SERVERS];
    struct raw_listener servers[FRONT_SERVERS];
    struct raw_listener door;    /* where clients come in */
    unsigned logged;             /* how many exchanges are over */
    struct access_record record; /* of the last one; its pointers are not valid */
    enum weir_err error;
    unsigned status;
};

static struct front front;

static inline void front_log(void *owner, const struct access_record *record)
{
    must(owner == &front);
    front.logged++;
    front.record = *record;
    front.error = record->exchange->error;
    front.status = record->exchange->status;
}

/* Fills in the options, for the test to change before front_start(). */
static inline void front_prepare(unsigned server_count)
{
    memset(&front, 0, sizeof front);
    log_set_level(LOG_ERROR);
    service_options_init(&front.options);
    upstream_options_init(&front.upstream);
    for (unsigned i = 0; i < server_count; i++) {
        raw_listen(&front.servers[i]);
        front.server_options[i] =
            (struct server_options){.text = "server", .addr = front.servers[i].addr, .weight = 1};
    }
    front.upstream.name = "web";
    front.upstream.servers = front.server_options;
    front.upstream.server_count = server_count;
    front.options.name = "edge";
    front.options.routes = &front.route;
    front.options.route_count = 1;
    front.options.upstreams = &front.upstream;
    front.options.upstream_count = 1;
    raw_listen(&front.door);
}

/* Makes each server an upstream of its own, as options.upstreams[] has them. */
static inline void front_split(void)
{
    static const char *const names[FRONT_SERVERS] = {"first", "second", "third"};
    unsigned count = front.upstream.server_count;
    for (unsigned i = 0; i < count; i++) {
        front.apart[i] = front.upstream;
        front.apart[i].name = names[i];
        front.apart[i].servers = &front.server_options[i];
        front.apart[i].server_count = 1;
    }
    front.options.upstreams = front.apart;
    front.options.upstream_count = count;
}

static inline void front_start(void)
{
    front.commons = commons_new(1, front.options.upstream_keepalive_pool_size);
    must(front.commons);
    struct service_parts parts = {
        .loop = &stage.loop,
        .streams = &stage.streams,
        .commons = front.commons,
        .log = front_log,
        .log_owner = &front,
    };
    must(service_open(&front.options, &parts, &front.service) == WEIR_OK);
}

static inline void front_open(unsigned server_count)
{
    front_prepare(server_count);
    front_start();
}

/* Every client must go. */
WEIR_SUSPENDS static inline void front_close(void)
{
    STAGE_UNTIL(service_has_ended(front.service));
    pool_audit(&front.service->pool);
    service_close(&front.service);
    commons_free(&front.commons);
    CHECK(!front.service);
    for (unsigned i = 0; i < front.upstream.server_count; i++)
        raw_close(front.servers[i].descriptor);
    raw_close(front.door.descriptor);
}

WEIR_SUSPENDS static inline int front_client(void)
{
    int client = raw_dial(&front.door.addr);
    int accepted = raw_accept(&front.door);
    struct addr from = raw_addr_of(client);
    atomic_fetch_add(&front.service->downstream.load, 1);
    static const struct listener_options plain;
    downstream_open(&front.service->downstream, &plain, accepted, &from);
    return client;
}

static inline struct upstream_stats *front_stats(void)
{
    return &front.service->upstream_stats[0];
}

static inline uint64_t front_retries(enum weir_err err, enum retry_result result)
{
    return stat_read(&front_stats()->retries[err][result]);
}

#define FRONT_GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define FRONT_OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* One GET from end to end over server 0's connection `server`; -1: it comes as a new one. */
WEIR_SUSPENDS static inline int front_exchange(int client, int server)
{
    raw_send(client, FRONT_GET);
    if (server < 0)
        server = raw_accept(&front.servers[0]);
    raw_read_head(server);
    raw_send(server, FRONT_OK);
    CHECK(raw_read(client, "hello") > 0);
    CHECK(raw_starts("HTTP/1.1 200 OK\r\n"));
    return server;
}

/* The same, until the connection rests in the pool. */
WEIR_SUSPENDS static inline int front_warm(int client)
{
    int server = front_exchange(client, -1);
    STAGE_UNTIL(front.service->pool.idle_count == 1);
    stage_turns();
    return server;
}

#endif
