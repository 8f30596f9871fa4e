/* SPDX-License-Identifier: MIT */
#include "proxy/subexchange.h"

#include "base/check.h"
#include "downstream/answer.h"

static struct subrequest *of(struct exchange *exchange)
{
    return container_of(exchange, struct subrequest, exchange);
}

/* --- The request's body ----------------------------------------------------------------------- */

static enum weir_err keep(struct subrequest *self, enum weir_err err,
                          const struct http_piece *piece)
{
    if (err)
        return err;
    self->exchange.received_bytes += piece->bytes;
    if (self->keeps)
        kept_add(self->keeps, piece);
    return WEIR_OK;
}

static void give_bytes(struct subrequest *self, struct http_piece *ret_piece)
{
    *ret_piece = (struct http_piece){.last = true};
    if (self->bytes.len == 0 || self->bytes_given)
        return;
    self->bytes_given = true;
    ret_piece->slices[0] = self->bytes;
    ret_piece->count = 1;
    ret_piece->bytes = self->bytes.len;
}

static enum weir_err sub_piece_now(struct exchange *exchange, struct http_piece *ret_piece)
{
    struct subrequest *self = of(exchange);
    if (self->body == WEIR_SEND_PARENT)
        return keep(self, door_piece_now(self->way.parent, ret_piece), ret_piece);
    give_bytes(self, ret_piece);
    return keep(self, WEIR_OK, ret_piece);
}

WEIR_SUSPENDS static enum weir_err sub_recv_piece(struct exchange *exchange,
                                                  struct http_piece *ret_piece)
{
    struct subrequest *self = of(exchange);
    if (self->body == WEIR_SEND_PARENT)
        return keep(self, door_recv_piece(self->way.parent, ret_piece), ret_piece);
    give_bytes(self, ret_piece);
    return keep(self, WEIR_OK, ret_piece);
}

/* --- The answer ------------------------------------------------------------------------------- */

void subexchange_pipe(struct subrequest *self, struct exchange *client, weir_pipe_fn *filter,
                      void *filter_owner)
{
    self->client = client;
    self->filter = filter;
    self->filter_owner = filter_owner;
}

static bool ends_with_head(const struct exchange *exchange, const struct http_response *response,
                           const struct http_framing *framing)
{
    return answer_is_bodiless(exchange, response->status) || framing->body == BODY_NONE ||
           (framing->body == BODY_LENGTH && framing->length == 0);
}

static enum weir_err sub_send_head(struct exchange *exchange, struct http_response *response,
                                   const struct http_framing *framing)
{
    struct subrequest *self = of(exchange);
    must(!exchange->head_sent);
    if (http_status_is_interim(response->status))
        return WEIR_OK;
    if (framing->body == BODY_TUNNEL)
        return WEIR_E_UPGRADE_FAILED;
    answer_drop_false_length(exchange, response, framing);
    if (self->reply)
        TRY(reply_set_response(self->reply, response));
    if (self->client) { /* the filter may suspend, and this may not: it goes on with what follows */
        self->head = message_copy_response(response, &exchange->arena);
        if (!self->head)
            return WEIR_E_NO_MEMORY;
    }
    self->framing = *framing;
    self->ends = ends_with_head(exchange, response, framing);
    exchange->head_sent = true;
    exchange->status = response->status;
    return WEIR_OK;
}

static bool sub_retract_head(struct exchange *exchange)
{
    struct subrequest *self = of(exchange);
    if (!exchange->head_sent || self->head_given || exchange->done || self->sent_bytes > 0)
        return false;
    exchange->head_sent = false;
    exchange->status = 0;
    self->head = NULL;
    return true;
}

WEIR_SUSPENDS static enum weir_err change_piece(void *owner, struct weir_piece *piece)
{
    struct subrequest *self = owner;
    bool drop = false;
    TRY(self->filter(self->filter_owner, NULL, piece, &drop));
    if (drop)
        piece->bytes.len = 0;
    return WEIR_OK;
}

/* What a filter may make longer or shorter has no length yet. */
static void begin_filtering(struct subrequest *self)
{
    self->body_filter = (struct body_filter){.change = change_piece, .owner = self};
    if (self->framing.body != BODY_LENGTH || self->ends)
        return;
    fields_remove(&self->head->fields, FIELD_CONTENT_LENGTH);
    self->framing.body = BODY_CHUNKED;
}

/* Through the filter, and written down for the client. */
WEIR_SUSPENDS static enum weir_err give_head(struct subrequest *self)
{
    struct weir_response view;
    if (!self->client || self->head_given || !self->exchange.head_sent)
        return WEIR_OK;
    self->head_given = true;
    if (self->filter) {
        message_of_response(&view, self->head, &self->exchange.arena);
        TRY(self->filter(self->filter_owner, &view, NULL, &self->head_dropped));
        begin_filtering(self);
    }
    if (self->head_dropped)
        return WEIR_OK;
    if (self->client->head_sent) /* the filter has answered by itself */
        return WEIR_E_FILTER;
    TRY(exchange_send_head(self->client, self->head, &self->framing));
    self->head_passed = true;
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err sub_flush(struct exchange *exchange)
{
    struct subrequest *self = of(exchange);
    TRY(give_head(self));
    if (self->client && !self->head_dropped)
        TRY(exchange_flush(self->client));
    exchange->done |= exchange->head_sent && self->ends;
    return WEIR_OK;
}

static enum weir_err keep_answer(struct subrequest *self, const struct http_piece *piece)
{
    for (unsigned i = 0; self->reply && i < piece->count; i++)
        TRY(reply_add(self->reply, piece->slices[i], self->reply_bytes_max));
    return WEIR_OK;
}

WEIR_SUSPENDS static enum weir_err sub_send_piece(struct exchange *exchange,
                                                  const struct http_piece *piece)
{
    struct subrequest *self = of(exchange);
    if (self->ends)
        return sub_flush(exchange);
    TRY(give_head(self));
    self->sent_bytes += piece->bytes;
    if (self->client && !self->head_dropped)
        TRY(relay_piece(self->client, piece, self->filter ? &self->body_filter : NULL));
    else
        TRY(keep_answer(self, piece));
    exchange->done = piece->last;
    return WEIR_OK;
}

static uint64_t sub_sent_bytes(const struct exchange *exchange)
{
    return container_of(exchange, const struct subrequest, exchange)->sent_bytes;
}

const struct exchange_ops subexchange_ops = {
    .piece_now = sub_piece_now,
    .recv_piece = sub_recv_piece,
    .send_head = sub_send_head,
    .retract_head = sub_retract_head,
    .flush = sub_flush,
    .send_piece = sub_send_piece,
    .sent_bytes = sub_sent_bytes,
};
