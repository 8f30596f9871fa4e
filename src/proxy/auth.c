/* SPDX-License-Identifier: MIT */
#include "proxy/auth.h"

#include "base/check.h"
#include "base/log.h"
#include "proxy/subrequest.h"

#include <stdio.h>

enum { ANSWER_BYTES_MAX = 64 * 1024, LENGTH_SIZE = 24 };

/* What only weir may say to who decides. */
static bool put(struct fields *fields, const char *name, struct weir_slice value)
{
    const struct field *field;
    while ((field = fields_find_name(fields, slice_str(name))))
        fields_remove_at(fields, (uint32_t)(field - fields->at));
    return !value.at || fields_add(fields, slice_str(name), value);
}

static enum weir_err make_question(struct serving *serving, const struct auth_options *auth,
                                   struct http_request **ret_question)
{
    struct exchange *exchange = serving->exchange;
    const struct http_request *request = exchange->request;
    struct http_request *question = subrequest_copy(serving, exchange, &exchange->arena);
    if (!question)
        return WEIR_E_NO_MEMORY;
    question->method = METHOD_GET;
    question->method_text = SLICE("GET");
    question->form = TARGET_ORIGIN;
    question->target = question->path = slice_str(auth->path);
    if (!put(&question->fields, "X-Original-Method", request->method_text) ||
        !put(&question->fields, "X-Original-URI", request->path))
        return WEIR_E_REQUEST_HEAD_LENGTH;
    *ret_question = question;
    return WEIR_OK;
}

/* What who decides says of the client; what the client says of itself there counts for nothing. */
static enum weir_err take_fields(struct serving *serving, const struct auth_options *auth,
                                 const struct http_response *answer)
{
    struct exchange *exchange = serving->exchange;
    for (unsigned i = 0; i < auth->copy_count; i++) {
        struct weir_slice value = {NULL, 0};
        const struct field *field = fields_find_name(&answer->fields, slice_str(auth->copy[i]));
        if (field && !(value = arena_copy(&exchange->arena, field->value)).at)
            return WEIR_E_NO_MEMORY;
        if (!put(&exchange->request->fields, auth->copy[i], value))
            return WEIR_E_REQUEST_HEAD_LENGTH;
    }
    return WEIR_OK;
}

/* The answer is the client's. */
WEIR_SUSPENDS static enum weir_err deny(struct exchange *exchange, struct weir_reply *reply)
{
    struct weir_slice body = weir_reply_body(reply);
    struct http_framing framing = {.body = BODY_LENGTH, .length = body.len};
    struct http_piece piece = {.slices = {body}, .count = 1, .bytes = body.len, .last = true};
    struct http_response *response = message_copy_response(reply->response.http, &exchange->arena);
    char *length = arena_alloc(&exchange->arena, LENGTH_SIZE);
    if (!response || !length)
        return WEIR_E_NO_MEMORY;
    int digits = snprintf(length, LENGTH_SIZE, "%zu", body.len);
    fields_remove(&response->fields, FIELD_CONTENT_LENGTH);
    if (!fields_add_known(&response->fields, FIELD_CONTENT_LENGTH,
                          slice_of(length, (size_t)digits)))
        return WEIR_E_LIMIT;
    TRY(exchange_send_head(exchange, response, &framing));
    return body.len > 0 ? exchange_send_piece(exchange, &piece) : exchange_flush(exchange);
}

static void count(struct serving *serving, enum auth_verdict verdict)
{
    stat_add(&serving->service->stats.auth[verdict], 1);
}

WEIR_SUSPENDS static enum weir_err decide(struct serving *serving, const struct auth_options *auth,
                                          const struct weir_subrequest *what,
                                          struct weir_reply *reply, bool *ret_answered)
{
    if (what->status >= 200 && what->status < 300 && !what->err) {
        count(serving, AUTH_ALLOWED);
        return take_fields(serving, auth, reply->response.http);
    }
    if (what->status >= 300 && what->status < 500 && !what->err) {
        count(serving, AUTH_DENIED);
        TRY(deny(serving->exchange, reply));
        *ret_answered = true;
        return WEIR_OK;
    }
    count(serving, AUTH_UNDECIDED);
    LOG_LIMITED(LOG_WARN, "service %s: auth_request %s: no decision: %s",
                serving->service->options->name, auth->path,
                what->err ? weir_err_text(what->err) : "its status is 5xx");
    return WEIR_E_AUTH;
}

enum weir_err auth_request(struct serving *serving, bool *ret_answered)
{
    const struct auth_options *auth = serving->route ? serving->route->auth : NULL;
    struct weir_subrequest_options options;
    struct weir_subrequest what;
    struct http_request *question;
    struct weir_reply *reply;
    *ret_answered = false;
    if (!auth)
        return WEIR_OK;
    TRY(make_question(serving, auth, &question));
    TRY(reply_new(&reply));
    weir_subrequest_options_init(&options);
    options.without_phases = true;
    options.response_bytes = ANSWER_BYTES_MAX;
    enum weir_err err =
        subrequest_run(&serving->door, question, &options, (int)auth->upstream, reply, &what);
    if (err && err != WEIR_E_CANCELED)
        what.err = err;
    if (err != WEIR_E_CANCELED)
        err = decide(serving, auth, &what, reply, ret_answered);
    weir_reply_free(&reply);
    return err;
}
