/* SPDX-License-Identifier: MIT */
#include "proxy/checks.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "co/wait.h"
#include "proxy/health.h"
#include "proxy/servers.h"
#include "proxy/service.h"
#include "upstream/connector.h"

#include <stdlib.h>

enum { ARENA_BYTES = 4 * ARENA_BLOCK_BYTES, INTERIM_MAX = 64 };

struct checks {
    struct service *service;
    void (*changed)(struct service *service, unsigned upstream);
    struct commons *commons;
    struct upstream_stats *stats; /* of the pool, and told to nobody */
    struct pool pool;
    struct scope scope; /* the checks that are under way */
    struct list list;   /* of struct check */
};

/* One address of a server. */
struct check {
    struct list link; /* in checks.list; in none when it is not wanted any more */
    struct checks *checks;
    unsigned upstream, server;
    struct peer *peer;
    struct health health;
    struct timer again, patience;
    struct co *co;   /* while it is under way */
    bool unwanted;   /* frees itself when it is over */
    bool wanted_now; /* for checks_follow() */
};

static const struct upstream_options *options_of(const struct check *check)
{
    return &check->checks->service->options->upstreams[check->upstream];
}

/* --- One check ------------------------------------------------------------------------------- */

/* What is asked for, and the answer. */
struct question {
    struct http_request request;
    struct http_response response;
};

/* A user agent sends the host as it was written in the URI; what is no IP address has none. */
static struct weir_slice host_of(const struct check *check)
{
    const struct peer_options *peer = &check->peer->options;
    if (addr_is_local(&peer->addr) || custom_is_any(&peer->transport))
        return SLICE("localhost");
    return slice_str(options_of(check)->servers[check->server].text);
}

static bool fill(struct question *question, const struct check *check)
{
    struct http_request *request = &question->request;
    *request = (struct http_request){
        .method = METHOD_GET,
        .form = TARGET_ORIGIN,
        .minor = 1,
        .method_text = SLICE("GET"),
        .authority = host_of(check),
        .path = slice_str(options_of(check)->health.path),
    };
    fields_init(&request->fields);
    return fields_add_known(&request->fields, FIELD_HOST, host_of(check)) &&
           fields_add_known(&request->fields, FIELD_USER_AGENT, SLICE("weir-health")) &&
           fields_add_known(&request->fields, FIELD_CONNECTION, SLICE("close"));
}

WEIR_SUSPENDS static enum weir_err receive_head(struct session *session,
                                                struct http_response *response)
{
    struct http_framing framing;
    for (unsigned i = 0; i < INTERIM_MAX; i++) {
        TRY(session_recv_head(session, response, &framing));
        if (!http_status_is_interim(response->status))
            return WEIR_OK;
    }
    return WEIR_E_RESPONSE_MALFORMED;
}

