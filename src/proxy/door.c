/* SPDX-License-Identifier: MIT */
#include "proxy/door.h"

#include "base/check.h"
#include "base/log.h"
#include "downstream/answer.h"
#include "downstream/fail.h"
#include "proxy/kept.h"
#include "proxy/serving.h"

#include <stdio.h>

void door_init(struct weir_exchange *door, struct service *service, struct exchange *exchange,
               struct serving *serving, const struct subrequest_way *way)
{
    *door = (struct weir_exchange){
        .exchange = exchange, .service = service, .serving = serving, .phase = "start"};
    message_of_request(&door->request, exchange->request, &exchange->arena);
    connector_init(&door->connector, &service->peers);
    list_init(&door->kept);
    if (way) {
        door->parent = way->parent;
        door->depth = way->depth;
    }
}

void door_blame(const struct weir_exchange *door, const char *what)
{
    const struct service_options *options = door->service->options;
    const char *name = options->ops && options->ops->name ? options->ops->name : options->name;
    stat_add(&door->service->stats.program_faults, 1);
    LOG_LIMITED(LOG_WARN, "service %s: %s of %s %s", options->name, door->phase, name, what);
}

void door_fini(struct weir_exchange *door)
{
    char owner[128];
    if (!list_is_empty(&door->connector.sessions)) {
        snprintf(owner, sizeof owner, "service %s", door->service->options->name);
        stat_add(&door->service->stats.program_faults, connector_fini(&door->connector, owner));
    }
    for (struct list *link; (link = list_pop_front(&door->kept));)
        kept_fini(container_of(link, struct kept, link));
}

enum weir_err door_check_answer(const struct weir_exchange *door)
{
    bool again = door->exchange->head_sent;
    if (door->may_answer && !again)
        return WEIR_OK;
    door_blame(door, again ? "sends a second response" : "answers, which is not its to do");
    return WEIR_E_FILTER;
}

/* What stopped the program is no mistake of its own. */
static enum weir_err note(struct weir_exchange *door, enum weir_err err)
{
    if (err && err != WEIR_E_BODY_LENGTH && !door->failed)
        door->failed = err;
    return err;
}

/* Nothing but its head goes to this client. */
static bool is_bodiless(const struct weir_exchange *door)
{
    const struct exchange *exchange = door->exchange;
    return exchange->head_sent && answer_is_bodiless(exchange, exchange->status);
}

/* An answer whose head is all there is may not have been sent yet. */
WEIR_SUSPENDS static enum weir_err send_waiting(struct weir_exchange *door)
{
    bool is_whole = is_bodiless(door) || (door->answers.counted && door->answers.left_bytes == 0);
    return is_whole && !door->exchange->done ? note(door, exchange_flush(door->exchange)) : WEIR_OK;
}

enum weir_err door_settle(struct weir_exchange *door, const char *phase, bool *ret_answered)
{
    const struct exchange *exchange = door->exchange;
    TRY(send_waiting(door));
    *ret_answered = exchange->done;
    if (exchange->done)
        return WEIR_OK;
    if (door->failed)
        return door->failed;
    if (!exchange->head_sent)
        return WEIR_OK;
    door->phase = phase; /* beside it a body filter may have run */
    door_blame(door, "has returned in the middle of a response: it is cut");
    return WEIR_E_FILTER;
}

void door_tell_connection(const struct session_story *story, struct weir_connection *ret_connection)
{
    *ret_connection = (struct weir_connection){
        .id = story->connection_id,
        .reused = story->source != SOURCE_NEW,
        .http2 = story->protocol == HTTP_2,
        .requests = story->connection_requests,
        .age = story->connection_age,
        .idle = story->connection_idle,
        .wait = story->wait,
        .connect = story->connect,
        .tls = story->tls,
    };
}

WEIR_SUSPENDS static enum weir_err call_handler(struct weir_exchange *door)
{
    bool answered;
    TRY(door->exchange->error);
    door_enter(door, "handler");
    door->may_answer = true;
    door->service->options->handler(door);
    TRY(door_settle(door, door->phase, &answered));
    if (answered)
        return WEIR_OK;
    door_blame(door, "has not answered");
    return WEIR_E_FILTER;
}

