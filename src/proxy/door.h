/* SPDX-License-Identifier: MIT */
#ifndef PROXY_DOOR_H
#define PROXY_DOOR_H

/*
 * An exchange as a program sees it (weir/server.h, weir/proxy.h, weir/subrequest.h): what its
 * handler and its phases get. It lies in the frame of who serves the exchange.
 */

#include "client/connector.h"
#include "downstream/exchange.h"
#include "http/message.h"
#include "proxy/body_filter.h"
#include <weir/subrequest.h>

struct service;
struct serving;
struct subrequest_way;

struct weir_exchange {
    struct exchange *exchange;
    struct service *service;
    struct serving *serving;     /* NULL: a handler's, without an upstream of its own */
    struct weir_request request; /* a view */
    struct weir_connector connector;
    struct weir_slice client; /* weir_exchange_client(); .at NULL: nobody asked */
    void *state;
    const char *phase;            /* what of the program runs, or ran last; a literal */
    bool may_answer;              /* what runs is a handler, or a phase that may */
    bool answering;               /* ... and has sent a head of its own */
    struct body_filter answers;   /* counts the body of the program's own answer */
    bool reads, has_read;         /* of the request's body, in the program's name */
    struct http_piece *received;  /* by the program; NULL: nothing was */
    unsigned turn;                /* which slice of it is the next one */
    enum weir_err failed;         /* what stopped the program's reading or answering */
    struct weir_exchange *parent; /* NULL: a client's, or its parent is gone */
    unsigned depth;               /* of subrequests; a client's is 0 */
    unsigned subrequest_count;
    struct list kept; /* bodies that were kept for the program (kept.h) */
};

/* A phase is entered: what it does from now on is its doing. */
static inline void door_enter(struct weir_exchange *door, const char *phase)
{
    door->phase = phase;
    door->connector.where = phase;
}

/* WEIR_E_FILTER, which the log tells, where the program cannot answer: not here, or not twice. */
enum weir_err door_check_answer(const struct weir_exchange *door);

/* `way` is a subrequest's; NULL: a client's. */
void door_init(struct weir_exchange *door, struct service *service, struct exchange *exchange,
               struct serving *serving, const struct subrequest_way *way);
/* The exchange is over: closes what the program has left open. */
void door_fini(struct weir_exchange *door);

/*
 * After a phase that may answer: WEIR_OK when it did, or left that to others, whom *ret_answered
 * tells. Else what stopped it; WEIR_E_FILTER when it left its answer halfway, which the log says.
 */
WEIR_SUSPENDS enum weir_err door_settle(struct weir_exchange *door, const char *phase,
                                        bool *ret_answered);

/*
 * The next piece of the request's body, for whoever reads it in the program's name, one at a time:
 * what is here already (exchange_piece_now()), and waited for. WEIR_E_FILTER when it is on its way
 * to a server.
 */
enum weir_err door_piece_now(struct weir_exchange *door, struct http_piece *ret_piece);
WEIR_SUSPENDS enum weir_err door_recv_piece(struct weir_exchange *door,
                                            struct http_piece *ret_piece);
/* Whether somebody has: then what is left is not all. */
bool door_has_read(const struct weir_exchange *door);
/* WEIR_E_FILTER, which the log tells, when somebody has: the rest is not to go as if it were all.
 */
enum weir_err door_check_unread(const struct weir_exchange *door);

/* Tells of a mistake of the program's: the log has the phase and the service's name. */
void door_blame(const struct weir_exchange *door, const char *what);

/* What a program calls a connection; `story` is a session's. */
struct session_story;
void door_tell_connection(const struct session_story *story,
                          struct weir_connection *ret_connection);

/* Serves an exchange by the service's handler (weir_service_options.handler). */
WEIR_SUSPENDS void door_serve(struct service *service, struct exchange *exchange,
                              const struct subrequest_way *way);

#endif
