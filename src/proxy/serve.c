/* SPDX-License-Identifier: MIT */
/*
 * One request from top to bottom: read this file first.
 *
 * serve() finds the route and has servers tried until one has answered (attempt.c), and gives the
 * response to the client (respond.c). In between a program's phases are called (phase.c), where
 * there is a program. Whatever happens, the session is released once, and released means: kept if
 * nothing speaks against it, else closed with a reason.
 */
#include "base/check.h"
#include "base/slice.h"
#include "co/wait.h"
#include "downstream/fail.h"
#include "http/hop.h"
#include "proxy/auth.h"
#include "proxy/client_cert.h"
#include "proxy/mirror.h"
#include "proxy/phase.h"
#include "proxy/route.h"
#include "proxy/serving.h"

static enum weir_err find_route(struct serving *serving)
{
    struct exchange *exchange = serving->exchange;
    const struct service_options *options = serving->service->options;
    if (exchange->request->method == METHOD_CONNECT) {
        exchange->close = true; /* what follows may be meant for a tunnel */
        return WEIR_E_REQUEST_METHOD;
    }
    if (options->route_count == 0 || serving->chosen_upstream >= 0)
        return WEIR_OK;
    serving->route = route_match(options, exchange->request);
    return serving->route ? WEIR_OK : WEIR_E_NO_ROUTE;
}

/* In every line of it: all of them would be passed on. */
static bool upgrade_is_websocket(const struct fields *fields)
{
    fields_each (field, fields)
        if (field->id == FIELD_UPGRADE && !slice_equal_nocase(field->value, SLICE("websocket")))
            return false;
    return fields_have(fields, FIELD_UPGRADE);
}

/*
 * The one protocol that is passed on. Others (h2c above all) would let a client speak with the
 * server past everything that is decided here. It begins with a GET (RFC 6455 section 4.1).
 */
static bool asks_for_websocket(const struct http_request *request)
{
    struct http_persistence said;
    framing_persistence(&request->fields, &said);
    return said.upgrade && request->method == METHOD_GET && request->minor > 0 &&
           upgrade_is_websocket(&request->fields);
}

/* As it was before a proxy's hands: for subrequests that are made of it later. */
static enum weir_err keep_original(struct serving *serving)
{
    struct exchange *exchange = serving->exchange;
    if (!serving->ops && !mirror_options_of(serving))
        return WEIR_OK;
    serving->original = message_copy_request(exchange->request, &exchange->arena);
    return serving->original ? WEIR_OK : WEIR_E_NO_MEMORY;
}

/* Makes the client's request the one that goes to the server. */
WEIR_SUSPENDS static enum weir_err edit_request(struct serving *serving)
{
    struct exchange *exchange = serving->exchange;
    char *client = arena_alloc(&exchange->arena, ADDR_TEXT_SIZE);
    serving->response = arena_alloc(&exchange->arena, sizeof *serving->response);
    if (!client || !serving->response)
        return WEIR_E_NO_MEMORY;
    /* Of a body and a tunnel only one can be read from the client. */
    serving->upgrades = asks_for_websocket(exchange->request) && !exchange_has_body(exchange) &&
                        peer_can_upgrade(serving->peer);
    if (exchange->request->extended && !serving->upgrades)
        return WEIR_E_REQUEST_METHOD;
    TRY(keep_original(serving));
    TRY(client_cert_tell(exchange, serving->service->asks_clients));
    struct hop_from from = {
        .client_address = slice_str(addr_print_ip(&exchange->client, client)),
        .scheme = exchange->tls.version ? SLICE("https") : SLICE("http"),
    };
    TRY(hop_request(exchange->request, &exchange->framing, serving->upgrades, &from,
                    &exchange->arena));
    serving->sends = exchange->framing;
    return phase_upstream_request_filter(serving);
}

WEIR_SUSPENDS static enum weir_err serve_request(struct serving *serving)
{
    bool answered;
    TRY(serving->exchange->error);
    TRY(phase_request_filter(serving, &answered));
    if (answered)
        return WEIR_OK;
    TRY(find_route(serving));
    TRY(auth_request(serving, &answered));
    if (answered)
        return WEIR_OK;
    TRY(attempt_choose(serving));
    TRY(edit_request(serving));
    TRY(attempt_until_answered(serving));
    return upload_end(&serving->upload, respond(serving));
}

WEIR_SUSPENDS static void fail(struct serving *serving, enum weir_err err)
{
    struct exchange *exchange = serving->exchange;
    if (exchange->head_sent)
        phase_broke(serving, err);
    if (!exchange->error)
        exchange->error = err;
    if (exchange->head_sent && !exchange_retract_head(exchange)) {
        exchange->close = true;
        return;
    }
    if (!phase_fail_to_proxy(serving, err))
        exchange_fail(exchange, err);
}

/* `serving` is NULL for what a handler has answered. */
static void finish(struct service *service, struct exchange *exchange,
                   const struct serving *serving)
{
    struct weir_span duration = weir_time_between(exchange->began, loop_now(service->loop));
    stat_add(&service->stats.requests[exchange->status % STATUS_MAX], 1);
    histogram_add(&service->stats.duration, duration);
    if (!service->log)
        return;
    struct access_record record = {
        .service = service,
        .exchange = exchange,
        .duration = duration,
    };
    if (serving) {
        record.upstream = serving->upstream ? serving->upstream->options->name : NULL;
        record.peer = serving->peer ? serving->peer->address_text : NULL;
        record.connected = serving->connected;
        record.story = serving->story;
        record.attempts = serving->attempts;
        record.retried = serving->retried;
        record.not_kept = serving->not_kept;
    }
    service->log(service->log_owner, &record);
}

WEIR_SUSPENDS static void serve_whole(struct service *service, struct exchange *exchange,
                                      struct subrequest_way *way)
{
    struct serving serving = {
        .service = service,
        .exchange = exchange,
        .ops = way && way->without_phases ? NULL : service->options->ops,
        .way = way,
        .chosen_upstream = way ? way->upstream : -1,
    };
    door_init(&serving.door, service, exchange, &serving, way);
    arena_init(&serving.kept, &service->loop->arenas, 0);
    upload_init(&serving.upload, exchange, NULL, NULL);
    kept_init(&serving.mirrored, 0);
    enum weir_err err = serve_request(&serving);
    if (err == WEIR_E_CANCELED)
        err = WEIR_E_CLIENT_GONE;
    if (err)
        fail(&serving, err);
    must(scope_is_empty(&serving.upload.scope));
    serving.not_kept = session_release(&serving.session, serving_may_keep(&serving));
    phase_logging(&serving, err);
    mirror_send(&serving);
    kept_fini(&serving.mirrored);
    door_fini(&serving.door);
    arena_fini(&serving.kept);
    if (!way)
        finish(service, exchange, &serving);
    serving_set_peer(&serving, NULL);
}

/* A handler answers all but what its own subrequests send to a server of their choice. */
static bool is_handlers(const struct service *service, const struct subrequest_way *way)
{
    return service->options->handler && !(way && (way->peer || way->upstream >= 0));
}

void serve(void *owner, struct exchange *exchange)
{
    struct service *service = owner;
    if (!is_handlers(service, NULL)) {
        serve_whole(service, exchange, NULL);
        return;
    }
    door_serve(service, exchange, NULL);
    finish(service, exchange, NULL);
}

void serve_subrequest(struct service *service, struct exchange *exchange,
                      struct subrequest_way *way)
{
    if (is_handlers(service, way))
        door_serve(service, exchange, way);
    else
        serve_whole(service, exchange, way);
}