void door_serve(struct service *service, struct exchange *exchange,
                const struct subrequest_way *way)
{
    struct weir_exchange door;
    door_init(&door, service, exchange, NULL, way);
    enum weir_err err = call_handler(&door);
    if (err)
        exchange_fail(exchange, err == WEIR_E_CANCELED ? WEIR_E_CLIENT_GONE : err);
    door_fini(&door);
}

/* --- What a program calls --------------------------------------------------------------------- */

void *weir_exchange_owner(const struct weir_exchange *exchange)
{
    return exchange->service->options->owner;
}

struct weir_service *weir_exchange_service(const struct weir_exchange *exchange)
{
    return exchange->service->options->door;
}

void *weir_exchange_alloc(struct weir_exchange *exchange, size_t bytes)
{
    return arena_alloc(&exchange->exchange->arena, bytes);
}

void *weir_exchange_state(const struct weir_exchange *exchange)
{
    return exchange->state;
}

void weir_exchange_set_state(struct weir_exchange *exchange, void *state)
{
    exchange->state = state;
}

struct weir_connector *weir_exchange_connector(struct weir_exchange *exchange)
{
    return &exchange->connector;
}

struct weir_request *weir_exchange_request(struct weir_exchange *exchange)
{
    return &exchange->request;
}

struct weir_slice weir_exchange_client(struct weir_exchange *exchange)
{
    if (!exchange->client.at) {
        char *text = arena_alloc(&exchange->exchange->arena, ADDR_TEXT_SIZE);
        exchange->client =
            text ? slice_str(addr_print_ip(&exchange->exchange->client, text)) : SLICE("");
    }
    return exchange->client;
}

bool weir_exchange_is_tls(const struct weir_exchange *exchange)
{
    return exchange->exchange->tls.version != NULL;
}

unsigned weir_exchange_status(const struct weir_exchange *exchange)
{
    return exchange->exchange->status;
}

/* Who reads the body wants it (RFC 9110 section 10.1.1). */
WEIR_SUSPENDS static enum weir_err invite_body(struct weir_exchange *door)
{
    static const struct http_framing none = {.body = BODY_NONE};
    struct exchange *exchange = door->exchange;
    struct http_response *response = message_new_response(&exchange->arena, 100);
    if (!response)
        return WEIR_E_NO_MEMORY;
    TRY(exchange_send_head(exchange, response, &none));
    return exchange_flush(exchange);
}

/* A body has one reader. */
static enum weir_err check_reader(const struct weir_exchange *door)
{
    bool goes_up = door->serving && !scope_is_empty(&door->serving->upload.scope);
    return door->reads || goes_up ? WEIR_E_FILTER : WEIR_OK;
}

bool door_has_read(const struct weir_exchange *door)
{
    return door->has_read && exchange_has_body(door->exchange);
}

enum weir_err door_check_unread(const struct weir_exchange *door)
{
    if (!door_has_read(door))
        return WEIR_OK;
    door_blame(door, "has read of the request's body, and not answered");
    return WEIR_E_FILTER;
}

enum weir_err door_piece_now(struct weir_exchange *door, struct http_piece *ret_piece)
{
    TRY(check_reader(door));
    enum weir_err err = exchange_piece_now(door->exchange, ret_piece);
    door->has_read |= !err && !piece_is_nothing(ret_piece);
    return note(door, err);
}

WEIR_SUSPENDS static enum weir_err recv_piece(struct weir_exchange *door,
                                              struct http_piece *ret_piece)
{
    struct exchange *exchange = door->exchange;
    if (exchange->awaits_continue && !exchange->head_sent)
        TRY(invite_body(door));
    return exchange_recv_piece(exchange, ret_piece);
}

enum weir_err door_recv_piece(struct weir_exchange *door, struct http_piece *ret_piece)
{
    TRY(check_reader(door));
    door->reads = door->has_read = true;
    enum weir_err err = recv_piece(door, ret_piece);
    door->reads = false;
    return note(door, err);
}

