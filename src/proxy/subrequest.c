/* SPDX-License-Identifier: MIT */
#include "proxy/subrequest.h"

#include "base/check.h"
#include "downstream/answer.h"
#include "http/hop.h"
#include "proxy/subexchange.h"

#include <string.h>

enum { ARENA_BYTES = 256 * 1024 };

/* An answer of weir's own, because no server gave one, is none. */
static void count(const struct subrequest *self, enum subrequest_kind kind)
{
    bool answered = self->exchange.done && !self->exchange.error && !self->timed_out;
    stat_add(&self->service->stats.subrequests[kind][answered], 1);
}

/* --- Making one ------------------------------------------------------------------------------- */

/* As it came from the client that all of this is for. */
static void init_exchange(struct exchange *exchange, const struct exchange *origin)
{
    *exchange = (struct exchange){
        .ops = &subexchange_ops,
        .loop = origin->loop,
        .client = origin->client,
        .client_number = origin->client_number,
        .local = origin->local,
        .tls = origin->tls,
        .began = loop_now(origin->loop),
    };
    arena_init(&exchange->arena, &origin->loop->arenas, ARENA_BYTES);
}

static void free_one(struct subrequest *self)
{
    struct service *service = self->service;
    arena_fini(&self->exchange.arena);
    slab_free(&service->subrequest_slab, self);
}

static enum weir_err make(struct service *service, const struct exchange *origin,
                          const struct http_request *request, struct subrequest **ret_made)
{
    struct subrequest *self = slab_alloc(&service->subrequest_slab);
    if (!self)
        return WEIR_E_NO_MEMORY;
    *self = (struct subrequest){.service = service};
    scope_init(&self->scope);
    init_exchange(&self->exchange, origin);
    self->exchange.request = message_copy_request(request, &self->exchange.arena);
    if (!self->exchange.request) {
        free_one(self);
        return WEIR_E_NO_MEMORY;
    }
    self->exchange.wants_head = request->method == METHOD_HEAD;
    *ret_made = self;
    return WEIR_OK;
}

static struct weir_exchange *root_of(struct weir_exchange *exchange)
{
    while (exchange->parent)
        exchange = exchange->parent;
    return exchange;
}

/* What endless recursion meets. */
static enum weir_err count_one(struct weir_exchange *parent)
{
    struct weir_exchange *root = root_of(parent);
    if (parent->depth >= WEIR_SUBREQUEST_DEPTH_MAX ||
        root->subrequest_count >= WEIR_SUBREQUEST_COUNT_MAX)
        return WEIR_E_SUBREQUEST_LIMIT;
    root->subrequest_count++;
    return WEIR_OK;
}

static struct subrequest_way way_of(struct weir_exchange *parent,
                                    const struct weir_subrequest_options *options, int upstream)
{
    return (struct subrequest_way){
        .parent = parent,
        .peer = options->peer,
        .upstream = upstream,
        .without_phases = options->without_phases,
        .on_parents_connection = options->on_parents_connection,
        .depth = parent->depth + 1,
    };
}

static void send_bytes(struct subrequest *self, struct weir_slice bytes)
{
    self->body = WEIR_SEND_BYTES;
    self->bytes = bytes;
    self->exchange.framing = (struct http_framing){.body = BODY_LENGTH, .length = bytes.len};
}

static enum weir_err send_parents(struct subrequest *self, struct weir_exchange *parent,
                                  uint64_t keep_bytes)
{
    if (door_has_read(parent))
        return WEIR_E_TRUNCATED;
    self->keeps = arena_alloc(&parent->exchange->arena, sizeof *self->keeps);
    if (!self->keeps)
        return WEIR_E_NO_MEMORY;
    kept_init(self->keeps, keep_bytes);
    list_push_back(&parent->kept, &self->keeps->link);
    self->body = WEIR_SEND_PARENT;
    self->exchange.framing = parent->exchange->framing;
    self->keeps->complete = parent->exchange->framing.body == BODY_NONE;
    return WEIR_OK;
}

static enum weir_err choose_body(struct subrequest *self, struct weir_exchange *parent,
                                 const struct weir_subrequest_options *options)
{
    switch (options->body) {
    case WEIR_SEND_NOTHING:
        return WEIR_OK;
    case WEIR_SEND_BYTES:
        send_bytes(self, options->bytes);
        return WEIR_OK;
    case WEIR_SEND_KEPT:
        if (options->kept.truncated || !options->kept.complete)
            return WEIR_E_TRUNCATED;
        send_bytes(self, options->kept.bytes);
        return WEIR_OK;
    case WEIR_SEND_PARENT:
        return send_parents(self, parent, options->keep_bytes);
    }
    return WEIR_E_FILTER;
}

/* --- Running one ------------------------------------------------------------------------------ */

WEIR_SUSPENDS static void run(void *argument)
{
    struct subrequest *self = argument;
    serve_subrequest(self->service, &self->exchange, &self->way);
}