/* To the end of the response, which is part of being well. */
WEIR_SUSPENDS static enum weir_err exchange(struct session *session, struct question *question)
{
    static const struct http_framing none = {.body = BODY_NONE};
    struct http_piece piece = {.last = false};
    TRY(session_send_head(session, &question->request, &none));
    TRY(session_flush(session));
    TRY(receive_head(session, &question->response));
    while (!piece.last)
        TRY(session_recv_piece(session, WEIR_NEVER, &piece));
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err ask(struct check *check, struct arena *arena,
                                       unsigned *ret_status)
{
    struct session *session = NULL;
    struct question *question = arena_alloc(arena, sizeof *question);
    if (!question || !fill(question, check))
        return WEIR_E_NO_MEMORY;
    TRY(connector_get(&check->checks->pool, check->peer, CONNECTOR_FRESH, WEIR_NEVER, &session));
    enum weir_err err = exchange(session, question);
    if (!err)
        *ret_status = question->response.status;
    session_release(&session, false);
    return err;
}

static void tell(const struct check *check, enum weir_err err, unsigned status)
{
    const char *name = options_of(check)->name, *address = check->peer->address_text;
    if (!check->health.unwell)
        log_line(LOG_NOTICE, "upstream %s: %s is well again", name, address);
    else if (err)
        log_line(LOG_WARN, "upstream %s: %s fails its health checks: %s", name, address,
                 weir_err_text(err));
    else
        log_line(LOG_WARN, "upstream %s: %s fails its health checks: status %u", name, address,
                 status);
}

/* What this machine or process has run short of says nothing of the server. */
static bool is_ours(enum weir_err err)
{
    switch (err) {
    case WEIR_E_NO_PORTS:
    case WEIR_E_NO_DESCRIPTORS:
    case WEIR_E_NO_MEMORY:
    case WEIR_E_LIMIT:
    case WEIR_E_PERMISSION:
    case WEIR_E_ADDRESS_IN_USE:
        return true;
    default:
        return false;
    }
}

/* The check may be gone after this: others are told, and what they do may end it. */
static void note(struct check *check, enum weir_err err, unsigned status)
{
    struct service *service = check->checks->service;
    bool passed = !err && health_passes(status);
    stat_add(&service->upstream_stats[check->upstream]
                  .health_checks[passed ? CHECK_PASSED : CHECK_FAILED],
             1);
    if (!health_note(&check->health, &options_of(check)->health, passed))
        return;
    tell(check, err, status);
    check->checks->changed(service, check->upstream);
}

/* --- Checks come and go ---------------------------------------------------------------------- */

static void free_check(struct check *check)
{
    pool_drain_peer(&check->checks->pool, check->peer);
    free(check);
}

/* +- 10 %, so that servers are not all asked at the same time. */
static struct weir_span next_interval(struct check *check)
{
    int64_t interval = options_of(check)->health.interval.ns, tenth = interval / 10;
    uint64_t chance = rand_below(&check->checks->pool.rand, (uint64_t)tenth * 2 + 1);
    return weir_span_ns(interval - tenth + (int64_t)chance);
}

/* A timeout's cancellation is how a check ends that takes too long. */
WEIR_SUSPENDS static void run(void *argument)
{
    struct check *check = argument;
    struct loop *loop = check->checks->service->loop;
    struct arena arena;
    unsigned status = 0;
    arena_init(&arena, &loop->arenas, ARENA_BYTES);
    enum weir_err err = ask(check, &arena, &status);
    arena_fini(&arena);
    check->co = NULL;
    loop_timer_disarm(loop, &check->patience);
    if (check->unwanted) {
        free_check(check);
        return;
    }
    loop_timer_arm(loop, &check->again, next_interval(check));
    if (!is_ours(err))
        note(check, err == WEIR_E_CANCELED ? WEIR_E_TIMEOUT : err, status);
}

static void run_out_of_patience(struct timer *timer)
{
    co_cancel(container_of(timer, struct check, patience)->co);
}

static void start(struct timer *timer)
{
    struct check *check = container_of(timer, struct check, again);
    struct loop *loop = check->checks->service->loop;
    if (co_spawn(&loop->sched, &check->checks->scope, "check", run, check, &check->co) == WEIR_OK)
        loop_timer_arm(loop, &check->patience, options_of(check)->health.timeout);
    else
        loop_timer_arm(loop, &check->again, next_interval(check));
}

static void end(struct check *check)
{
    list_remove(&check->link);
    loop_timer_disarm(check->checks->service->loop, &check->again);
    check->unwanted = true;
    if (check->co)
        co_cancel(check->co);
    else
        free_check(check);
}

static struct check *find(const struct checks *checks, unsigned upstream,
                          const struct roster_entry *entry)
{
    list_each (link, &checks->list) {
        struct check *check = container_of(link, struct check, link);
        if (check->upstream == upstream && check->server == entry->server &&
            addr_equal(&check->peer->options.addr, &entry->addr))
            return check;
    }
    return NULL;
}

/* The connections of checks are few, and do not count among those of requests. */
static void loosen(struct peer_options *options, struct weir_span timeout)
{
    options->counts_active = false;
    options->limits.max_connections = options->limits.max_dials = 0;
    options->limits.connection_timeout = timeout;
}

static enum weir_err add(struct checks *checks, unsigned upstream, unsigned turn,
                         const struct roster_entry *entry)
{
    const struct service_options *service = checks->service->options;
    struct peer_options options;
    if (!servers_peer_options(service, upstream, entry, turn, &options))
        return WEIR_OK;
    loosen(&options, service->upstreams[upstream].health.timeout);
    struct check *check = calloc(1, sizeof *check);
    if (!check)
        return WEIR_E_NO_MEMORY;
    check->checks = checks;
    check->upstream = upstream;
    check->server = entry->server;
    check->wanted_now = true;
    enum weir_err err = servers_new_peer(&checks->pool, &options, &check->peer);
    if (err) {
        free(check);
        return err;
    }
    timer_init(&check->again, start);
    timer_init(&check->patience, run_out_of_patience);
    list_push_back(&checks->list, &check->link);
    loop_timer_arm(checks->service->loop, &check->again, weir_span_ns(0));
    return WEIR_OK;
}

enum weir_err checks_follow(struct checks *checks, unsigned upstream, const struct roster *roster)
{
    enum weir_err err = WEIR_OK;
    list_each (link, &checks->list)
        container_of(link, struct check, link)->wanted_now = false;
    for (unsigned i = 0; i < roster->count; i++) {
        struct check *check = find(checks, upstream, &roster->entries[i]);
        if (check)
            check->wanted_now = true;
        else if (!err)
            err = add(checks, upstream, i, &roster->entries[i]);
    }
    list_each (link, &checks->list) {
        struct check *check = container_of(link, struct check, link);
        if (check->upstream == upstream && !check->wanted_now)
            end(check);
    }
    return err;
}

bool checks_find_unwell(const struct checks *checks, unsigned upstream,
                        const struct roster_entry *entry)
{
    const struct check *check = find(checks, upstream, entry);
    return check && check->health.unwell;
}

struct checks *checks_new(struct service *service,
                          void (*changed)(struct service *service, unsigned upstream))
{
    struct checks *checks = calloc(1, sizeof *checks);
    struct commons *commons = commons_new(1, 0);
    struct upstream_stats *stats =
        calloc(service->options->upstream_count, sizeof *service->upstream_stats);
    if (!checks || !commons || !stats) {
        commons_free(&commons);
        free(stats);
        free(checks);
        return NULL;
    }
    *checks =
        (struct checks){.service = service, .changed = changed, .commons = commons, .stats = stats};
    list_init(&checks->list);
    scope_init(&checks->scope);
    pool_init(&checks->pool, &(struct pool_options){
                                 .loop = service->loop,
                                 .streams = service->pool.streams,
                                 .commons = commons,
                                 .family = service->pool.family,
                                 .stats = stats,
                                 .seed = rand_seed_from_kernel(),
                             });
    return checks;
}

void checks_stop(struct checks *checks)
{
    pool_drain(&checks->pool);
    list_each (link, &checks->list)
        end(container_of(link, struct check, link));
}

bool checks_have_ended(const struct checks *checks)
{
    return scope_is_empty(&checks->scope) && pool_is_quiet(&checks->pool);
}

void checks_free(struct checks **checks)
{
    struct checks *freed = *checks;
    *checks = NULL;
    if (!freed)
        return;
    checks_stop(freed);
    must(checks_have_ended(freed));
    pool_fini(&freed->pool);
    commons_free(&freed->commons);
    free(freed->stats);
    free(freed);
}
