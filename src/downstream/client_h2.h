/* SPDX-License-Identifier: MIT */
#ifndef DOWNSTREAM_CLIENT_H2_H
#define DOWNSTREAM_CLIENT_H2_H

/*
 * A client's connection that speaks HTTP/2 (RFC 9113): a coroutine for each request, none for the
 * connection, which is read in the loop (http/h2_wire.h).
 *
 *   open -> requests come and go -> GOAWAY, once or twice -> over -> read to its end -> closed
 */

#include "downstream/client.h"
#include "http/h2_wire.h"

/* One request and its response. */
struct h2_request {
    struct exchange exchange;
    struct h2_stream stream;
    struct client *client;
    struct list link;      /* in h2_client.requests */
    struct co *co;         /* NULL: its head has not come */
    enum weir_err err;     /* what is wrong with its head */
    struct h2_lines lines; /* the response's head, written down */
    bool ends;             /* ... which is all of the response */
    bool tunnels;          /* what goes both ways belongs to another protocol */
};

struct h2_client {
    struct h2_wire *wire; /* NULL: it has ended */
    struct list requests; /* that have a coroutine */
    unsigned request_count;
    struct h2_request *coming; /* its head has begun; NULL: none has */
    struct weir_time idle_since, announced;
    struct tls_facts facts;
    bool ending;  /* the end was announced, */
    bool refuses; /* and then said */
    bool parting; /* it has no use any more, and was told so */
    bool flood_noted;
};

/*
 * From now on the client speaks HTTP/2. *buf is what it has sent already. It is parked, or closed,
 * then; its stream is not its own any more.
 */
void client_open_h2(struct client *client, struct iobuf **buf);

/* Its requests come to their end, and no more are taken. */
void client_drain_h2(struct client *client);
/* Cancels what runs, and closes it. */
void client_cancel_h2(struct client *client);
/* Its timer has fired. */
void client_tick_h2(struct client *client);

/* A client's coroutine that reads on, so that its last words are not lost, and closes it. */
void client_part(struct client *client);

/* --- exchange_h2.c --------------------------------------------------------------------------- */

/* Makes one of a client that has just begun; NULL: no memory. */
struct h2_request *request_h2_new(struct client *client);
/* Serves it, from its head to its end: the body of its coroutine. */
WEIR_SUSPENDS void request_h2_serve(struct h2_request *request);
/* Gives its memory back; its stream has ended. */
void request_h2_free(struct h2_request *request);

#endif