static void on_deadline(struct timer *timer)
{
    struct subrequest *self = container_of(timer, struct subrequest, deadline);
    self->timed_out = true;
    scope_cancel(&self->scope);
}

WEIR_SUSPENDS static enum weir_err run_and_wait(struct subrequest *self, struct weir_time deadline)
{
    struct timers *timers = &self->exchange.loop->sched.timers;
    TRY(scope_spawn(&self->scope, "subrequest", run, self));
    timer_init(&self->deadline, on_deadline);
    if (!weir_time_is_never(deadline))
        timer_arm(timers, &self->deadline, deadline);
    enum weir_err err = scope_join(&self->scope);
    timer_disarm(timers, &self->deadline);
    TRY(err);
    if (self->timed_out)
        return WEIR_E_TIMEOUT;
    return self->exchange.done ? WEIR_OK : self->exchange.error ? self->exchange.error : WEIR_E_EOF;
}

static void tell(const struct subrequest *self, struct weir_subrequest *ret_what)
{
    *ret_what = (struct weir_subrequest){
        .status = self->exchange.status,
        .head_sent = self->head_passed,
        .on_parents_connection = self->way.on_parents_connection,
        .err = self->exchange.error,
    };
    if (self->keeps)
        ret_what->kept = (struct weir_kept){
            .bytes = buf_slice(&self->keeps->bytes),
            .truncated = self->keeps->truncated,
            .complete = self->keeps->complete,
        };
}

static enum weir_err make_for(struct weir_exchange *parent, const struct http_request *request,
                              const struct weir_subrequest_options *options, int upstream,
                              struct subrequest **ret_made)
{
    struct subrequest *self;
    TRY(count_one(parent));
    TRY(make(parent->service, parent->exchange, request, &self));
    self->way = way_of(parent, options, upstream);
    enum weir_err err = choose_body(self, parent, options);
    if (err)
        free_one(self);
    else
        *ret_made = self;
    return err;
}

enum weir_err subrequest_run(struct weir_exchange *parent, const struct http_request *request,
                             const struct weir_subrequest_options *options, int upstream,
                             struct weir_reply *reply, struct weir_subrequest *ret_what)
{
    struct subrequest *self;
    TRY(make_for(parent, request, options, upstream, &self));
    self->reply = reply;
    self->reply_bytes_max = options->response_bytes;
    enum weir_err err = run_and_wait(self, options->deadline);
    tell(self, ret_what);
    count(self, SUBREQUEST_WAITED_FOR);
    free_one(self);
    return err;
}

/* --- In the background ------------------------------------------------------------------------ */

static void on_background_deadline(struct timer *timer)
{
    struct subrequest *self = container_of(timer, struct subrequest, deadline);
    co_cancel(self->co);
}

WEIR_SUSPENDS static void run_alone(void *argument)
{
    struct subrequest *self = argument;
    run(self);
    timer_disarm(&self->exchange.loop->sched.timers, &self->deadline);
    weir_peer_free(&self->way.peer);
    self->service->background_count--;
    count(self, SUBREQUEST_BACKGROUND);
    free_one(self);
}

/* What it sends must last as long as it does. */
static enum weir_err copy_body(struct subrequest *self, struct weir_slice body)
{
    struct arena *arena = &self->exchange.arena;
    if (!body.at)
        return WEIR_OK;
    arena->left_bytes += body.len + ARENA_BLOCK_BYTES;
    struct weir_slice copy = arena_copy(arena, body);
    if (!copy.at)
        return WEIR_E_NO_MEMORY;
    send_bytes(self, copy);
    return WEIR_OK;
}

enum weir_err subrequest_start(struct service *service, const struct exchange *origin,
                               const struct http_request *request, const struct subrequest_way *way,
                               struct weir_slice body, struct weir_time deadline)
{
    struct subrequest *self;
    if (service->canceled)
        return WEIR_E_DRAINING;
    if (service->background_count >= SUBREQUEST_BACKGROUND_MAX)
        return WEIR_E_SUBREQUEST_LIMIT;
    TRY(make(service, origin, request, &self));
    self->way = *way;
    self->way.parent = NULL;
    /* The client's address lies with its connection, which may go before this does. */
    self->local = *origin->local;
    self->exchange.local = &self->local;
    self->exchange.tls = (struct tls_facts){.version = origin->tls.version};
    enum weir_err err = copy_body(self, body);
    if (!err)
        err = co_spawn(&origin->loop->sched, &service->background, "background", run_alone, self,
                       &self->co);
    if (err) {
        free_one(self);
        return err;
    }
    service->background_count++;
    if (self->way.peer)
        weir_peer_ref(self->way.peer);
    timer_init(&self->deadline, on_background_deadline);
    if (!weir_time_is_never(deadline))
        timer_arm(&origin->loop->sched.timers, &self->deadline, deadline);
    return WEIR_OK;
}

/* --- What a program calls --------------------------------------------------------------------- */

