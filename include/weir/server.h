/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SERVER_H
#define WEIR_SERVER_H

/*
 * The server: threads, each with a loop, and services on all of them. A service has listeners and a
 * handler, or the phases of a proxy (proxy.h); one without either is a client of several threads.
 * Each service has one pool of upstream connections, which its threads share.
 *
 * A handler gets an exchange: one request of a client, and its answer. It runs in a coroutine of
 * its own. What it leaves undone is put in order when it returns: without an answer the client gets
 * a 500, in the middle of a body the response is cut, so that the client sees that it is not whole.
 */

#include <weir/connector.h>
#include <weir/loop.h>
#include <weir/message.h>

WEIR_BEGIN

struct weir_exchange;
struct weir_proxy_ops;
struct weir_server;
struct weir_service;

struct weir_server_options {
    unsigned threads; /* 0: one for each CPU that this process may use; 256 at most */
    enum weir_io io;
    bool handles_signals;          /* SIGINT and SIGTERM stop it; SIGPIPE is ignored in any case */
    struct weir_span grace_period; /* for what runs when it is stopped gracefully */
};

typedef WEIR_SUSPENDS void weir_handler_fn(struct weir_exchange *exchange);
/*
 * Runs in a coroutine on each thread when the server starts; `thread` counts from 0. A stop cancels
 * it at once, a graceful one too. What it spawns lasts until the server ends, and is canceled then.
 */
typedef WEIR_SUSPENDS void weir_started_fn(struct weir_service *service, unsigned thread);

struct weir_service_options {
    const char *name;                   /* for the log */
    void *owner;                        /* weir_exchange_owner(), weir_service_owner() */
    weir_handler_fn *handler;           /* of these two one at most */
    const struct weir_proxy_ops *proxy; /* outlives the service */
    weir_started_fn *started;           /* may be NULL */
    unsigned pool_size;                 /* idle upstream connections, over all threads */
    struct weir_span keepalive_timeout; /* a client's connection between two requests */
    struct weir_span header_timeout;    /* from a request's first byte to the end of its head */
    struct weir_span body_timeout;      /* from one piece of a request's body to the next */
    struct weir_span write_timeout;     /* until a piece of a response was taken */
    uint64_t max_request_body;          /* bytes; 0: none */
    unsigned retries;                   /* on other servers, when connecting fails */
};

struct weir_listen_options {
    const char *address;   /* "host:port", ":port", "[::1]:port", "unix:/path"; port 0: any */
    const char *cert_file; /* PEM; NULL: no TLS */
    const char *key_file;
    bool http1, http2;
    bool proxy_protocol; /* a PROXY preface comes first, and is believed */
};

/* How a server of an upstream is picked. */
enum weir_balance {
    WEIR_ROUND_ROBIN,
    WEIR_LEAST_CONNECTIONS,
    WEIR_RANDOM,
    WEIR_CONSISTENT_HASH, /* of the request's path */
};

/* Servers that share requests. */
struct weir_upstream_options {
    const char *name;
    const char *const *urls; /* as weir_peer_options.url; all of the same scheme */
    const unsigned *weights; /* as many, 1 to 1000; NULL: all alike */
    unsigned count;
    enum weir_balance balance;
    struct weir_peer_options peer; /* all but the URL */
    const char *health_path;       /* each is asked for it; NULL: it is not */
    struct weir_span health_interval;
};

WEIR_API void weir_server_options_init(struct weir_server_options *options);
WEIR_API void weir_service_options_init(struct weir_service_options *options);
WEIR_API void weir_listen_options_init(struct weir_listen_options *options);
WEIR_API void weir_upstream_options_init(struct weir_upstream_options *options);

/* `options` may be NULL. The caller's until weir_server_free(). WEIR_E_NO_MEMORY, _IO,
 * _NO_DESCRIPTORS. */
WEIR_API enum weir_err weir_server_new(const struct weir_server_options *options,
                                       struct weir_server **ret_server);
/* After weir_server_run(), or without it. Nulls the pointer; NULL is fine. */
WEIR_API void weir_server_free(struct weir_server **server);

/*
 * The rest is for before weir_server_run(). Everything in options is copied but what is said to
 * stay. `ret_why` (may be NULL) gets a sentence on errors.
 */
WEIR_API enum weir_err weir_server_add(struct weir_server *server,
                                       const struct weir_service_options *options,
                                       char ret_why[WEIR_WHY_BYTES],
                                       struct weir_service **ret_service);
/* Binds at once. WEIR_E_ADDRESS, _ADDRESS_IN_USE, _PERMISSION, _CONFIG (the certificate). */
WEIR_API enum weir_err weir_service_listen(struct weir_service *service,
                                           const struct weir_listen_options *options,
                                           char ret_why[WEIR_WHY_BYTES]);
