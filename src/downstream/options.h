/* SPDX-License-Identifier: MIT */
#ifndef DOWNSTREAM_OPTIONS_H
#define DOWNSTREAM_OPTIONS_H

#include "io/addr.h"
#include "stream/tls_server.h"
#include <weir/time.h>

#include <stdint.h>

enum at_limit { AT_LIMIT_CLOSE, AT_LIMIT_KEEP };

/* One address to listen on. */
struct listener_options {
    struct addr addr;
    struct tls_server *tls; /* NULL: plain */
    bool expects_preface;   /* a PROXY preface comes first, and is believed */
    bool speaks_h1, speaks_h2;
};

/* Plain, and whichever protocol the client speaks; the address is left empty. */
static inline void listener_options_init(struct listener_options *options)
{
    *options = (struct listener_options){.speaks_h1 = true, .speaks_h2 = true};
}

/* How a service treats its clients. */
struct client_options {
    struct weir_span keepalive_timeout; /* idle between two requests */
    struct weir_span header_timeout;    /* from a request's first byte to the end of its head */
    struct weir_span body_timeout;      /* from one piece of a request's body to the next */
    struct weir_span write_timeout;     /* until a piece of the response has been taken */
    uint64_t keepalive_request_limit;   /* requests per connection; 0: none */
    enum at_limit upstream_at_limit;    /* what becomes of the last request's upstream connection */
    uint64_t max_request_body;          /* bytes; 0: none */
};

/* Defaults of docs/configuration.md. */
void client_options_init(struct client_options *options);

#endif