void weir_subrequest_options_init(struct weir_subrequest_options *options)
{
    *options = (struct weir_subrequest_options){
        .keep_bytes = 1 << 20,
        .response_bytes = 1 << 20,
        .deadline = WEIR_NEVER,
    };
}

/* Without what speaks of a body, or of the connection that it came on. */
static enum weir_err drop_body_fields(struct fields *fields)
{
    static const enum field_id gone[] = {FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING,
                                         FIELD_EXPECT, FIELD_UPGRADE};
    static const char *const named[] = {"Content-Type", "Content-Encoding", "Content-MD5",
                                        "Content-Digest"};
    if (!hop_remove_connection(fields))
        return WEIR_E_REQUEST_HEAD_LENGTH;
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        fields_remove(fields, gone[i]);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        const struct field *field;
        while ((field = fields_find_name(fields, slice_str(named[i]))))
            fields_remove_at(fields, (uint32_t)(field - fields->at));
    }
    return WEIR_OK;
}

/* As it was before a proxy's hands. */
static const struct http_request *original_of(const struct serving *serving,
                                              const struct exchange *exchange)
{
    return serving && serving->original ? serving->original : exchange->request;
}

enum weir_err subrequest_copy(const struct serving *serving, const struct exchange *exchange,
                              struct arena *arena, struct http_request **ret_copy)
{
    *ret_copy = message_copy_request(original_of(serving, exchange), arena);
    return *ret_copy ? drop_body_fields(&(*ret_copy)->fields) : WEIR_E_NO_MEMORY;
}

enum weir_err weir_exchange_copy_request(struct weir_exchange *parent,
                                         struct weir_request **ret_request)
{
    struct weir_request *copy;
    TRY(message_own_request(original_of(parent->serving, parent->exchange), &copy));
    enum weir_err err = drop_body_fields(&copy->http->fields);
    if (err)
        weir_request_free(&copy);
    else
        *ret_request = copy;
    return err;
}

static enum weir_err find_upstream(const struct weir_exchange *parent,
                                   const struct weir_subrequest_options *options, int *ret_number)
{
    *ret_number = -1;
    if (options->upstream)
        *ret_number = service_find_upstream(parent->service->options, options->upstream);
    return options->upstream && *ret_number < 0 ? WEIR_E_NO_ROUTE : WEIR_OK;
}

enum weir_err weir_subrequest_run(struct weir_exchange *parent, struct weir_request *request,
                                  const struct weir_subrequest_options *options,
                                  struct weir_subrequest *ret_what, struct weir_reply **ret_reply)
{
    struct weir_subrequest what = {.status = 0};
    struct weir_reply *reply = NULL;
    int upstream;
    ret_what = ret_what ? ret_what : &what;
    *ret_what = what;
    TRY(find_upstream(parent, options, &upstream));
    if (ret_reply)
        TRY(reply_new(&reply));
    enum weir_err err = subrequest_run(parent, request->http, options, upstream, reply, ret_what);
    if (err)
        weir_reply_free(&reply);
    else if (ret_reply)
        *ret_reply = reply;
    return err;
}

enum weir_err weir_subrequest_background(struct weir_exchange *parent, struct weir_request *request,
                                         const struct weir_subrequest_options *options)
{
    int upstream;
    struct weir_slice body = {NULL, 0};
    TRY(find_upstream(parent, options, &upstream));
    if (options->body == WEIR_SEND_PARENT || options->on_parents_connection)
        return WEIR_E_FILTER;
    if (options->body == WEIR_SEND_KEPT && (options->kept.truncated || !options->kept.complete))
        return WEIR_E_TRUNCATED;
    if (options->body == WEIR_SEND_BYTES)
        body = options->bytes;
    else if (options->body == WEIR_SEND_KEPT)
        body = options->kept.bytes;
    if (options->body != WEIR_SEND_NOTHING && !body.at)
        body.at = "";
    TRY(count_one(parent));
    struct subrequest_way way = way_of(parent, options, upstream);
    return subrequest_start(parent->service, parent->exchange, request->http, &way, body,
                            options->deadline);
}

enum weir_err weir_subrequest_pipe(struct weir_exchange *parent, struct weir_request *request,
                                   const struct weir_subrequest_options *options,
                                   weir_pipe_fn *filter, void *owner,
                                   struct weir_subrequest *ret_what)
{
    struct subrequest *self;
    struct weir_subrequest what = {.status = 0};
    int upstream;
    ret_what = ret_what ? ret_what : &what;
    *ret_what = what;
    TRY(door_check_answer(parent));
    TRY(find_upstream(parent, options, &upstream));
    TRY(make_for(parent, request->http, options, upstream, &self));
    subexchange_pipe(self, parent->exchange, filter, owner);
    enum weir_err err = run_and_wait(self, options->deadline);
    tell(self, ret_what);
    /* What broke under it is not its parent's mistake. */
    if (err && parent->exchange->head_sent && !parent->failed)
        parent->failed = err;
    count(self, SUBREQUEST_PIPED);
    free_one(self);
    return err;
}
