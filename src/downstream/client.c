/* SPDX-License-Identifier: MIT */
/*
 * The life of an accepted connection around its exchanges.
 *
 *   open -> parked -> bytes -> coroutine: serve, serve, ... -> parked -> ... -> closed
 *
 * While a coroutine serves, a watch tells when the client has sent its end. Such a client may still
 * read (it may have closed one direction only), so what runs gets PEER_END_GRACE to begin its
 * response before it is canceled. nginx, Envoy and Pingora cancel at once; a script that shuts its
 * writing side then gets no answer.
 */
#include "downstream/client.h"

#include "base/check.h"
#include "co/wait.h"
#include "downstream/client_h2.h"
#include "downstream/greet.h"

enum { CLIENT_MAGIC = 0x0c11e417 };

#define PEER_END_GRACE weir_span_s(1)
/* How long an ended connection is read on, so that its last response is not lost to a reset. */
#define LINGER weir_span_s(2)

static void client_close(struct client *client, bool reset)
{
    struct downstream *downstream = client->downstream;
    must(!client->h2);
    loop_timer_disarm(downstream->loop, &client->timer);
    h1_wire_fini(&client->wire);
    h1_out_fini(&client->out);
    stream_close(&client->stream, reset);
    if (client->local)
        slab_free(&downstream->addr_slab, client->local);
    list_remove(&client->link);
    stat_sub(&downstream->open, 1);
    atomic_fetch_sub_explicit(&downstream->load, 1, memory_order_relaxed);
    client->magic = 0;
    slab_free(&downstream->client_slab, client);
}

WEIR_SUSPENDS static void run(void *argument);

static void on_timer(struct timer *timer)
{
    struct client *client = container_of(timer, struct client, timer);
    if (client->h2) {
        client_tick_h2(client);
        return;
    }
    if (!client->co && !client->greeted)
        client_note_silence(client);
    if (!client->co)
        client_close(client, false);
    /* Whether a client still takes a response that has begun shows in the sending. */
    else if (!client->responding)
        co_cancel(client->co);
}

static void on_peer_end(struct stream *stream, void *owner)
{
    struct client *client = owner;
    if (stream_peer_ended(stream) && !timer_is_armed(&client->timer))
        loop_timer_arm(client->downstream->loop, &client->timer, PEER_END_GRACE);
}

static void on_bytes(struct stream *stream, void *owner)
{
    struct client *client = owner;
    must(client->magic == CLIENT_MAGIC && client->stream == stream && !client->co);
    loop_timer_disarm(client->downstream->loop, &client->timer);
    stream_watch(stream, on_peer_end, client); /* more may come before the coroutine runs */
    if (co_spawn(&client->downstream->loop->sched, NULL, "client", run, client, &client->co) !=
        WEIR_OK)
        client_close(client, false);
}

static void park(struct client *client, struct weir_span until)
{
    client->co = NULL;
    stream_watch(client->stream, on_bytes, client);
    loop_timer_arm(client->downstream->loop, &client->timer, until);
}

/* Whether bytes, or an end, are there to be served now rather than when the watch tells. */
static bool has_more(struct client *client)
{
    struct iobuf *buf = NULL;
    if (h1_wire_has_bytes(&client->wire))
        return true;
    switch (stream_look(client->stream, LOOK_TOLD, &buf)) {
    case STREAM_QUIET:
        return false;
    case STREAM_BYTES:
        h1_wire_put(&client->wire, &buf);
        return true;
    default:
        return true;
    }
}

WEIR_SUSPENDS static void linger(struct client *client)
{
    struct loop *loop = client->downstream->loop;
    struct weir_time deadline = loop_deadline(loop, LINGER);
    struct iobuf *buf = NULL;
    stream_shut(client->stream, deadline);
    /* Who sends without a pause is never waited for, and no deadline would end it. */
    while (weir_time_before(loop_now(loop), deadline) &&
           stream_recv(client->stream, deadline, &buf) == WEIR_OK)
        iobuf_give(&loop->bufs, &buf);
}

/* Who connects ahead of time is parked after its greeting, like anyone who has nothing to ask. */
WEIR_SUSPENDS static bool greet(struct client *client, enum client_next *ret_next)
{
    *ret_next = client_greet(client);
    if (*ret_next != CLIENT_NEXT_REQUEST)
        return false;
    stream_watch(client->stream, on_peer_end, client);
    return has_more(client);
}

/* Exchanges, until there is nothing more to be served. */
WEIR_SUSPENDS static enum client_next serve(struct client *client)
{
    enum client_next next;
    if (!client->greeted && !greet(client, &next))
        return next;
    for (;;) {
        loop_timer_disarm(client->downstream->loop, &client->timer);
        if (stream_peer_ended(client->stream))
            on_peer_end(client->stream, client);
        next = client_serve_h1(client);
        if (next != CLIENT_NEXT_REQUEST || !has_more(client))
            return next;
        /* A pipeline of requests that are answered without asking anyone would never wait. */
        if (co_yield () != WEIR_OK)
            return CLIENT_CUT;
    }
}

