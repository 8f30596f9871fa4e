/* SPDX-License-Identifier: MIT */
#ifndef DOWNSTREAM_DOWNSTREAM_H
#define DOWNSTREAM_DOWNSTREAM_H

/*
 * One worker's clients of one service: its accepted connections, their limits, their handler.
 *
 * A client's connection is parked (a watch and a timer; no coroutine, no buffer) until bytes come;
 * then a coroutine serves exchanges until there are no more bytes, and parks it again.
 */

#include "base/clock.h"
#include "base/slab.h"
#include "base/stat.h"
#include "co/scope.h"
#include "downstream/exchange.h"
#include "downstream/options.h"
#include "http/h2_guard.h"
#include "stream/streams.h"

/* How what comes before the first request went, where something does. */
enum greeting {
    GREETING_FULL,
    GREETING_RESUMED, /* a short handshake, by a ticket */
    GREETING_FAILED,
    GREETING_TIMEOUT,
    GREETING_PLAIN, /* no TLS was spoken */
    GREETING_TLS_COUNT,
    GREETING_BAD_PREFACE = GREETING_TLS_COUNT,
    GREETING_COUNT,
};
const char *greeting_name(enum greeting greeting);

struct downstream_options {
    struct loop *loop;
    struct streams *streams;
    const struct client_options *client; /* outlives it */
    exchange_handler_fn *handler;
    void *owner;      /* for the handler */
    bool wants_local; /* exchange.local is to be what each client has really connected to */
};

struct downstream {
    struct loop *loop;
    struct streams *streams;
    const struct client_options *client;
    exchange_handler_fn *handler;
    void *owner;
    struct list clients;
    struct scope work; /* the coroutines that send for many requests at once (HTTP/2) */
    struct slab client_slab, addr_slab, h2_slab, request_slab;
    stat_count greetings[GREETING_COUNT];
    stat_count requests[HTTP_PROTOCOL_COUNT];
    stat_count floods[H2_FLOOD_COUNT]; /* connections that were ended for one */
    stat_count open;                   /* connections now: a gauge */
    _Atomic unsigned load; /* the same with those on their way here; others add, see listener.h */
    bool draining, wants_local;
    uint64_t client_count; /* so far */
    int64_t date_s;        /* the second that `date` tells */
    char date[CLOCK_HTTP_DATE_SIZE];
};

void downstream_init(struct downstream *downstream, const struct downstream_options *options);
/* Every connection must have ended (checked). */
void downstream_fini(struct downstream *downstream);

/*
 * Takes an accepted descriptor. `load` has been counted for it already. The options are those of
 * its listener, and outlive the connection.
 */
void downstream_open(struct downstream *downstream, const struct listener_options *options,
                     int descriptor, const struct addr *from);

/* Parked connections end at once, busy ones after their response; new ones are not taken. */
void downstream_drain(struct downstream *downstream);
/* Cancels what is still running: for when the grace period is over. */
void downstream_cancel(struct downstream *downstream);

static inline bool downstream_is_empty(const struct downstream *downstream)
{
    return list_is_empty(&downstream->clients) && scope_is_empty(&downstream->work);
}

#endif
