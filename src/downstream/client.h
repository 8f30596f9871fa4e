/* SPDX-License-Identifier: MIT */
#ifndef DOWNSTREAM_CLIENT_H
#define DOWNSTREAM_CLIENT_H

/* One accepted connection: parked, or served by its coroutine. */

#include "downstream/downstream.h"
#include "http/h1_out.h"
#include "http/h1_wire.h"

struct client {
    uint32_t magic;
    enum weir_err complaint; /* every request is answered with it */
    struct downstream *downstream;
    struct list link;                         /* in downstream.clients */
    const struct listener_options *listening; /* it came to */
    struct stream *stream;
    uint64_t number; /* never used again in this process */
    struct addr from;
    struct addr *local; /* that it has connected to, if that is wanted or a preface tells; NULL */
    struct co *co;      /* NULL while parked */
    struct timer timer; /* parked: its end; busy: the grace after the peer's end */
    struct h2_client *h2; /* it speaks HTTP/2 (client_h2.h); NULL: HTTP/1, or nothing yet */
    struct h1_wire wire;
    struct h1_out out;
    uint64_t requests;
    bool greeting, greeted; /* what comes before the first request is under way; has begun */
    bool responding;        /* the final head of the present exchange was written */
};

/* What becomes of a connection after an exchange. */
enum client_next {
    CLIENT_NEXT_REQUEST,
    CLIENT_CLOSE,  /* everything that came was read */
    CLIENT_LINGER, /* bytes may still be on their way, which must not turn the end into a reset */
    CLIENT_CUT,    /* the client must see that the response is not whole */
    CLIENT_HTTP2,  /* HTTP/2 has taken over */
};

/* Serves one request of HTTP/1 (client_h1.c). */
WEIR_SUSPENDS enum client_next client_serve_h1(struct client *client);

#endif
