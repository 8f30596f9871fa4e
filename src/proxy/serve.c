/* SPDX-License-Identifier: MIT */
/*
 * One request from top to bottom: read this file first.
 *
 * serve() finds the route and tries servers until one has answered or the ladder of retry.c says
 * no. attempt() is one try: get a session, send the head, let a child send the body, wait for the
 * response head. respond() gives the response to the client. Whatever happens, the session is
 * released once, and released means: kept if nothing speaks against it, else closed with a reason.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "co/wait.h"
#include "downstream/fail.h"
#include "http/hop.h"
#include "proxy/client_cert.h"
#include "proxy/relay.h"
#include "proxy/route.h"
#include "proxy/servers.h"
#include "proxy/service.h"
#include "upstream/connector.h"
#include "upstream/retry.h"

/* A server that sends interim responses without end is not waited for. */
enum { INTERIM_MAX = 64 };

struct serving {
    struct service *service;
    struct exchange *exchange;
    struct upstream_part *upstream;
    struct peer *peer; /* referred to; the one that was picked, or a sibling that answered */
    struct session *session;
    struct http_response *response;
    struct http_framing framing; /* of the response */
    struct arena kept; /* the replay buffer's own: the exchange needs what it has for its answer */
    struct replay replay;
    struct upload upload;
    struct session_story story;
    struct balance_tried tried;
    uint64_t hash; /* for balance_pick() */
    unsigned attempts, connect_retries, unprocessed;
    enum weir_err retried; /* why it was tried again the last time */
    enum keep not_kept;
    bool connected;
    bool upgrades; /* the request asks for another protocol */
};

static bool has_body(const struct exchange *exchange)
{
    const struct http_framing *framing = &exchange->framing;
    return framing->body == BODY_CHUNKED || (framing->body == BODY_LENGTH && framing->length > 0);
}

/*
 * Starts sending the request. A body is left to a child that runs beside us, because a server may
 * answer before it has read everything.
 */
WEIR_SUSPENDS static enum weir_err send_request(struct serving *serving)
{
    struct exchange *exchange = serving->exchange;
    TRY(session_send_head(serving->session, exchange->request, &exchange->framing));
    upload_init(&serving->upload, exchange, serving->session, &serving->replay);
    if (has_body(exchange))
        return upload_start(&serving->upload);
    return session_flush(serving->session);
}

WEIR_SUSPENDS static enum weir_err pass_interim(struct serving *serving)
{
    static const struct http_framing none = {.body = BODY_NONE};
    struct exchange *exchange = serving->exchange;
    TRY(hop_response(serving->response, false, &exchange->arena));
    TRY(exchange_send_head(exchange, serving->response, &none));
    return exchange_flush(exchange);
}

/* Waits for the final response head; interim ones are passed on as they come. */
WEIR_SUSPENDS static enum weir_err receive_head(struct serving *serving)
{
    for (unsigned i = 0; i < INTERIM_MAX; i++) {
        TRY(session_recv_head(serving->session, serving->response, &serving->framing));
        if (!http_status_is_interim(serving->response->status))
            return WEIR_OK;
        TRY(pass_interim(serving));
    }
    return WEIR_E_RESPONSE_MALFORMED;
}

static void set_peer(struct serving *serving, struct peer *peer)
{
    if (peer)
        peer_ref(peer);
    if (serving->peer)
        peer_unref(serving->peer);
    serving->peer = peer;
}

static struct weir_time connect_deadline(const struct serving *serving)
{
    return loop_deadline(serving->service->loop,
                         serving->upstream->options->limits.total_connection_timeout);
}

/* Where servers are told of the client, its connections are its own. */
static enum weir_err make_clients_own(struct serving *serving)
{
    const struct exchange *exchange = serving->exchange;
    if (serving->peer->options.preface == PREFACE_NONE || serving->peer->base)
        return WEIR_OK;
    struct peer *own =
        peer_new_for(serving->peer, &exchange->client, exchange->local, exchange->client_number);
    if (!own)
        return WEIR_E_NO_MEMORY;
    set_peer(serving, own);
    peer_unref(own);
    return WEIR_OK;
}

/* One try on one server: WEIR_OK when a final response head is there. */
WEIR_SUSPENDS static enum weir_err attempt(struct serving *serving, enum connector_want want)
{
    serving->attempts++;
    serving->connected = false;
    TRY(make_clients_own(serving));
    if (serving->upgrades) /* HTTP/2 has no such thing */
        want |= CONNECTOR_HTTP1;
    TRY(connector_get(&serving->service->pool, serving->peer, want, connect_deadline(serving),
                      &serving->session));
    serving->connected = true;
    set_peer(serving, serving->session->conn->peer);
    serving->story = serving->session->story;
    enum weir_err err = send_request(serving);
    /* A server that stops reading may have answered before: its answer is looked for even so. */
    if (!err || weir_err_retry(err) == WEIR_RETRY_IF_REUSED)
        err = receive_head(serving);
    return err ? upload_end(&serving->upload, err) : WEIR_OK;
}

