/* SPDX-License-Identifier: MIT */
#ifndef SIM_POOL_PLAY_H
#define SIM_POOL_PLAY_H

/*
 * Who takes part when the pool is simulated: clients (pool_client.c) against origins (origin.c),
 * under rules that are looked at after every step (pool_rules.c). A broken rule ends the program.
 */

#include "co/scope.h"
#include "tests/sim/origin.h"
#include "tests/sim/sim.h"
#include "upstream/connector.h"

enum { ORIGINS_MAX = 4, KEYS_PER_ORIGIN = 2, PEERS_MAX = ORIGINS_MAX * KEYS_PER_ORIGIN };
enum { CLIENTS_MAX = 10, BODY_MAX = 3000, PARTS_MAX = 4, CONNECTIONS_MAX = 4096 };

/* What a run has seen, added up over all seeds. */
struct tally {
    uint64_t requests, answered, failed, replayed, canceled, stale, unchecked;
    uint64_t puts, dials, moves, drains, cancels;
    uint64_t numbers_reused;
    uint64_t siblings; /* sessions of another peer than was asked for */
    uint64_t closed[CLOSE_COUNT], not_kept[KEEP_COUNT], unexpected[PLACE_COUNT];
    uint64_t sources[SOURCE_COUNT], misses[MISS_COUNT], waits[WAIT_COUNT], takeovers[TAKE_COUNT];
};

struct play;

struct client {
    struct play *play;
    struct part *part;
    struct co *co;
    unsigned number, requests_left;
    uint64_t connection; /* the id of the one it uses; 0: none */
    struct session *session;
    unsigned peer_number;
    struct peer *peer; /* referred to */
    uint64_t nonce;
    size_t body_len; /* of the request */
    bool sent_chunked, polite;
    bool began;      /* to send */
    bool done;       /* has the whole response */
    bool says_close; /* the response does */
    size_t got;
    struct http_request request;
    struct http_response response;
    struct http_framing framing;
    char nonce_text[24], key_text[24], len_text[24];
    char body[BODY_MAX];
};

/* A worker's part of the pool. */
struct part {
    struct play *play;
    struct loop loop;
    struct streams streams;
    struct pool pool;
    struct upstream_stats stats[PEERS_MAX];
    struct peer *peers[PEERS_MAX]; /* NULL: drained, and none in its place */
    struct mail drain_mail;
};

/* One seed's world. The origins live with the first part. */
struct play {
    struct sim_world world;
    struct commons *commons;
    struct part parts[PARTS_MAX];
    struct origin origins[ORIGINS_MAX];
    unsigned part_count, origin_count, peer_count, client_count, clients_alive;
    struct peer kinds[PEERS_MAX]; /* what the peers of that number are like; no pool knows these */
    unsigned peers_alive, changing;
    struct client *clients[CLIENTS_MAX];
    bool polite, collide;
    uint64_t next_nonce, gets;
    /* Which connection of its origin one is, by its id; and the other way round. */
    unsigned accepted_as[CONNECTIONS_MAX];
    uint64_t ids[ORIGINS_MAX][CONNECTIONS_MAX];
    struct tally *tally;
};

/* A client of that number, in a coroutine of its own; it makes some requests and leaves. */
void client_start(struct play *play, unsigned number);

/* One more kind of peer, of which each part has one. */
void peers_open(struct play *play, const struct peer_options *options);
/* From now on they go and come back for a while, as long as play->changing. */
void peers_change(struct play *play);
/* When nothing is on its way any more: nothing may be left of them. */
void peers_close(struct part *part);

/* The books balance, and no origin has seen a rule broken. */
void rules_check(const struct play *play);
/* A response says which of its origin's connections it came on: an id means one of them, always. */
void rules_check_identity(const struct client *client, uint64_t accepted_as);
/* The session that the client has just got is one that it may have. */
void rules_check_taken(const struct client *client);

#endif
