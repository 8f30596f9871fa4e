/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SERVER_CREW_H
#define TESTS_UNIT_SERVER_CREW_H

/* Workers with one service, without a server around them. */

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "co/wait.h"
#include "server/oversee.h"
#include "tests/check.h"

enum { CREW = 3 };

static struct workers crew;
static struct service_options crew_service;
static struct workers_options crew_options; /* for the test to change before crew_open() */

static inline void crew_prepare(void)
{
    log_set_level(LOG_ERROR);
    service_options_init(&crew_service);
    crew_service.name = "edge";
    crew_options = (struct workers_options){
        .ops = &epoll_ops,
        .count = CREW,
        .grace_period = weir_span_s(60),
        .shutdown_timeout = weir_span_s(5),
    };
}

static inline void crew_open(void)
{
    unsigned number = 99;
    must(workers_init(&crew, &crew_options) == WEIR_OK);
    must(workers_add(&crew, &crew_service, &number) == WEIR_OK);
    must(number == 0);
}

/* An address of the service, so that it does not end for want of one. */
static inline const struct addr *crew_listen(void)
{
    struct workers_address *address = NULL;
    struct listener_options options;
    listener_options_init(&options);
    must(addr_parse(SLICE("127.0.0.1:0"), &options.addr) == WEIR_OK);
    must(workers_listen(&crew, 0, &options, &address) == WEIR_OK);
    return &address->group.options.addr;
}

static inline void crew_await_running(unsigned count)
{
    while (atomic_load(&crew.running) > count)
        sched_yield();
}

#endif
