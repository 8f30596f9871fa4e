/* SPDX-License-Identifier: MIT */
#ifndef SIM_ORIGIN_H
#define SIM_ORIGIN_H

/*
 * An HTTP/1 server with bad habits. Each request tells a nonce and a key, in X-Nonce and X-Key, and
 * how long its body is, in X-Len; each response repeats the nonce and tells the number of its
 * connection and the length of its body, in X-Nonce, X-Conn and X-Len. Both bodies are made of the
 * nonce, so that nobody can take one for another.
 *
 * Its own reading is simple, and shares nothing with what it tests.
 */

#include "tests/sim/server.h"
#include "tests/sim/sim.h"

/* Chances per thousand: of each response, or of each time that it waits for a request. */
struct origin_habits {
    unsigned close_after; /* closes without a word behind a response */
    unsigned say_close;   /* Connection: close, and does so */
    unsigned http10;      /* answers in HTTP/1.0, with keep-alive or without a word of it */
    unsigned chunked, until_close, empty;
    unsigned doubtful;   /* Content-Length beside Transfer-Encoding, or the latter in HTTP/1.0 */
    unsigned interim;    /* 100 or 103 before the response */
    unsigned hint;       /* a Keep-Alive field */
    unsigned slow;       /* rests before it answers, and in the middle */
    unsigned silent;     /* never answers */
    unsigned cut;        /* ends in the middle of head or body */
    unsigned reset;      /* the same, with a reset */
    unsigned early;      /* answers before it has read the body, and ends */
    unsigned excess;     /* bytes, or a whole response, right behind the response */
    unsigned idle_bytes; /* the same, while nobody asks anything */
    unsigned idle_close, idle_reset;
    struct weir_span idle_max, slow_max;
    unsigned body_max;
};

struct origin {
    struct sim_world *world;
    struct server server;
    struct origin_habits habits;
    const char *breach;    /* the first rule that a client broke; NULL: none */
    unsigned requests_max; /* on one connection; 0: no limit */
    unsigned request_count;
    /* Connections, by number, on which a response went out that nobody had asked for. */
    bool tainted[4096]; /* as many as a pool that is played has */
    bool posted[65536]; /* nonces of the requests that must not come twice */
};

enum weir_err origin_open(struct origin *origin, struct sim_world *world, struct loop *loop,
                          const char *addr);
WEIR_SUSPENDS void origin_close(struct origin *origin);

/* Habits of servers that may well be met; and of those that only ever end what is idle. */
struct origin_habits origin_bad(struct sim_world *world);
struct origin_habits origin_polite(struct sim_world *world);

/* Byte `at` of the body of a request (`answer` false) or its response. */
static inline char origin_body_byte(uint64_t nonce, bool answer, size_t at)
{
    return (char)('a' + (nonce * 31 + at * 7 + answer * 13 + at / 100) % 26);
}

#endif