WEIR_SUSPENDS static enum weir_err next_piece(struct weir_exchange *door)
{
    struct exchange *exchange = door->exchange;
    if (!door->received) {
        door->received = arena_alloc(&exchange->arena, sizeof *door->received);
        if (!door->received)
            return WEIR_E_NO_MEMORY;
        *door->received = (struct http_piece){.last = exchange->framing.body == BODY_NONE};
    }
    while (door->turn >= body_filter_turns(door->received) && !door->received->last) {
        TRY(door_recv_piece(door, door->received));
        door->turn = 0;
    }
    return WEIR_OK;
}

enum weir_err weir_exchange_recv(struct weir_exchange *exchange, struct weir_piece *ret_piece)
{
    TRY(next_piece(exchange));
    const struct http_piece *piece = exchange->received;
    unsigned turn = exchange->turn++;
    ret_piece->bytes = turn < piece->count ? piece->slices[turn] : SLICE("");
    ret_piece->last = piece->last && turn + 1 >= piece->count;
    return WEIR_OK;
}

enum weir_err weir_exchange_new_response(struct weir_exchange *exchange, unsigned status,
                                         struct weir_response **ret_response)
{
    struct arena *arena = &exchange->exchange->arena;
    if (status < 200 || status > 599)
        return WEIR_E_FIELD;
    struct weir_response *response = arena_alloc(arena, sizeof *response);
    struct http_response *head = message_new_response(arena, status);
    if (!response || !head)
        return WEIR_E_NO_MEMORY;
    message_of_response(response, head, arena);
    *ret_response = response;
    return WEIR_OK;
}

/* For a body of a known length; what frames the others is the connection's to say. */
static enum weir_err put_length(struct http_response *response, const struct http_framing *framing,
                                struct arena *arena)
{
    fields_remove(&response->fields, FIELD_CONTENT_LENGTH);
    bool has_length = framing->body == BODY_LENGTH && response->status != 304;
    return has_length ? message_set_length(&response->fields, framing->length, arena) : WEIR_OK;
}

enum weir_err weir_exchange_send_head(struct weir_exchange *exchange,
                                      struct weir_response *response, uint64_t body_bytes)
{
    struct exchange *inner = exchange->exchange;
    TRY(door_check_answer(exchange));
    struct http_framing framing = message_framing(body_bytes);
    if (framing.body == BODY_NONE) /* a response without a body says so */
        framing = (struct http_framing){.body = BODY_LENGTH};
    TRY(put_length(response->http, &framing, &inner->arena));
    TRY(exchange_send_head(inner, response->http, &framing));
    body_filter_start(&exchange->answers, &framing);
    exchange->answering = true;
    return WEIR_OK;
}

/* What its own head said. */
static enum weir_err count_answer(struct body_filter *answers, struct weir_slice bytes, bool last)
{
    if (!answers->counted)
        return WEIR_OK;
    if (bytes.len > answers->left_bytes)
        return WEIR_E_BODY_LENGTH;
    answers->left_bytes -= bytes.len;
    return last && answers->left_bytes > 0 ? WEIR_E_BODY_LENGTH : WEIR_OK;
}

enum weir_err weir_exchange_send(struct weir_exchange *exchange, struct weir_slice bytes, bool last)
{
    struct http_piece piece = {.slices = {bytes}, .bytes = bytes.len, .last = last};
    struct exchange *inner = exchange->exchange;
    piece.count = bytes.len > 0;
    if (inner->done) /* where there is no body (HEAD) it was done with its head */
        return bytes.len == 0 || is_bodiless(exchange) ? WEIR_OK : WEIR_E_BODY_LENGTH;
    if (!exchange->answering)
        return WEIR_E_BODY_LENGTH;
    TRY(count_answer(&exchange->answers, bytes, last));
    return note(exchange, exchange_send_piece(inner, &piece));
}

enum weir_err weir_exchange_answer(struct weir_exchange *exchange, unsigned status,
                                   const char *content_type, struct weir_slice body)
{
    TRY(door_check_answer(exchange));
    if (status < 200 || status > 599 || !field_is_value(weir_str(content_type)))
        return WEIR_E_FIELD;
    return note(exchange, exchange_answer(exchange->exchange, (uint16_t)status,
                                          weir_str(content_type), body));
}

struct weir_exchange *weir_exchange_parent(const struct weir_exchange *exchange)
{
    return exchange->parent;
}
