/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SUBREQUEST_H
#define WEIR_SUBREQUEST_H

/*
 * A subrequest is a whole exchange through the same service as its parent, made by one of the
 * parent's phases: through all phases and the same pool, but answered to the one who made it.
 *
 * Subrequests may make subrequests, WEIR_SUBREQUEST_DEPTH_MAX deep, and one exchange makes
 * WEIR_SUBREQUEST_COUNT_MAX of them at most: WEIR_E_SUBREQUEST_LIMIT. When the parent's client goes
 * away what the parent waits for is canceled; what runs in the background goes on.
 */

#include <weir/proxy.h>

WEIR_BEGIN

enum { WEIR_SUBREQUEST_DEPTH_MAX = 4, WEIR_SUBREQUEST_COUNT_MAX = 64 };

/* A part of a body that was kept, or all of it. */
struct weir_kept {
    struct weir_slice bytes;
    bool truncated; /* there was more than the limit */
    bool complete;  /* the body came to its end */
};

/* What a subrequest sends as its body. */
enum weir_subrequest_body {
    WEIR_SEND_NOTHING,
    WEIR_SEND_BYTES, /* `bytes` */
    WEIR_SEND_KEPT,  /* `kept`, which must be whole: else WEIR_E_TRUNCATED, and nothing is sent */
    /* The parent's request body as it comes, kept on the way up to `keep_bytes`. WEIR_E_TRUNCATED
     * when some of it was read already. */
    WEIR_SEND_PARENT,
};

struct weir_subrequest_options {
    struct weir_peer *peer; /* NULL: as the phases choose */
    const char *upstream;   /* the service's; NULL: likewise */
    bool without_phases;    /* the service's ops take no part */
    enum weir_subrequest_body body;
    struct weir_slice bytes;
    struct weir_kept kept;
    uint64_t keep_bytes;     /* of WEIR_SEND_PARENT */
    uint64_t response_bytes; /* of weir_subrequest_run(): a larger body is WEIR_E_TOO_LARGE */
    struct weir_time deadline;
    /*
     * The very connection that the parent holds, if that is between two exchanges and the peer is
     * the same; else it goes through the pool. weir_subrequest.on_parents_connection tells.
     */
    bool on_parents_connection;
};

/* What came of one. */
struct weir_subrequest {
    unsigned status; /* 0: there was no head */
    bool head_sent;  /* of weir_subrequest_pipe(): the parent's client has got the head */
    bool on_parents_connection;
    struct weir_kept kept; /* of WEIR_SEND_PARENT; the parent's, as long as it lasts */
    enum weir_err err;     /* why the upstream gave no answer: the status is weir's own then */
};

/* A piece of a piped response, or its head (`response` is not NULL): may be changed, as in
 * proxy.h. *drop: it is not passed on. */
typedef WEIR_SUSPENDS enum weir_err weir_pipe_fn(void *owner, struct weir_response *response,
                                                 struct weir_piece *piece, bool *drop);

WEIR_API void weir_subrequest_options_init(struct weir_subrequest_options *options);

/*
 * A copy of the parent's request as request_filter has left it (without what a proxy puts in), to
 * be changed and sent: without what speaks of a body. The caller's until weir_request_free().
 */
WEIR_API enum weir_err weir_exchange_copy_request(struct weir_exchange *parent,
                                                  struct weir_request **ret_request);
/* The exchange that has made this one; NULL: a client did. */
WEIR_API struct weir_exchange *weir_exchange_parent(const struct weir_exchange *exchange);

/*
 * Runs it and waits: the response is in memory, and the parent's to free (weir_reply_free()); NULL
 * stands for none. `ret_what` may be NULL. An answer that weir made, because the upstream gave
 * none, is a reply too. WEIR_E_SUBREQUEST_LIMIT, _TRUNCATED, _TOO_LARGE, _TIMEOUT, _CANCELED, ...
 */
WEIR_SUSPENDS WEIR_API enum weir_err
weir_subrequest_run(struct weir_exchange *parent, struct weir_request *request,
                    const struct weir_subrequest_options *options, struct weir_subrequest *ret_what,
                    struct weir_reply **ret_reply);
/*
 * Starts it and goes on; it outlives the parent, its answer is dropped, and the end of the service
 * waits for it. The request is copied. It cannot send the parent's body as it comes.
 * WEIR_E_SUBREQUEST_LIMIT when too many run.
 */
WEIR_API enum weir_err weir_subrequest_background(struct weir_exchange *parent,
                                                  struct weir_request *request,
                                                  const struct weir_subrequest_options *options);
/*
 * Runs it and passes its response on to the parent's client, through `filter` (may be NULL): the
 * parent is answered then. When the filter drops the head, nothing of the body is passed on.
 */
WEIR_SUSPENDS WEIR_API enum weir_err
weir_subrequest_pipe(struct weir_exchange *parent, struct weir_request *request,
                     const struct weir_subrequest_options *options, weir_pipe_fn *filter,
                     void *owner, struct weir_subrequest *ret_what);

WEIR_END

#endif
