/* SPDX-License-Identifier: MIT */
#ifndef APP_SURVEY_H
#define APP_SURVEY_H

/*
 * Asks every worker what its pools hold. Each answers on its own thread with a copy of the numbers,
 * so nobody looks into another's pool. The asking side is worker 0's: questions go out and answers
 * come back as mail, and whoever asked may be gone by then.
 */

#include "app/program.h"
#include "base/buf.h"
#include <weir/suspends.h>

/* Where the surveys of one program come from. Worker 0's. */
struct surveyor {
    struct program *program;
    unsigned outstanding; /* questions that have not come back: worker 0's loop must not end yet */
};

/* One address of an upstream of a service. */
struct survey_peer {
    unsigned service, upstream;
    struct addr addr;
    const char *sni; /* as a server of the configuration has it; NULL: none */
    bool unwell;     /* it fails its health checks */
    uint64_t opened, reused, taken_over;
    uint64_t idle, in_use, dialling, waiting;
    uint64_t streams;                /* of HTTP/2, on all its connections */
    int64_t learned_idle_timeout_ms; /* 0: nothing was learned */
    uint64_t learned_max_requests;   /* 0: likewise */
};

struct survey_conn {
    unsigned peer; /* its place in survey.peers */
    unsigned worker;
    uint64_t id;
    bool in_use;
    enum http_protocol protocol;
    unsigned streams; /* of HTTP/2; else 0 */
    int64_t age_ms, idle_ms;
    uint64_t requests;
    const char *tls_version; /* NULL: plain */
    bool tls_resumed;
};

struct survey {
    struct surveyor *surveyor;
    struct survey_part **parts; /* by worker */
    struct co *asker;           /* while it waits */
    unsigned pending;
    bool abandoned;    /* frees itself with the last answer */
    unsigned answered; /* workers whose numbers are in what follows: */
    struct buf peers;  /* struct survey_peer, by service, upstream and address */
    struct buf conns;  /* struct survey_conn, by peer, worker and id */
};

/*
 * Asks, and waits until all have answered or `deadline` has passed: then the survey has what came.
 * The caller frees it. WEIR_E_NO_MEMORY, _CANCELED.
 */
WEIR_SUSPENDS enum weir_err survey_take(struct surveyor *surveyor, struct weir_time deadline,
                                        struct survey **ret_survey);
void survey_free(struct survey **survey);

static inline const struct survey_peer *survey_peers(const struct survey *survey)
{
    return (const struct survey_peer *)(const void *)survey->peers.at;
}

static inline size_t survey_peer_count(const struct survey *survey)
{
    return survey->peers.len / sizeof(struct survey_peer);
}

static inline const struct survey_conn *survey_conns(const struct survey *survey)
{
    return (const struct survey_conn *)(const void *)survey->conns.at;
}

static inline size_t survey_conn_count(const struct survey *survey)
{
    return survey->conns.len / sizeof(struct survey_conn);
}

#endif
