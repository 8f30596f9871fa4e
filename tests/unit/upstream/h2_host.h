/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_UPSTREAM_H2_HOST_H
#define TESTS_UNIT_UPSTREAM_H2_HOST_H

/*
 * Servers that speak HTTP/2, for the connections of a rig: each connection is a host, a session on
 * a plain socket that a coroutine of the test moves, unless it is mute. What it answers is said by
 * the test, or at once where it `answers`. And those who ask them, a coroutine each.
 */

#include "tests/unit/upstream/swap.h"
#include "upstream/conn_h2.h"

/* After those in which its names stand for other things. */
#include "tests/unit/http/h2_end.h"

enum { HOSTS = 6, ASKERS = 12 };

/* One connection, seen from the server. */
struct host {
    struct end end;
    int descriptor;    /* -1: it is over */
    unsigned server;   /* of the rig */
    bool mute;         /* neither reads nor sends */
    unsigned answered; /* of end.users */
};

/* What they have in common. */
struct hosts {
    struct host at[HOSTS];
    unsigned count;
    uint32_t max_streams;   /* that the next ones say */
    bool closed, says_less; /* nobody is accepted; but for SETTINGS all is done */
    bool answers, reads;    /* all requests; all bodies, which it forgets */
    bool stops, stopped;
};

static struct hosts hosts;

/* Who asks server 0 for a session, and has it. */
struct asker {
    struct session *session;
    enum connector_want want;
    enum weir_err err;
    bool over;
    struct co *co;
};

static struct asker askers[ASKERS];

/* --- The servers ----------------------------------------------------------------------------- */

static inline void host_accept(unsigned server)
{
    int descriptor =
        accept4(rig.servers[server].descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0)
        return;
    must(hosts.count < HOSTS);
    struct host *host = &hosts.at[hosts.count++];
    struct h2_session_options options = end_serving();
    raw_no_delay(descriptor);
    options.max_streams = hosts.max_streams;
    end_open(&host->end, options);
    host->descriptor = descriptor;
    host->server = server;
    host->mute = hosts.says_less;
    host->answered = 0;
}

/* The server's end of the connection: an orderly one, after all has been read. */
static inline void host_close(struct host *host)
{
    static char bytes[32768];
    if (host->descriptor < 0)
        return;
    while (raw_recv_now(host->descriptor, bytes, sizeof bytes) > 0)
        ;
    end_close(&host->end);
    raw_close(host->descriptor);
    host->descriptor = -1;
}

static inline void host_answer(struct host *host, unsigned user)
{
    if (host->end.users[user].asked && !host->end.users[user].stream.submitted)
        end_answer(&host->end.users[user], true);
}

WEIR_SUSPENDS static inline void host_send(struct host *host)
{
    end_send(&host->end, NULL);
    if (host->end.sent_bytes > 0)
        raw_send_bytes(host->descriptor, host->end.sent, host->end.sent_bytes);
}

WEIR_SUSPENDS static inline void host_move(struct host *host)
{
    static char bytes[32768];
    ssize_t count;
    if (host->descriptor < 0 || host->mute)
        return;
    while ((count = raw_recv_now(host->descriptor, bytes, sizeof bytes)) > 0)
        h2_session_feed(&host->end.session, slice_of(bytes, (size_t)count));
    if (count == 0 || count == RAW_RESET)
        h2_session_ended(&host->end.session, WEIR_E_EOF);
    for (unsigned i = 0; hosts.answers && i < host->end.user_count; i++)
        if (!host->end.users[i].stream.closed)
            host_answer(host, i);
    struct http_piece piece;
    for (unsigned i = 0; hosts.reads && i < host->end.user_count; i++)
        (void)!h2_stream_piece_now(&host->end.users[i].stream, &piece);
    if (!host->end.session.failed)
        host_send(host);
}

WEIR_SUSPENDS static inline void hosts_run(void *unused)
{
    (void)unused;
    while (!hosts.stops) {
        for (unsigned i = 0; !hosts.closed && i < RIG_SERVERS; i++)
            host_accept(i);
        for (unsigned i = 0; i < hosts.count; i++)
            host_move(&hosts.at[i]);
        (void)!co_sleep(weir_span_ms(1));
    }
    hosts.stopped = true;
}

