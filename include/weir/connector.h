/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CONNECTOR_H
#define WEIR_CONNECTOR_H

/*
 * The client: a connector keeps the connections of one pool on one thread, and gives sessions. A
 * session is one exchange: send the head, then the body; receive the head, then the body; release.
 * Whatever state it is in, a release is right: a connection is kept only when nothing speaks
 * against it.
 *
 * One coroutine sends and one receives at a time; they may be two.
 */

#include <weir/loop.h>
#include <weir/message.h>
#include <weir/peer.h>

WEIR_BEGIN

struct weir_connector;
struct weir_session;
struct weir_reply;

struct weir_connector_options {
    const char *name;   /* for the log */
    unsigned pool_size; /* idle connections that are kept at most */
};

/* How a connection came to serve a session. */
struct weir_connection {
    uint64_t id; /* never used again in this process */
    bool reused; /* it has served before */
    bool http2;
    uint64_t requests; /* that it has carried, this one included */
    struct weir_span age;
    struct weir_span idle;         /* how long it had rested */
    struct weir_span wait;         /* for another's connection, or for room */
    struct weir_span connect, tls; /* what its own dial took */
};

/* What a connector's pool has done, and has now. */
struct weir_pool_counts {
    uint64_t opened, closed;
    uint64_t reused; /* sessions on a connection that had served before */
    unsigned idle, in_use, dialling;
};

enum weir_want {
    WEIR_ANY,   /* an idle connection that looks alive will do */
    WEIR_SURE,  /* one that surely is: for a request that cannot be sent twice */
    WEIR_FRESH, /* a new one */
};

WEIR_API void weir_connector_options_init(struct weir_connector_options *options);

/*
 * A connector with a pool of its own on this loop. `options` may be NULL. The caller's until
 * weir_connector_free(). Several threads share a pool as services of a server do (server.h:
 * weir_service_connector()). WEIR_E_NO_MEMORY.
 */
WEIR_API enum weir_err weir_connector_new(struct weir_loop *loop,
                                          const struct weir_connector_options *options,
                                          struct weir_connector **ret_connector);
/*
 * Closes what rests, waits for what is under way, and nulls the pointer; NULL is fine. Whoever
 * still asks for a session gets WEIR_E_CANCELED, and who fetches goes on to the end. Sessions that
 * were not released are closed, and the log says so; nobody may be in a call on one.
 */
WEIR_SUSPENDS WEIR_API void weir_connector_free(struct weir_connector **connector);

WEIR_API void weir_connector_counts(const struct weir_connector *connector,
                                    struct weir_pool_counts *ret_counts);

/*
 * A session with the peer, on a connection that rests and lives, else on a new one. The caller's
 * until weir_session_release(). WEIR_E_REFUSED, _CONNECT_TIMEOUT, _QUEUE_FULL, _DNS_ERROR and the
 * rest of err.def's "Getting a connection"; _CANCELED.
 */
WEIR_SUSPENDS WEIR_API enum weir_err weir_connector_get(struct weir_connector *connector,
                                                        struct weir_peer *peer, enum weir_want want,
                                                        struct weir_time deadline,
                                                        struct weir_session **ret_session);

/*
 * Writes the head down, once; it is sent with the first piece of the body, or by a receive. The
 * request is the caller's again; one without an authority goes with that of the peer's URL.
 * `body_bytes`: how long the body is, WEIR_BODY_NONE or _UNKNOWN. WEIR_E_REQUEST_HEAD_LENGTH,
 * _NO_MEMORY.
 */
WEIR_API enum weir_err weir_session_send_head(struct weir_session *session,
                                              struct weir_request *request, uint64_t body_bytes);
/*
 * Sends a piece of the body; `last` with the last one. WEIR_E_BODY_LENGTH when it is not what
 * body_bytes said: the session is to be released then. _RESET, _EOF, _UPSTREAM_WRITE_TIMEOUT, ...
 */
WEIR_SUSPENDS WEIR_API enum weir_err weir_session_send(struct weir_session *session,
                                                       struct weir_slice bytes, bool last);
/*
 * Waits for the final head; interim ones are dropped. *ret_response is the session's, and valid
 * until its release. WEIR_E_RESET or _EOF when the connection broke before, _RESPONSE_TIMEOUT,
 * _RESPONSE_MALFORMED, ...
 */
WEIR_SUSPENDS WEIR_API enum weir_err weir_session_recv_head(struct weir_session *session,
                                                            struct weir_response **ret_response);
/*
 * Waits for a piece of the body, which is valid until the next call that receives. After the last
 * one there is nothing. WEIR_E_RESPONSE_INCOMPLETE, _RESPONSE_TIMEOUT, ...
 */
WEIR_SUSPENDS WEIR_API enum weir_err weir_session_recv(struct weir_session *session,
                                                       struct weir_time deadline,
                                                       struct weir_piece *ret_piece);
/*
 * Ends the session in whatever state it is, and nulls the pointer; NULL is fine. True: the
 * connection was kept.
 */
WEIR_API bool weir_session_release(struct weir_session **session);

WEIR_API void weir_session_connection(const struct weir_session *session,
                                      struct weir_connection *ret_connection);

/*
 * A whole exchange in one call: sends the request with the body (.at NULL: none), and receives a
 * response of at most `limit_bytes` into memory. Where a reused connection breaks before an answer
 * and the request may be sent twice (RFC 9110 section 9.2.2) it is sent again on a new one. The
 * reply is the caller's until weir_reply_free(). WEIR_E_TOO_LARGE, and as above.
 */
WEIR_SUSPENDS WEIR_API enum weir_err
weir_fetch(struct weir_connector *connector, struct weir_peer *peer, struct weir_request *request,
           struct weir_slice body, uint64_t limit_bytes, struct weir_time deadline,
           struct weir_reply **ret_reply);

/* A response in memory. */
WEIR_API struct weir_response *weir_reply_response(struct weir_reply *reply);
WEIR_API struct weir_slice weir_reply_body(const struct weir_reply *reply);
WEIR_API void weir_reply_connection(const struct weir_reply *reply,
                                    struct weir_connection *ret_connection);
/* Nulls the pointer; NULL is fine. */
WEIR_API void weir_reply_free(struct weir_reply **reply);

WEIR_END

#endif
