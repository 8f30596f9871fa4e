/* SPDX-License-Identifier: MIT */
#include "downstream/fail.h"

#include "base/check.h"
#include "http/message.h"

#include <stdio.h>

enum { PROXY_STATUS_SIZE = 160, TEXT_SIZE = 200 };

static struct http_response *new_response(struct exchange *exchange, uint16_t status)
{
    struct http_response *response = arena_alloc(&exchange->arena, sizeof *response);
    if (!response)
        return NULL;
    response->protocol = HTTP_1; /* as if: it is nobody's but ours */
    response->status = status;
    response->minor = 1;
    response->reason = http_reason(status);
    fields_init(&response->fields);
    return response;
}

enum weir_err exchange_send_whole(struct exchange *exchange, struct http_response *response,
                                  struct weir_slice body)
{
    struct http_framing framing = {.body = BODY_LENGTH, .length = body.len};
    TRY(message_set_length(&response->fields, body.len, &exchange->arena));
    TRY(exchange_send_head(exchange, response, &framing));
    if (exchange->wants_head || body.len == 0)
        return exchange_flush(exchange);
    struct http_piece piece = {.slices = {body}, .count = 1, .bytes = body.len, .last = true};
    return exchange_send_piece(exchange, &piece);
}

enum weir_err exchange_answer(struct exchange *exchange, uint16_t status,
                              struct weir_slice content_type, struct weir_slice body)
{
    struct http_response *response = new_response(exchange, status);
    if (!response)
        return WEIR_E_NO_MEMORY;
    if (content_type.len > 0)
        fields_add_known(&response->fields, FIELD_CONTENT_TYPE, content_type);
    fields_add(&response->fields, SLICE("Cache-Control"), SLICE("no-store"));
    return exchange_send_whole(exchange, response, body);
}

WEIR_SUSPENDS static void answer_error(struct exchange *exchange, enum weir_err err)
{
    uint16_t status = (uint16_t)weir_err_status(err);
    struct http_response *response = new_response(exchange, status);
    if (!response)
        return;
    char proxy_status[PROXY_STATUS_SIZE], text[TEXT_SIZE];
    const char *kind = weir_err_proxy_error(err);
    int len = snprintf(proxy_status, sizeof proxy_status, "weir; error=%s; details=\"%s\"", kind,
                       weir_err_text(err));
    if (*kind)
        fields_add_known(&response->fields, FIELD_PROXY_STATUS,
                         slice_of(proxy_status, (size_t)len));
    fields_add_known(&response->fields, FIELD_CONTENT_TYPE, SLICE("text/plain; charset=utf-8"));
    fields_add(&response->fields, SLICE("Cache-Control"), SLICE("no-store"));
    len = snprintf(text, sizeof text, "%u %.*s: %s\n", status, SLICE_ARGS(response->reason),
                   weir_err_text(err));
    /* That this cannot be sent either changes nothing: the client is gone. */
    enum weir_err ignored = exchange_send_whole(exchange, response, slice_of(text, (size_t)len));
    (void)ignored;
}

void exchange_fail(struct exchange *exchange, enum weir_err err)
{
    must(err != WEIR_OK);
    if (!exchange->error)
        exchange->error = err;
    bool too_late = exchange->head_sent && !exchange_retract_head(exchange);
    if (too_late || weir_err_status(err) == 0) {
        exchange->close = true;
        return;
    }
    answer_error(exchange, err);
}
