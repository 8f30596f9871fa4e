/* SPDX-License-Identifier: MIT */
#include "proxy/phase.h"

#include "base/check.h"
#include "base/log.h"

/* A program that never gives up is not followed for ever. */
enum { TRIES_MAX = 16 };

/* An error that a phase returns ends the exchange; the log says which one it was. */
static enum weir_err leave(const struct serving *serving, const char *phase, enum weir_err err)
{
    if (err && err != WEIR_E_CANCELED && err != WEIR_E_CLIENT_GONE)
        LOG_LIMITED(LOG_NOTICE, "service %s: %s has failed: %s", serving->service->options->name,
                    phase, weir_err_text(err));
    return err;
}

/* Of those that may answer. */
static void enter_answering(struct serving *serving, const char *phase)
{
    door_enter(&serving->door, phase);
    serving->door.may_answer = true;
}

static enum weir_err leave_answering(struct serving *serving, const char *phase, enum weir_err err)
{
    serving->door.may_answer = serving->door.answering = false;
    return leave(serving, phase, err);
}

enum weir_err phase_request_filter(struct serving *serving, bool *ret_answered)
{
    const struct weir_proxy_ops *ops = serving->ops;
    *ret_answered = false;
    if (!ops || !ops->request_filter)
        return WEIR_OK;
    enter_answering(serving, "request_filter");
    TRY(leave_answering(serving, "request_filter", ops->request_filter(&serving->door)));
    TRY(door_settle(&serving->door, "request_filter", ret_answered));
    return *ret_answered ? WEIR_OK : door_check_unread(&serving->door);
}

enum weir_err phase_upstream_peer(struct serving *serving, struct weir_peer **ret_peer)
{
    const struct weir_proxy_ops *ops = serving->ops;
    *ret_peer = NULL;
    if (!ops || !ops->upstream_peer)
        return WEIR_OK;
    door_enter(&serving->door, "upstream_peer");
    return leave(serving, "upstream_peer", ops->upstream_peer(&serving->door, ret_peer));
}

/* Of a body that a filter may make longer or shorter nobody knows the length before its end. */
static bool forget_length(struct fields *fields, struct http_framing *framing)
{
    if (framing->body != BODY_LENGTH)
        return false;
    fields_remove(fields, FIELD_CONTENT_LENGTH);
    framing->body = BODY_CHUNKED;
    return true;
}

WEIR_SUSPENDS static enum weir_err change_body_up(void *owner, struct weir_piece *piece)
{
    struct serving *serving = owner;
    door_enter(&serving->door, "request_body_filter");
    return leave(serving, "request_body_filter",
                 serving->ops->request_body_filter(&serving->door, piece));
}

WEIR_SUSPENDS static enum weir_err change_body_down(void *owner, struct weir_piece *piece)
{
    struct serving *serving = owner;
    door_enter(&serving->door, "response_body_filter");
    return leave(serving, "response_body_filter",
                 serving->ops->response_body_filter(&serving->door, piece));
}

struct body_filter *phase_body_up(struct serving *serving)
{
    return serving->up.change ? &serving->up : NULL;
}

struct body_filter *phase_body_down(struct serving *serving)
{
    return serving->down.change ? &serving->down : NULL;
}

static enum weir_err settle_body_up(struct serving *serving)
{
    struct exchange *exchange = serving->exchange;
    struct fields *fields = &exchange->request->fields;
    if (!serving->ops->request_body_filter || !exchange_has_body(exchange))
        return WEIR_OK;
    serving->up = (struct body_filter){.change = change_body_up, .owner = serving};
    if (!serving->keeps_length && forget_length(fields, &serving->sends) &&
        !fields_add_known(fields, FIELD_TRANSFER_ENCODING, SLICE("chunked")))
        return WEIR_E_REQUEST_HEAD_LENGTH;
    body_filter_start(&serving->up, &serving->sends);
    return WEIR_OK;
}

enum weir_err phase_upstream_request_filter(struct serving *serving)
{
    const struct weir_proxy_ops *ops = serving->ops;
    serving->keeps_length = false;
    if (!ops)
        return WEIR_OK;
    if (ops->upstream_request_filter) {
        door_enter(&serving->door, "upstream_request_filter");
        TRY(leave(serving, "upstream_request_filter",
                  ops->upstream_request_filter(&serving->door, &serving->door.request)));
    }
    return settle_body_up(serving);
}