WEIR_SUSPENDS static void run(void *argument)
{
    struct client *client = argument;
    const struct client_options *options = client->downstream->client;
    enum client_next next = serve(client);
    if (next == CLIENT_HTTP2)
        return;
    loop_timer_disarm(client->downstream->loop, &client->timer);
    if (next == CLIENT_NEXT_REQUEST && !client->downstream->draining) {
        park(client, client->requests > 0 ? options->keepalive_timeout : options->header_timeout);
        return;
    }
    if (client->stream)
        stream_watch(client->stream, NULL, NULL);
    if (next == CLIENT_LINGER)
        linger(client);
    client_close(client, next == CLIENT_CUT);
}

WEIR_SUSPENDS static void part(void *argument)
{
    struct client *client = argument;
    linger(client);
    client_close(client, false);
}

void client_part(struct client *client)
{
    client->co = NULL;
    if (!client->stream || co_spawn(&client->downstream->loop->sched, NULL, "parting client", part,
                                    client, &client->co) != WEIR_OK)
        client_close(client, false);
}

void downstream_init(struct downstream *downstream, const struct downstream_options *options)
{
    *downstream = (struct downstream){
        .loop = options->loop,
        .streams = options->streams,
        .client = options->client,
        .handler = options->handler,
        .wants_local = options->wants_local,
        .owner = options->owner,
    };
    list_init(&downstream->clients);
    slab_init(&downstream->client_slab, "client", sizeof(struct client));
    scope_init(&downstream->work);
    slab_init(&downstream->addr_slab, "local address of a client", sizeof(struct addr));
    slab_init(&downstream->h2_slab, "client of HTTP/2", sizeof(struct h2_client));
    slab_init(&downstream->request_slab, "request of HTTP/2", sizeof(struct h2_request));
}

void downstream_fini(struct downstream *downstream)
{
    must(downstream_is_empty(downstream));
    slab_fini(&downstream->client_slab);
    slab_fini(&downstream->addr_slab);
    slab_fini(&downstream->h2_slab);
    slab_fini(&downstream->request_slab);
}

/* A listener on every address does not know which of them it was. */
static void note_local(struct client *client, int descriptor)
{
    struct downstream *downstream = client->downstream;
    struct addr local;
    if (!downstream->wants_local || addr_is_local(&client->listening->addr) ||
        downstream->loop->ops->bound(downstream->loop->backend, descriptor, &local) != WEIR_OK)
        return;
    client->local = slab_alloc(&downstream->addr_slab);
    if (client->local)
        *client->local = local;
}

void downstream_open(struct downstream *downstream, const struct listener_options *options,
                     int descriptor, const struct addr *from)
{
    struct loop *loop = downstream->loop;
    struct client *client = downstream->draining ? NULL : slab_alloc(&downstream->client_slab);
    if (!client) {
        loop->ops->close_descriptor(loop->backend, descriptor);
        atomic_fetch_sub_explicit(&downstream->load, 1, memory_order_relaxed);
        return;
    }
    if (socket_stream_attach(&downstream->streams->sockets, descriptor, &client->stream) !=
        WEIR_OK) {
        slab_free(&downstream->client_slab, client);
        atomic_fetch_sub_explicit(&downstream->load, 1, memory_order_relaxed);
        return;
    }
    client->magic = CLIENT_MAGIC;
    client->downstream = downstream;
    client->listening = options;
    client->number = ++downstream->client_count << 8 | (loop->worker & 0xff);
    client->from = *from;
    client->greeted = !client_must_greet(options);
    note_local(client, descriptor);
    timer_init(&client->timer, on_timer);
    h1_wire_init(&client->wire, client->stream, WIRE_REQUESTS);
    h1_out_init(&client->out, client->stream);
    list_push_back(&downstream->clients, &client->link);
    stat_add(&downstream->open, 1);
    park(client, options->tls ? options->tls->options.handshake_timeout
                              : downstream->client->header_timeout);
}

void downstream_drain(struct downstream *downstream)
{
    downstream->draining = true;
    list_each (link, &downstream->clients) {
        struct client *client = container_of(link, struct client, link);
        if (client->h2)
            client_drain_h2(client);
        else if (!client->co)
            client_close(client, false);
        else if (client->greeting || !client->greeted)
            co_cancel(client->co); /* it has asked for nothing yet */
    }
}

void downstream_cancel(struct downstream *downstream)
{
    scope_cancel(&downstream->work);
    list_each (link, &downstream->clients) {
        struct client *client = container_of(link, struct client, link);
        if (client->h2)
            client_cancel_h2(client);
        else if (client->co)
            co_cancel(client->co);
    }
}

void client_options_init(struct client_options *options)
{
    *options = (struct client_options){
        .keepalive_timeout = weir_span_s(60),
        .header_timeout = weir_span_s(60),
        .body_timeout = weir_span_s(60),
        .write_timeout = weir_span_s(60),
        .keepalive_request_limit = 0,
        .upstream_at_limit = AT_LIMIT_CLOSE,
        .max_request_body = 0,
    };
}