static enum weir_err pick_server(struct serving *serving)
{
    struct balance_server *picked =
        balance_pick(&serving->upstream->balance, loop_now(serving->service->loop), &serving->tried,
                     serving->hash);
    if (!picked)
        return WEIR_E_UNAVAILABLE;
    set_peer(serving, picked->peer);
    return WEIR_OK;
}

/* What a consistent hash goes by; nothing where there is none. */
static uint64_t request_hash(const struct serving *serving)
{
    const struct upstream_options *options = serving->upstream->options;
    const struct http_request *request = serving->exchange->request;
    char client[ADDR_TEXT_SIZE];
    if (options->balance != BALANCE_CONSISTENT_HASH)
        return 0;
    switch (options->hash_on) {
    case HASH_ON_HOST:
        return hash_ring_hash(request->authority);
    case HASH_ON_CLIENT:
        return hash_ring_hash(slice_str(addr_print_ip(&serving->exchange->client, client)));
    default:
        return hash_ring_hash(request->path);
    }
}

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/*
 * Another server is tried only where there is another one. Where connecting failed, all addresses
 * of the server were tried; where its queue is full another address of it will do.
 */
static unsigned others(const struct serving *serving, enum weir_err err)
{
    const struct balance *balance = &serving->upstream->balance;
    /* One client's own peers have no siblings. */
    bool alone = serving->peer && serving->peer->options.preface != PREFACE_NONE;
    unsigned count = err == WEIR_E_QUEUE_FULL || alone ? balance->count : balance->server_count;
    return count > 0 ? count - 1 : 0;
}

static struct retry_facts retry_facts(const struct serving *serving, enum weir_err err)
{
    const struct exchange *exchange = serving->exchange;
    const struct session *session = serving->session;
    const struct retry_options *options = &serving->upstream->options->retry;
    return (struct retry_facts){
        .err = err,
        .connected = serving->connected,
        .head_sent = exchange->head_sent,
        .any_received = session && session->any_received,
        .any_sent = session && session->any_sent,
        .reused = session && session->story.source != SOURCE_NEW,
        .body_whole = serving->replay.whole,
        .has_idempotency_key = fields_have(&exchange->request->fields, FIELD_IDEMPOTENCY_KEY),
        .non_idempotent = options->non_idempotent,
        .method = exchange->request->method,
        .attempts = serving->connect_retries,
        .only_http2 = serving->peer && serving->peer->options.protocol == PEER_HTTP2,
        .unprocessed = serving->unprocessed,
        .attempts_max = min_of(options->attempts, others(serving, err)),
        .budget_spent = !budget_has(&serving->upstream->budget),
    };
}

/* A body can be sent again only as far as it is kept. */
static enum connector_want want_first(const struct serving *serving)
{
    struct retry_facts facts = retry_facts(serving, WEIR_OK);
    bool repeatable = retry_may_repeat(&facts) && !has_body(serving->exchange);
    return repeatable ? CONNECTOR_ANY : CONNECTOR_SURE;
}

static void count_retry(struct serving *serving, enum weir_err err, enum retry_verdict verdict)
{
    /* An error that nobody would try again is no refusal. */
    if (verdict == RETRY_NOT_FINAL || verdict == RETRY_NOT_HEAD_SENT)
        return;
    enum retry_result result = retry_is_allowed(verdict) ? RETRY_REPLAYED : RETRY_REFUSED;
    unsigned number = serving->peer->options.upstream_number;
    stat_add(&serving->service->upstream_stats[number].retries[err][result], 1);
}

/* A server that is drained was never asked: that costs neither an attempt nor the budget. */
static void count_try(struct serving *serving, enum weir_err err)
{
    if (err == WEIR_E_PEER_DRAINED)
        return;
    must(budget_spend(&serving->upstream->budget));
    serving->connect_retries++;
}

/*
 * After a try that failed: gets everything ready for the next one and says what it wants, or
 * answers false.
 */
static bool prepare_retry(struct serving *serving, enum weir_err err, enum connector_want *ret_want)
{
    struct service *service = serving->service;
    struct retry_facts facts = retry_facts(serving, err);
    enum retry_verdict verdict = retry_decide(&facts);
    count_retry(serving, err, verdict);
    if (!retry_is_allowed(verdict))
        return false;
    serving->retried = err;
    if (verdict == RETRY_NEXT) {
        count_try(serving, err);
        *ret_want = want_first(serving);
        return pick_server(serving) == WEIR_OK;
    }
    if (verdict == RETRY_AGAIN) {
        serving->unprocessed++;
        session_release(&serving->session, false);
        *ret_want = want_first(serving);
        return true;
    }
    if (serving->session->story.source == SOURCE_NEW)
        serving->connect_retries++;
    else
        pool_close_idle_since(&service->pool, serving->peer, serving->session->released_before);
    session_release(&serving->session, false);
    *ret_want = CONNECTOR_FRESH;
    return true;
}

/* Tries until a response head is there. */
WEIR_SUSPENDS static enum weir_err get_response(struct serving *serving)
{
    enum connector_want want = want_first(serving);
    for (;;) {
        enum weir_err err = attempt(serving, want);
        if (!err || !prepare_retry(serving, err, &want))
            return err;
    }
}