enum weir_err phase_connected(struct serving *serving)
{
    const struct weir_proxy_ops *ops = serving->ops;
    struct weir_connection connection;
    if (!ops || !ops->connected_to_upstream)
        return WEIR_OK;
    door_enter(&serving->door, "connected_to_upstream");
    door_tell_connection(&serving->story, &connection);
    return leave(serving, "connected_to_upstream",
                 ops->connected_to_upstream(&serving->door, &connection));
}

/* What weir would not try again on its own may be tried again if nothing of it is gone. */
static bool may_overrule(const struct serving *serving, const struct retry_facts *facts)
{
    return !facts->head_sent && !facts->any_received && facts->body_whole &&
           serving->attempts < TRIES_MAX && weir_err_status(facts->err) != 0;
}

void phase_failed(struct serving *serving, enum weir_err err, const struct retry_facts *facts,
                  enum retry_verdict *verdict)
{
    const struct weir_proxy_ops *ops = serving->ops;
    bool allowed = retry_is_allowed(*verdict), retry = allowed;
    if (!ops)
        return;
    if (!facts->connected && ops->fail_to_connect) {
        door_enter(&serving->door, "fail_to_connect");
        ops->fail_to_connect(&serving->door, err, &retry);
    } else if (facts->connected && ops->error_while_proxy) {
        door_enter(&serving->door, "error_while_proxy");
        ops->error_while_proxy(&serving->door, err, facts->reused, &retry);
    }
    if (allowed && !retry)
        *verdict = RETRY_NOT_FINAL;
    else if (retry && !allowed && may_overrule(serving, facts))
        *verdict = facts->connected ? RETRY_FRESH : RETRY_NEXT;
}

enum weir_err phase_response_filter(struct serving *serving, bool *ret_answered)
{
    const struct weir_proxy_ops *ops = serving->ops;
    struct weir_response view;
    *ret_answered = false;
    if (!ops)
        return WEIR_OK;
    serving->keeps_length = false;
    if (ops->response_filter) {
        message_of_response(&view, serving->response, &serving->exchange->arena);
        enter_answering(serving, "response_filter");
        serving->may_take = serving->framing.body != BODY_TUNNEL;
        enum weir_err err = ops->response_filter(&serving->door, &view);
        serving->may_take = false;
        TRY(leave_answering(serving, "response_filter", err));
        TRY(door_settle(&serving->door, "response_filter", ret_answered));
    }
    if (*ret_answered || !ops->response_body_filter || serving->framing.body == BODY_TUNNEL)
        return WEIR_OK;
    serving->down = (struct body_filter){.change = change_body_down, .owner = serving};
    if (!serving->keeps_length && !serving->exchange->wants_head)
        forget_length(&serving->response->fields, &serving->framing);
    body_filter_start(&serving->down, &serving->framing);
    return WEIR_OK;
}

void phase_broke(struct serving *serving, enum weir_err err)
{
    const struct weir_proxy_ops *ops = serving->ops;
    bool retry = false;
    if (!ops || !ops->error_while_proxy || !serving->connected)
        return;
    door_enter(&serving->door, "error_while_proxy");
    ops->error_while_proxy(&serving->door, err, serving->story.source != SOURCE_NEW, &retry);
}

bool phase_fail_to_proxy(struct serving *serving, enum weir_err err)
{
    const struct weir_proxy_ops *ops = serving->ops;
    bool answered;
    if (!ops || !ops->fail_to_proxy)
        return false;
    enter_answering(serving, "fail_to_proxy");
    serving->door.failed = WEIR_OK;
    enum weir_err own =
        leave_answering(serving, "fail_to_proxy", ops->fail_to_proxy(&serving->door, err));
    return !own && !door_settle(&serving->door, "fail_to_proxy", &answered) && answered;
}

void phase_logging(struct serving *serving, enum weir_err err)
{
    const struct weir_proxy_ops *ops = serving->ops;
    if (!ops || !ops->logging)
        return;
    door_enter(&serving->door, "logging");
    ops->logging(&serving->door, err);
}
