/* SPDX-License-Identifier: MIT */
#include "tests/sim/server.h"

#include "base/check.h"
#include "base/slice.h"

#include <stdlib.h>

struct visit {
    struct server *server;
    struct stream *stream;
    unsigned number;
};

static void run_visit(void *argument)
{
    struct visit *visit = argument;
    struct server *server = visit->server;
    server->serve(server, &visit->stream, visit->number);
    stream_close(&visit->stream, false);
    server->open_count--;
    free(visit);
}

static void accepted(struct sock *listener, int number, const struct addr *from)
{
    struct server *server = listener->watch_owner;
    struct visit *visit = malloc(sizeof *visit);
    must(visit && from->len > 0);
    *visit = (struct visit){.server = server, .number = ++server->accepted_count};
    if (socket_stream_attach(&server->streams.sockets, number, &visit->stream)) {
        free(visit);
        return;
    }
    server->open_count++;
    enum weir_err err =
        co_spawn(&server->loop->sched, &server->connections, "server", run_visit, visit, NULL);
    must(!err);
}

enum weir_err server_open(struct server *server, struct loop *loop, const char *addr,
                          server_fn *serve, void *owner)
{
    *server = (struct server){.loop = loop, .serve = serve, .owner = owner};
    TRY(addr_parse(slice_str(addr), &server->addr));
    struct listen_options options = {.backlog = 128};
    TRY(loop->ops->listen(loop->backend, &server->addr, &options, &server->descriptor));
    TRY(loop->ops->bound(loop->backend, server->descriptor, &server->addr));
    streams_init(&server->streams, loop);
    scope_init(&server->connections);
    return sock_accept(loop, &server->listener, server->descriptor, accepted, server);
}

void server_stop(struct server *server)
{
    if (server->descriptor < 0)
        return;
    sock_close(&server->listener, false);
    server->loop->ops->close_descriptor(server->loop->backend, server->descriptor);
    server->descriptor = -1;
}

void server_close(struct server *server)
{
    server_stop(server);
    scope_cancel(&server->connections);
    (void)scope_join(&server->connections);
    streams_fini(&server->streams);
}
