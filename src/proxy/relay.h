/* SPDX-License-Identifier: MIT */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

/*
 * Bodies from one side to the other. Back-pressure is simply not reading: a piece is received when
 * the one before it has been taken by the other side.
 */

#include "co/scope.h"
#include "downstream/exchange.h"
#include "proxy/body_filter.h"
#include "proxy/kept.h"
#include "proxy/replay.h"
#include "upstream/session.h"

/* The request's body on its way up: a coroutine of its own beside the one that waits for the
 * response. */
struct upload {
    struct exchange *exchange;
    struct session *session;
    struct replay *replay;          /* where what comes is kept; NULL: nowhere */
    const struct replay_part *kept; /* what is sent first: a drop in the meantime changes nothing */
    struct body_filter *filter;     /* NULL: none; what is kept has passed it */
    struct kept *mirrored;          /* a copy of what comes; NULL: nobody wants one */
    struct co *receiver;            /* who waits for the response */
    struct weir_time moved;         /* when a piece was passed last */
    enum weir_err failure;          /* what it canceled the receiver for */
    bool done;                      /* all was sent */
    struct scope scope;
};

/* Makes one that has nothing to send. */
void upload_init(struct upload *upload, struct exchange *exchange, struct session *session,
                 struct replay *replay);

/*
 * Starts sending what the replay buffer holds, then what the client sends. When that fails the
 * caller is canceled, unless the server ended the connection: it may have answered before that.
 */
enum weir_err upload_start(struct upload *upload);

/*
 * Ends it, whether it is through or not. If it had canceled the caller, that cancellation is over
 * then. `err` is what the caller's own work ended with; what comes back is the error to be told:
 * the upload's, if that is what stopped the caller.
 */
WEIR_SUSPENDS enum weir_err upload_end(struct upload *upload, enum weir_err err);

/* The response's body, through a filter that may be NULL. Errors of either side. */
WEIR_SUSPENDS enum weir_err relay_download(struct exchange *exchange, struct session *session,
                                           bool keep, struct body_filter *filter);

/* A piece of a body for the client, through a filter that may be NULL. */
WEIR_SUSPENDS enum weir_err relay_piece(struct exchange *exchange, const struct http_piece *piece,
                                        struct body_filter *filter);

/*
 * Both ways until the server ends (RFC 9110 section 7.8); the client's end is passed on. Nothing
 * passing either way for `idle` ends it with WEIR_E_RESPONSE_TIMEOUT.
 */
WEIR_SUSPENDS enum weir_err relay_tunnel(struct exchange *exchange, struct session *session,
                                         struct weir_span idle);

#endif
