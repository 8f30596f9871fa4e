/* SPDX-License-Identifier: MIT */
#include "proxy/auth.h"

#include "base/check.h"
#include "base/log.h"
#include "downstream/fail.h"
#include "proxy/subrequest.h"

#include <stdio.h>

enum { ANSWER_BYTES_MAX = 64 * 1024 };

static void remove_named(struct fields *fields, struct weir_slice name)
{
    const struct field *field;
    while ((field = fields_find_name(fields, name)))
        fields_remove_at(fields, (uint32_t)(field - fields->at));
}

static enum weir_err put(struct fields *fields, const char *name, struct weir_slice value)
{
    return fields_add(fields, slice_str(name), value) ? WEIR_OK : WEIR_E_REQUEST_HEAD_LENGTH;
}

/*
 * Every answer is to be a whole one, and what tells of the request weir's own word. What the client
 * says of its connection is not for this one.
 */
static void remove_clients(struct fields *fields)
{
    static const char *const names[] = {
        "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
        "If-Range", "Range",         "X-Original-Method", "X-Original-URI"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        remove_named(fields, slice_str(names[i]));
}

static enum weir_err make_question(struct serving *serving, const struct auth_options *auth,
                                   struct http_request **ret_question)
{
    struct exchange *exchange = serving->exchange;
    const struct http_request *request = exchange->request;
    struct http_request *question;
    TRY(subrequest_copy(serving, exchange, &exchange->arena, &question));
    question->method = METHOD_GET;
    question->method_text = SLICE("GET");
    question->form = TARGET_ORIGIN;
    question->target = question->path = slice_str(auth->path);
    question->extended = false;
    remove_clients(&question->fields);
    TRY(put(&question->fields, "X-Original-Method", request->method_text));
    TRY(put(&question->fields, "X-Original-URI", request->path));
    *ret_question = question;
    return WEIR_OK;
}

/*
 * Who names one of those fields in Connection wants it taken out before the server: what who
 * decides says of the client would be lost.
 */
static enum weir_err check_connection(const struct fields *fields, const struct auth_options *auth)
{
    for (unsigned i = 0; i < auth->copy_count; i++)
        if (fields_list_has(fields, FIELD_CONNECTION, slice_str(auth->copy[i])))
            return WEIR_E_REQUEST_MALFORMED;
    return WEIR_OK;
}

static enum weir_err take_field(struct exchange *exchange, const struct http_response *answer,
                                const char *name)
{
    struct fields *fields = &exchange->request->fields;
    remove_named(fields, slice_str(name));
    fields_each (field, &answer->fields) {
        if (!slice_equal_nocase(field->name, slice_str(name)))
            continue;
        struct weir_slice value = arena_copy(&exchange->arena, field->value);
        if (!value.at)
            return WEIR_E_NO_MEMORY;
        TRY(put(fields, name, value));
    }
    return WEIR_OK;
}

/* What who decides says of the client; what the client says of itself there counts for nothing. */
static enum weir_err take_fields(struct exchange *exchange, const struct auth_options *auth,
                                 const struct http_response *answer)
{
    for (unsigned i = 0; i < auth->copy_count; i++)
        TRY(take_field(exchange, answer, auth->copy[i]));
    return WEIR_OK;
}

/* The answer is the client's. */
WEIR_SUSPENDS static enum weir_err deny(struct exchange *exchange, struct weir_reply *reply)
{
    struct http_response *response = message_copy_response(reply->response.http, &exchange->arena);
    return response ? exchange_send_whole(exchange, response, weir_reply_body(reply))
                    : WEIR_E_NO_MEMORY;
}

static enum auth_verdict verdict_of(const struct weir_subrequest *what)
{
    if (what->err || what->status < 200 || what->status >= 500)
        return AUTH_UNDECIDED;
    if (what->status < 300)
        return AUTH_ALLOWED;
    /* Nobody has asked whether anything has changed. */
    return what->status == 304 ? AUTH_UNDECIDED : AUTH_DENIED;
}

WEIR_SUSPENDS static enum weir_err decide(struct serving *serving, const struct auth_options *auth,
                                          const struct weir_subrequest *what,
                                          struct weir_reply *reply, bool *ret_answered)
{
    enum auth_verdict verdict = verdict_of(what);
    stat_add(&serving->service->stats.auth[verdict], 1);
    if (verdict == AUTH_ALLOWED)
        return take_fields(serving->exchange, auth, reply->response.http);
    if (verdict == AUTH_DENIED) {
        TRY(deny(serving->exchange, reply));
        *ret_answered = true;
        return WEIR_OK;
    }
    LOG_LIMITED(LOG_WARN, "service %s: auth_request %s: no decision: status %u, %s",
                serving->service->options->name, auth->path, what->status,
                weir_err_text(what->err));
    return WEIR_E_AUTH;
}

enum weir_err auth_request(struct serving *serving, bool *ret_answered)
{
    const struct auth_options *auth = serving->route ? serving->route->auth : NULL;
    struct weir_subrequest_options options;
    struct weir_subrequest what = {.status = 0};
    struct http_request *question;
    struct weir_reply *reply;
    *ret_answered = false;
    if (!auth)
        return WEIR_OK;
    TRY(check_connection(&serving->exchange->request->fields, auth));
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