/* Nothing that it has not been told to close has been closed at its other end. */
static inline bool host_is_open(const struct host *host)
{
    return host->descriptor >= 0 && !host->end.session.failed;
}

/* --- The peers ------------------------------------------------------------------------------- */

static inline struct peer_options host_options(unsigned number)
{
    struct peer_options options;
    peer_options_init(&options);
    options.upstream = "web";
    options.upstream_number = number;
    options.addr = rig.servers[number].addr;
    options.protocol = PEER_HTTP2;
    return options;
}

/* A rig whose server 0 speaks HTTP/2, and allows so many streams. */
static inline void host_open_among(uint32_t max_streams, unsigned part_count)
{
    struct peer_options options;
    rig_open_among(8, part_count);
    options = host_options(0);
    peer_init(&rig.peers[0], &options);
    hosts.count = 0;
    hosts.max_streams = max_streams;
    hosts.closed = hosts.says_less = hosts.answers = hosts.reads = hosts.stops = hosts.stopped =
        false;
    memset(askers, 0, sizeof askers);
    CHECK_OK(co_spawn(&stage.loop.sched, NULL, "hosts", hosts_run, NULL, NULL));
}

static inline void host_open(uint32_t max_streams)
{
    host_open_among(max_streams, 1);
}

/* Everyone has given back what he had. */
WEIR_SUSPENDS static inline void host_fini(void)
{
    pool_audit(&rig.pool);
    CHECK_EQ(0, rig.pool.in_use_count);
    CHECK_EQ(0, stat_read(&rig.stats[0].streams));
    hosts.stops = true;
    STAGE_UNTIL(hosts.stopped);
    rig_close();
    for (unsigned i = 0; i < hosts.count; i++)
        host_close(&hosts.at[i]);
}

/* --- Who asks -------------------------------------------------------------------------------- */

WEIR_SUSPENDS static inline void asker_run(void *argument)
{
    struct asker *asker = argument;
    asker->err = connector_get(&rig.pool, &rig.peers[0], asker->want, in_ms(5000), &asker->session);
    asker->over = true;
    asker->co = NULL;
}

/* One more that asks from now on. */
static inline void ask_for(unsigned number, enum connector_want want)
{
    must(number < ASKERS && !askers[number].session);
    askers[number] = (struct asker){.want = want};
    CHECK_OK(
        co_spawn(&stage.loop.sched, NULL, "asker", asker_run, &askers[number], &askers[number].co));
}

static inline void ask_many(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ask_for(i, CONNECTOR_ANY);
}

/* Those up to this one have what they asked for. */
WEIR_SUSPENDS static inline bool all_have(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!STAGE_UNTIL(askers[i].over) || !CHECK_OK(askers[i].err))
            return false;
    pool_audit(&rig.pool);
    return true;
}

static inline struct conn *conn_of(unsigned number)
{
    return askers[number].session->conn;
}

static inline void give_back(unsigned number)
{
    session_release(&askers[number].session, true);
    pool_audit(&rig.pool);
}

static inline void give_all_back(void)
{
    for (unsigned i = 0; i < ASKERS; i++)
        give_back(i);
}

/* Sends a request without a body. */
WEIR_SUSPENDS static inline enum weir_err send_get(struct session *session)
{
    swap_request("GET");
    swap.request.authority = SLICE("example.com");
    TRY(session_send_head(session, &swap.request, &swap.request_framing));
    return session_flush(session);
}

/* A whole exchange with a host that answers. */
WEIR_SUSPENDS static inline enum weir_err exchange(struct session *session)
{
    struct http_piece piece;
    TRY(send_get(session));
    TRY(session_recv_head(session, &swap.response, &swap.framing));
    do
        TRY(session_recv_piece(session, WEIR_NEVER, &piece));
    while (!piece.last);
    return WEIR_OK;
}

static inline uint64_t opened_count(void)
{
    return stat_read(&rig.stats[0].opened);
}

#endif
