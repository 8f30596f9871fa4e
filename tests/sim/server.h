/* SPDX-License-Identifier: MIT */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

/*
 * A server whose script is a coroutine for each connection. It uses nothing but sockets and
 * streams, so it runs over any backend.
 */

#include "co/scope.h"
#include "io/sock.h"
#include "stream/streams.h"

struct server;

/* One connection, the `number`th of its server, from 1. What it does not close is closed after it.
 */
typedef void server_fn(struct server *server, struct stream **stream, unsigned number);

struct server {
    struct loop *loop;
    struct addr addr; /* the one it really has */
    server_fn *serve;
    void *owner; /* the test's */
    int descriptor;
    struct sock listener;
    struct streams streams;
    struct scope connections;
    unsigned accepted_count, open_count;
};

/* Listens on `addr`, as addr_parse() reads it. */
enum weir_err server_open(struct server *server, struct loop *loop, const char *addr,
                          server_fn *serve, void *owner);
/* Takes no more connections; those that are go on. */
void server_stop(struct server *server);
/* Stops, cancels what runs and waits for its end. */
WEIR_SUSPENDS void server_close(struct server *server);

#endif
