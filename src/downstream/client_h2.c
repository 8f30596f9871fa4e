/* SPDX-License-Identifier: MIT */
#include "downstream/client_h2.h"

#include "base/check.h"
#include "base/log.h"
#include "co/wait.h"

/* From saying that the end comes to saying that it has come, if no PING is answered before. */
#define NOTICE weir_span_s(1)

static struct loop *loop_of(const struct client *client)
{
    return client->downstream->loop;
}

static struct h2_session *session_of(const struct client *client)
{
    return &client->h2->wire->session;
}

/* --- Time ------------------------------------------------------------------------------------ */

static struct weir_time idle_end(const struct client *client)
{
    const struct client_options *options = client->downstream->client;
    if (client->h2->request_count > 0 || client->h2->coming || client->h2->parting)
        return WEIR_NEVER;
    return weir_time_after(client->h2->idle_since, client->requests > 0 ? options->keepalive_timeout
                                                                        : options->header_timeout);
}

static struct weir_time head_end(const struct client *client)
{
    const struct h2_session *session = session_of(client);
    if (!session->frames.in_head || client->h2->parting)
        return WEIR_NEVER;
    return weir_time_after(session->head_began, client->downstream->client->header_timeout);
}

static struct weir_time notice_end(const struct client *client)
{
    const struct h2_client *h2 = client->h2;
    return h2->ending && !h2->refuses ? weir_time_after(h2->announced, NOTICE) : WEIR_NEVER;
}

static void set_timer(struct client *client)
{
    struct weir_time end =
        weir_time_min(idle_end(client), weir_time_min(head_end(client), notice_end(client)));
    timer_arm(&loop_of(client)->sched.timers, &client->timer, end);
}

static void drop_coming(struct h2_client *h2)
{
    struct h2_request *request = h2->coming;
    h2->coming = NULL;
    if (!request)
        return;
    if (!request->stream.closed && request->stream.session) /* else it was counted at its end */
        h2_session_count(request->stream.session, H2_FLOOD_RAPID_RESET);
    h2_stream_end(&request->stream, NGHTTP2_REFUSED_STREAM);
    request_h2_free(request);
}

/* --- The end --------------------------------------------------------------------------------- */

/* Nobody is served any more: the rest is parting, unless there is nobody to part from. */
static void end(struct client *client)
{
    struct h2_client *h2 = client->h2;
    bool broken = session_of(client)->failed;
    must(h2->request_count == 0 && !h2->coming);
    loop_timer_disarm(loop_of(client), &client->timer);
    if (broken)
        h2_wire_close(&h2->wire, WEIR_E_EOF, false);
    else
        client->stream = h2_wire_release(&h2->wire);
    client->h2 = NULL;
    slab_free(&client->downstream->h2_slab, h2);
    client_part(client);
}

static void refuse_more(struct client *client)
{
    client->h2->refuses = true;
    h2_session_refuse_more(session_of(client));
}

/* The connection has no use any more, and is told so. */
static void say_good_bye(struct client *client)
{
    client->h2->parting = true;
    h2_session_terminate(session_of(client), NGHTTP2_NO_ERROR);
}

/* --- Requests -------------------------------------------------------------------------------- */

static void note_flood(struct client *client)
{
    struct h2_session *session = session_of(client);
    char text[ADDR_TEXT_SIZE];
    if (session->flood == H2_FLOOD_COUNT || client->h2->flood_noted)
        return;
    client->h2->flood_noted = true;
    stat_add(&client->downstream->floods[session->flood], 1);
    LOG_LIMITED(LOG_NOTICE, "client %s: HTTP/2: ended for a flood: %s",
                addr_print_ip(&client->from, text), h2_flood_name(session->flood));
}

/* Something has changed at the session: where does it stand? */
static void look(struct client *client)
{
    struct h2_client *h2 = client->h2;
    struct h2_session *session = session_of(client);
    if (!session->frames.in_head || session->end || h2_wire_is_over(h2->wire))
        drop_coming(h2);
    note_flood(client);
    if (h2->ending && !h2->refuses && session->pings_answered > 0)
        refuse_more(client);
    bool is_over = h2_wire_is_over(h2->wire);
    if (is_over && h2->request_count == 0) {
        end(client);
        return;
    }
    if (is_over && !session->failed)
        h2_session_ended(session, WEIR_E_EOF); /* what still runs can tell nobody */
    set_timer(client);
}

static void on_changed(void *owner)
{
    look(owner);
}