/* After a client's last request its upstream connection is given up with it, unless told otherwise.
 */
static bool may_keep(const struct serving *serving)
{
    return !serving->exchange->at_limit ||
           serving->service->options->client.upstream_at_limit != AT_LIMIT_CLOSE;
}

/* Gives the response to the client. The upload may still run; it ends here at the latest. */
WEIR_SUSPENDS static enum weir_err respond(struct serving *serving)
{
    struct exchange *exchange = serving->exchange;
    bool tunnel = serving->framing.body == BODY_TUNNEL;
    replay_drop(&serving->replay);
    TRY(hop_response(serving->response, tunnel, &exchange->arena));
    enum weir_err err = exchange_send_head(exchange, serving->response, &serving->framing);
    if (err)
        return err == WEIR_E_LIMIT ? WEIR_E_RESPONSE_HEAD_LENGTH : err;
    if (tunnel)
        return relay_tunnel(exchange, serving->session,
                            serving->upstream->options->limits.read_timeout);
    return relay_download(exchange, serving->session, may_keep(serving));
}

static void begin_replay(struct serving *serving)
{
    uint64_t limit = serving->upstream->options->retry.body_buffer;
    arena_init(&serving->kept, &serving->service->loop->arenas, replay_arena_bytes(limit));
    replay_init(&serving->replay, &serving->kept, limit);
}

WEIR_SUSPENDS static enum weir_err choose_upstream(struct serving *serving)
{
    struct service *service = serving->service;
    struct exchange *exchange = serving->exchange;
    if (exchange->request->method == METHOD_CONNECT) {
        exchange->close = true; /* what follows may be meant for a tunnel */
        return WEIR_E_REQUEST_METHOD;
    }
    const struct route_options *route = route_match(service->options, exchange->request);
    if (!route)
        return WEIR_E_NO_ROUTE;
    serving->upstream = &service->upstreams[route->upstream];
    serving->hash = request_hash(serving);
    budget_save(&serving->upstream->budget);
    begin_replay(serving);
    TRY(servers_await(serving->upstream, connect_deadline(serving)));
    return pick_server(serving);
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

/* Makes the client's request the one that goes to the server. */
static enum weir_err edit_request(struct serving *serving)
{
    struct exchange *exchange = serving->exchange;
    char *client = arena_alloc(&exchange->arena, ADDR_TEXT_SIZE);
    serving->response = arena_alloc(&exchange->arena, sizeof *serving->response);
    if (!client || !serving->response)
        return WEIR_E_NO_MEMORY;
    /* Of a body and a tunnel only one can be read from the client. */
    serving->upgrades = asks_for_websocket(exchange->request) && !has_body(exchange) &&
                        peer_can_upgrade(serving->peer);
    if (exchange->request->extended && !serving->upgrades)
        return WEIR_E_REQUEST_METHOD;
    TRY(client_cert_tell(exchange, serving->service->asks_clients));
    struct hop_from from = {
        .client_address = slice_str(addr_print_ip(&exchange->client, client)),
        .scheme = exchange->tls.version ? SLICE("https") : SLICE("http"),
    };
    return hop_request(exchange->request, &exchange->framing, serving->upgrades, &from,
                       &exchange->arena);
}

WEIR_SUSPENDS static enum weir_err serve_request(struct serving *serving)
{
    if (serving->exchange->error)
        return serving->exchange->error;
    TRY(choose_upstream(serving));
    TRY(edit_request(serving));
    TRY(get_response(serving));
    return upload_end(&serving->upload, respond(serving));
}

static void finish(struct serving *serving)
{
    struct service *service = serving->service;
    struct exchange *exchange = serving->exchange;
    struct weir_span duration = weir_time_between(exchange->began, loop_now(service->loop));
    stat_add(&service->stats.requests[exchange->status % STATUS_MAX], 1);
    histogram_add(&service->stats.duration, duration);
    if (!service->log)
        return;
    struct access_record record = {
        .service = service,
        .exchange = exchange,
        .duration = duration,
        .upstream = serving->upstream ? serving->upstream->options->name : NULL,
        .peer = serving->peer ? serving->peer->address_text : NULL,
        .connected = serving->connected,
        .story = serving->story,
        .attempts = serving->attempts,
        .retried = serving->retried,
        .not_kept = serving->not_kept,
    };
    service->log(service->log_owner, &record);
}

void serve(void *owner, struct exchange *exchange)
{
    struct serving serving = {.service = owner, .exchange = exchange};
    arena_init(&serving.kept, &serving.service->loop->arenas, 0);
    upload_init(&serving.upload, exchange, NULL, NULL);
    enum weir_err err = serve_request(&serving);
    if (err == WEIR_E_CANCELED)
        err = WEIR_E_CLIENT_GONE;
    if (err)
        exchange_fail(exchange, err);
    must(scope_is_empty(&serving.upload.scope));
    serving.not_kept = session_release(&serving.session, may_keep(&serving));
    arena_fini(&serving.kept);
    finish(&serving);
    set_peer(&serving, NULL);
}
