/* SPDX-License-Identifier: MIT */
/*
 * From a request to the head of its response: which server, a session with it, the request sent,
 * and again where the ladder of retry.c allows that.
 */
#include "base/check.h"
#include "base/slice.h"
#include "co/wait.h"
#include "http/hop.h"
#include "proxy/mirror.h"
#include "proxy/phase.h"
#include "proxy/route.h"
#include "proxy/servers.h"
#include "proxy/serving.h"

#include <limits.h>

/* A server that sends interim responses without end is not waited for. */
enum { INTERIM_MAX = 64 };

/*
 * Starts sending the request. A body is left to a child that runs beside us, because a server may
 * answer before it has read everything.
 */
WEIR_SUSPENDS static enum weir_err send_request(struct serving *serving)
{
    struct exchange *exchange = serving->exchange;
    TRY(door_check_unread(&serving->door));
    TRY(session_send_head(serving->session, exchange->request, &serving->sends));
    upload_init(&serving->upload, exchange, serving->session, &serving->replay);
    serving->upload.filter = phase_body_up(serving);
    serving->upload.mirrored = mirror_begin(serving);
    if (exchange_has_body(exchange))
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

void serving_set_peer(struct serving *serving, struct peer *peer)
{
    if (peer)
        peer_ref(peer);
    if (serving->peer)
        peer_unref(serving->peer);
    serving->peer = peer;
}

static struct weir_time connect_deadline(const struct serving *serving)
{
    const struct peer_limits *limits =
        serving->peer ? &serving->peer->options.limits : &serving->upstream->options->limits;
    return loop_deadline(serving->service->loop, limits->total_connection_timeout);
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
    serving_set_peer(serving, own);
    peer_unref(own);
    return WEIR_OK;
}

/* A subrequest may go on with what its parent has, which is told. */
static bool take_parents_connection(struct serving *serving)
{
    struct subrequest_way *way = serving->way;
    if (!way || !way->on_parents_connection)
        return false;
    struct serving *parent = way->parent ? way->parent->serving : NULL;
    way->on_parents_connection =
        parent && parent->session && serving_may_keep(parent) &&
        connector_go_on(&serving->service->pool, serving->peer, parent->session, &serving->session);
    return way->on_parents_connection;
}

WEIR_SUSPENDS static enum weir_err get_session(struct serving *serving, enum connector_want want)
{
    serving->connected = false;
    TRY(make_clients_own(serving));
    if (serving->upgrades) /* HTTP/2 has no such thing */
        want |= CONNECTOR_HTTP1;
    if (!take_parents_connection(serving))
        TRY(connector_get(&serving->service->pool, serving->peer, want, connect_deadline(serving),
                          &serving->session));
    serving->connected = true;
    serving_set_peer(serving, serving->session->conn->peer);
    serving->story = serving->session->story;
    return phase_connected(serving);
}

/* One try on one server: WEIR_OK when a final response head is there. */
WEIR_SUSPENDS static enum weir_err attempt(struct serving *serving, enum connector_want want)
{
    serving->attempts++;
    TRY(get_session(serving, want));
    enum weir_err err = send_request(serving);
    /* A server that stops reading may have answered before: its answer is looked for even so. */
    if (!err || weir_err_retry(err) == WEIR_RETRY_IF_REUSED)
        err = receive_head(serving);
    return err ? upload_end(&serving->upload, err) : WEIR_OK;
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

static enum weir_err pick_server(struct serving *serving)
{
    struct balance_server *picked =
        balance_pick(&serving->upstream->balance, loop_now(serving->service->loop), &serving->tried,
                     request_hash(serving));
    if (!picked)
        return WEIR_E_UNAVAILABLE;
    serving_set_peer(serving, picked->peer);
    return WEIR_OK;
}

/* By the word of the program, of who makes a subrequest, or of the routes; else the first. */
static enum weir_err find_upstream(struct serving *serving)
{
    struct service *service = serving->service;
    int number = serving->chosen_upstream;
    if (number < 0 && serving->route)
        number = (int)serving->route->upstream;
    if (number < 0 && service->options->upstream_count == 0)
        return WEIR_E_NO_ROUTE;
    serving->upstream = &service->upstreams[number < 0 ? 0 : number];
    return WEIR_OK;
}

/* A peer of the program's own. */
WEIR_SUSPENDS static enum weir_err use_peer(struct serving *serving, struct weir_peer *chosen)
{
    struct service *service = serving->service;
    struct peer *peer;
    serving->upstream = &service->upstreams[service->options->upstream_count];
    TRY(peers_get(&service->peers, chosen, connect_deadline(serving), &peer));
    serving_set_peer(serving, peer);
    return WEIR_OK;
}

/* Which server gets the next try. */
WEIR_SUSPENDS static enum weir_err choose_server(struct serving *serving)
{
    struct weir_peer *chosen = serving->way ? serving->way->peer : NULL;
    if (!chosen)
        TRY(phase_upstream_peer(serving, &chosen));
    if (chosen)
        return use_peer(serving, chosen);
    TRY(find_upstream(serving));
    TRY(servers_await(serving->upstream, connect_deadline(serving)));
    return pick_server(serving);
}

static void begin_replay(struct serving *serving)
{
    uint64_t limit = serving->upstream->options->retry.body_buffer;
    arena_init(&serving->kept, &serving->service->loop->arenas, replay_arena_bytes(limit));
    replay_init(&serving->replay, &serving->kept, limit);
}

enum weir_err attempt_choose(struct serving *serving)
{
    enum weir_err err = choose_server(serving);
    if (!serving->upstream)
        return err;
    budget_save(&serving->upstream->budget);
    begin_replay(serving);
    return err;
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
    const struct service *service = serving->service;
    if (serving->upstream == &service->upstreams[service->options->upstream_count])
        return serving->way && serving->way->peer ? 0 : UINT_MAX; /* the program's to say */
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
    bool repeatable = retry_may_repeat(&facts) && !exchange_has_body(serving->exchange);
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
    (void)budget_spend(&serving->upstream->budget); /* without effect where a program insists */
    serving->connect_retries++;
}

/*
 * After a try that failed: gets everything ready for the next one and says what it wants, or
 * answers false.
 */
WEIR_SUSPENDS static bool prepare_retry(struct serving *serving, enum weir_err err,
                                        enum connector_want *ret_want)
{
    struct service *service = serving->service;
    struct retry_facts facts = retry_facts(serving, err);
    enum retry_verdict verdict = retry_decide(&facts);
    phase_failed(serving, err, &facts, &verdict);
    count_retry(serving, err, verdict);
    if (!retry_is_allowed(verdict))
        return false;
    serving->retried = err;
    if (verdict == RETRY_NEXT) {
        count_try(serving, err);
        *ret_want = want_first(serving);
        return choose_server(serving) == WEIR_OK;
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

enum weir_err attempt_until_answered(struct serving *serving)
{
    enum connector_want want = want_first(serving);
    for (;;) {
        enum weir_err err = attempt(serving, want);
        if (!err || !prepare_retry(serving, err, &want))
            return err;
    }
}