static void finish(struct h2_request *request)
{
    struct client *client = request->client;
    struct h2_client *h2 = client->h2;
    list_remove(&request->link);
    request_h2_free(request);
    h2->idle_since = loop_now(loop_of(client));
    if (--h2->request_count == 0 && !session_of(client)->failed) {
        if (client->downstream->client->keepalive_timeout.ns == 0)
            say_good_bye(client);
        h2_wire_rest(h2->wire);
    }
    look(client);
}

WEIR_SUSPENDS static void run(void *argument)
{
    struct h2_request *request = argument;
    request_h2_serve(request);
    finish(request);
}

/* After keepalive_request_limit requests the client must come with another connection. */
static void apply_limits(struct h2_request *request)
{
    struct client *client = request->client;
    uint64_t limit = client->downstream->client->keepalive_request_limit;
    client->requests++;
    stat_add(&client->downstream->requests[HTTP_2], 1);
    request->exchange.at_limit = limit > 0 && client->requests >= limit;
    if (request->exchange.at_limit && !client->h2->refuses)
        refuse_more(client);
}

/* Those that are being canceled count too: what they hold is not free yet. */
static struct h2_stream *on_begin(void *owner)
{
    struct client *client = owner;
    struct h2_client *h2 = client->h2;
    drop_coming(h2);
    if (h2->refuses || h2->request_count >= H2_SERVER_STREAMS)
        return NULL;
    h2->coming = request_h2_new(client);
    return h2->coming ? &h2->coming->stream : NULL;
}

static void on_request(void *owner, struct h2_stream *stream, enum weir_err err)
{
    struct client *client = owner;
    struct h2_client *h2 = client->h2;
    struct h2_request *request = h2->coming;
    must(request && &request->stream == stream);
    request->err = err;
    /* If it cannot be, look() drops the request. */
    if (co_spawn(&loop_of(client)->sched, NULL, "h2 request", run, request, &request->co) !=
        WEIR_OK)
        return;
    stream->victim = request->co;
    h2->coming = NULL;
    list_push_back(&h2->requests, &request->link);
    h2->request_count++;
    apply_limits(request);
}

/* --- The connection -------------------------------------------------------------------------- */

static const struct h2_events events = {.begin = on_begin, .request = on_request};

void client_open_h2(struct client *client, struct iobuf **buf)
{
    struct loop *loop = loop_of(client);
    const struct h2_wire_options options = {
        .session =
            {
                .side = H2_SERVER,
                .loop = loop,
                .events = &events,
                .owner = client,
                .max_streams = H2_SERVER_STREAMS,
                .stream_window = H2_CONNECTION_WINDOW,
                .connection_window = H2_CONNECTION_WINDOW,
            },
        .scope = &client->downstream->work,
        .write_timeout = client->downstream->client->write_timeout,
        .changed = on_changed,
    };
    client->h2 = slab_alloc(&client->downstream->h2_slab);
    if (!client->h2) {
        iobuf_give_all(&loop->bufs, buf);
        client_part(client);
        return;
    }
    list_init(&client->h2->requests);
    client->h2->idle_since = loop_now(loop);
    client->h2->facts = tls_facts_of(client->stream);
    if (h2_wire_open(&client->stream, buf, &options, &client->h2->wire) != WEIR_OK) {
        slab_free(&client->downstream->h2_slab, client->h2);
        client->h2 = NULL;
        client_part(client);
        return;
    }
    if (client->downstream->draining)
        client_drain_h2(client);
    look(client);
}

void client_drain_h2(struct client *client)
{
    struct h2_client *h2 = client->h2;
    if (h2->ending || h2->refuses)
        return;
    h2->ending = true;
    h2->announced = loop_now(loop_of(client));
    h2_session_announce_end(session_of(client));
    set_timer(client);
}

void client_cancel_h2(struct client *client)
{
    struct h2_client *h2 = client->h2;
    list_each (link, &h2->requests)
        co_cancel(container_of(link, struct h2_request, link)->co);
    h2_session_ended(session_of(client), WEIR_E_EOF);
    look(client);
}

void client_tick_h2(struct client *client)
{
    struct weir_time now = loop_now(loop_of(client));
    if (!weir_time_before(now, head_end(client)) || !weir_time_before(now, idle_end(client)))
        say_good_bye(client);
    else if (!weir_time_before(now, notice_end(client)))
        refuse_more(client);
    look(client);
}
