/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SERVER_RUNNING_H
#define TESTS_UNIT_SERVER_RUNNING_H

/* A server that runs on a thread of its own, and a client that asks it over a real socket. */

#include "base/check.h"
#include "base/log.h"
#include "io/addr.h"
#include "tests/check.h"
#include <weir/server.h>

#include <pthread.h>
#include <unistd.h>

struct running {
    struct weir_server *server;
    pthread_t thread;
    enum weir_err err; /* what weir_server_run() has given */
};

static struct running running;

/* With epoll, which can be had everywhere. */
static inline void running_new(unsigned threads)
{
    struct weir_server_options options;
    log_set_level(LOG_ERROR);
    weir_server_options_init(&options);
    options.threads = threads;
    options.io = WEIR_IO_EPOLL;
    must(weir_server_new(&options, &running.server) == WEIR_OK);
}

static inline struct weir_service *running_add(weir_started_fn *started, void *owner)
{
    struct weir_service_options options;
    struct weir_service *service = NULL;
    weir_service_options_init(&options);
    options.started = started;
    options.owner = owner;
    must(weir_server_add(running.server, &options, NULL, &service) == WEIR_OK);
    return service;
}

/* With a handler in place of what is started. */
static inline struct weir_service *running_add_handler(weir_handler_fn *handler)
{
    struct weir_service_options options;
    struct weir_service *service = NULL;
    weir_service_options_init(&options);
    options.handler = handler;
    must(weir_server_add(running.server, &options, NULL, &service) == WEIR_OK);
    return service;
}

static inline void running_listen(struct weir_service *service)
{
    struct weir_listen_options options;
    weir_listen_options_init(&options);
    options.address = "127.0.0.1:0";
    must(weir_service_listen(service, &options, NULL) == WEIR_OK);
}

static inline void *running_thread(void *argument)
{
    (void)argument;
    running.err = weir_server_run(running.server);
    return NULL;
}

static inline void running_start(void)
{
    must(pthread_create(&running.thread, NULL, running_thread, NULL) == 0);
}

static inline void running_end(void)
{
    must(pthread_join(running.thread, NULL) == 0);
    CHECK_OK(running.err);
    weir_server_free(&running.server);
    CHECK(!running.server);
}

static inline int running_dial(const struct weir_service *service, unsigned listener)
{
    struct addr addr;
    must(addr_parse(weir_str(weir_service_address(service, listener)), &addr) == WEIR_OK);
    int descriptor = socket(addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(descriptor >= 0);
    if (connect(descriptor, &addr.any, addr.len) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

/* The status of the answer; 0: there was none. */
static inline int running_ask(const struct weir_service *service, unsigned listener)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    char answer[512] = "";
    size_t len = 0;
    int descriptor = running_dial(service, listener), status = 0;
    if (descriptor < 0)
        return 0;
    must(write(descriptor, request, sizeof request - 1) == sizeof request - 1);
    for (ssize_t more = 1; more > 0 && len<sizeof answer - 1; len += more> 0 ? (size_t)more : 0)
        more = read(descriptor, answer + len, sizeof answer - 1 - len);
    close(descriptor);
    return sscanf(answer, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

#endif