/*
 * An upstream for a proxy: the first one is where requests go when `upstream_peer` is NULL or says
 * nothing. WEIR_E_ADDRESS, _CONFIG, _TRANSPORT.
 */
WEIR_API enum weir_err weir_service_add_upstream(struct weir_service *service,
                                                 const struct weir_upstream_options *options,
                                                 char ret_why[WEIR_WHY_BYTES]);
/* Where its listener of that number (from 0) really listens; valid as long as the service. */
WEIR_API const char *weir_service_address(const struct weir_service *service, unsigned listener);

/*
 * Serves until it is stopped, or, where nothing listens, until all `started` have returned; once.
 * The calling thread waits. Who handles signals has them blocked in threads of his own. WEIR_E_IO,
 * _NO_MEMORY, _NO_DESCRIPTORS.
 */
WEIR_API enum weir_err weir_server_run(struct weir_server *server);
/* From any thread, also from a handler, and before it runs. Graceful: running exchanges are given
 * the grace period. */
WEIR_API void weir_server_stop(struct weir_server *server, bool gracefully);

WEIR_API void *weir_service_owner(const struct weir_service *service);
/* This thread's connector to the service's pool. In a coroutine of the server. */
WEIR_API struct weir_connector *weir_service_connector(struct weir_service *service);

/* --- An exchange ------------------------------------------------------------------------------ */

WEIR_API void *weir_exchange_owner(const struct weir_exchange *exchange);
WEIR_API struct weir_service *weir_exchange_service(const struct weir_exchange *exchange);
/* Memory that lasts as long as the exchange; NULL when there is no more. */
WEIR_API void *weir_exchange_alloc(struct weir_exchange *exchange, size_t bytes);
/* The caller's own state of this exchange; NULL at first. */
WEIR_API void *weir_exchange_state(const struct weir_exchange *exchange);
WEIR_API void weir_exchange_set_state(struct weir_exchange *exchange, void *state);
/*
 * A connector on the service's pool. Sessions that are got from it and are still open when the
 * exchange ends are closed, and the log says in which phase they were got.
 */
WEIR_API struct weir_connector *weir_exchange_connector(struct weir_exchange *exchange);

/* As the client has sent it; a proxy's filters may change it. */
WEIR_API struct weir_request *weir_exchange_request(struct weir_exchange *exchange);
/* The client's address without port, or "unix". */
WEIR_API struct weir_slice weir_exchange_client(struct weir_exchange *exchange);
WEIR_API bool weir_exchange_is_tls(const struct weir_exchange *exchange);
/* The status that the client gets or has got; 0: none yet. */
WEIR_API unsigned weir_exchange_status(const struct weir_exchange *exchange);

/*
 * Waits for a piece of the request's body, valid until the next call. In a proxy who reads also
 * answers, since nothing of it goes to a server any more. WEIR_E_CLIENT_GONE, _REQUEST_TIMEOUT,
 * _REQUEST_BODY_LENGTH, _CANCELED; _FILTER when it is on its way to a server.
 */
WEIR_SUSPENDS WEIR_API enum weir_err weir_exchange_recv(struct weir_exchange *exchange,
                                                        struct weir_piece *ret_piece);
/*
 * A response to be filled and sent with weir_exchange_send_head(); the exchange's. WEIR_E_FIELD
 * for a status that is none, WEIR_E_NO_MEMORY.
 */
WEIR_API enum weir_err weir_exchange_new_response(struct weir_exchange *exchange, unsigned status,
                                                  struct weir_response **ret_response);
/*
 * Writes the head down; it is sent with the first piece. One final head (checked). WEIR_E_LIMIT,
 * _NO_MEMORY.
 */
WEIR_API enum weir_err weir_exchange_send_head(struct weir_exchange *exchange,
                                               struct weir_response *response, uint64_t body_bytes);
/* WEIR_E_BODY_LENGTH, _CLIENT_GONE, _CLIENT_WRITE_TIMEOUT, _CANCELED. */
WEIR_SUSPENDS WEIR_API enum weir_err weir_exchange_send(struct weir_exchange *exchange,
                                                        struct weir_slice bytes, bool last);
/*
 * A whole small answer, which nobody is to store (Cache-Control). `content_type` may be NULL: it is
 * not said. WEIR_E_FIELD for a status or a type that is none.
 */
WEIR_SUSPENDS WEIR_API enum weir_err weir_exchange_answer(struct weir_exchange *exchange,
                                                          unsigned status, const char *content_type,
                                                          struct weir_slice body);

WEIR_END

#endif
