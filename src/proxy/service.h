/* SPDX-License-Identifier: MIT */
#ifndef PROXY_SERVICE_H
#define PROXY_SERVICE_H

/*
 * One worker's part of a service: its clients, its pool, and the state of balancing. Two services
 * never share a connection, since each has its own pool.
 */

#include "client/connector.h"
#include "co/wait.h"
#include "downstream/downstream.h"
#include "proxy/balance.h"
#include "proxy/budget.h"
#include "proxy/lookout.h"
#include "proxy/options.h"
#include "proxy/warm.h"
#include "upstream/pool.h"
#include "upstream/session.h"

enum { STATUS_MAX = 600 };

enum subrequest_kind {
    SUBREQUEST_WAITED_FOR,
    SUBREQUEST_PIPED,
    SUBREQUEST_BACKGROUND,
    SUBREQUEST_KINDS
};

/* What auth_request came to. */
enum auth_verdict { AUTH_ALLOWED, AUTH_DENIED, AUTH_UNDECIDED, AUTH_VERDICTS };

/* What became of the copy of a request for a mirror. */
enum mirror_result {
    MIRROR_SENT,
    MIRROR_TOO_LARGE,
    MIRROR_INCOMPLETE, /* the client has not sent all of it */
    MIRROR_REFUSED,    /* too many are on their way, or weir stops */
    MIRROR_RESULTS
};

const char *subrequest_kind_name(enum subrequest_kind kind);
const char *auth_verdict_name(enum auth_verdict verdict);
const char *mirror_result_name(enum mirror_result result);

struct service_stats {
    stat_count requests[STATUS_MAX]; /* by status; 0: the client went before it got one */
    struct histogram duration;
    stat_count subrequests[SUBREQUEST_KINDS][2]; /* [1]: was answered to the end */
    stat_count auth[AUTH_VERDICTS];
    stat_count mirrors[MIRROR_RESULTS];
    stat_count program_faults; /* what handlers and phases have left undone */
};

/* What is told of one exchange when it is over: the access log's line. Valid during the call only.
 */
struct access_record {
    const struct service *service;
    const struct exchange *exchange;
    struct weir_span duration;
    const char *upstream; /* NULL: none was chosen */
    const char *peer;     /* NULL: likewise */
    bool connected;       /* `story` is true */
    struct session_story story;
    unsigned attempts;     /* how many times a server was asked for */
    enum weir_err retried; /* why it was tried again the last time; WEIR_OK: it was not */
    enum keep not_kept;    /* why its connection was not kept; KEEP: it was, or there was none */
};

typedef void access_log_fn(void *owner, const struct access_record *record);

struct upstream_part {
    const struct upstream_options *options;
    struct balance balance;
    struct budget budget;      /* for tries on other servers */
    struct wait_queue changed; /* who waits for the first server */
    bool pending;              /* a name has not been answered yet */
    enum weir_err err;         /* why a name has no address; WEIR_OK */
};

struct service_parts {
    struct loop *loop;
    struct streams *streams;
    struct commons *commons;    /* of the service's pool */
    struct pool_family *family; /* of the worker */
    unsigned worker;
    access_log_fn *log; /* NULL: none */
    void *log_owner;
};

struct service {
    const struct service_options *options;
    struct loop *loop;
    struct downstream downstream;
    struct pool pool;
    struct upstream_part *upstreams;       /* and one more, for the peers of a program */
    struct upstream_stats *upstream_stats; /* one for each of those, by number */
    struct peers peers;                    /* of a program */
    struct weir_connector connector;       /* the program's, outside of exchanges */
    struct scope background;               /* subrequests that nobody waits for */
    unsigned background_count;
    bool canceled; /* nothing more begins in the background */
    struct slab subrequest_slab;
    struct warm warm;        /* the first worker's */
    struct lookout *lookout; /* likewise; NULL: there is nothing to look out for */
    bool asks_clients;       /* for certificates, on some listener */
    struct service_stats stats;
    access_log_fn *log;
    void *log_owner;
};

/* Makes this worker's part; the options must outlive it. WEIR_E_NO_MEMORY. */
enum weir_err service_open(const struct service_options *options, const struct service_parts *parts,
                           struct service **ret_service);
/* Every client must have gone (checked). Nulls the pointer. */
void service_close(struct service **service);

/* Takes no new requests and keeps no connection; running exchanges go on. */
void service_drain(struct service *service);

/* Whether no client is left, and nothing of the pool is on its way. */
bool service_has_ended(const struct service *service);

/* Cancels what still runs: for when the grace period is over. */
void service_cancel(struct service *service);

/* The number of the upstream of that name; -1: there is none. */
int service_find_upstream(const struct service_options *options, const char *name);

/* Serves one exchange from top to bottom (serve.c): the handler of the service's downstream. */
WEIR_SUSPENDS void serve(void *service, struct exchange *exchange);

#endif
