/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_URL_H
#define CLIENT_URL_H

/* Addresses and URLs of servers, as people write them. Pure: no name is looked up. */

#include "client/transports.h"

/* What a URL says of how its server is spoken with. */
enum url_scheme {
    SCHEME_HTTP, /* nothing: as an address, unix:, and what a transport has */
    SCHEME_HTTPS,
    SCHEME_H2C, /* HTTP/2 without TLS */
};

enum { HOST_BYTES_MAX = 253 };

/* What was read: an address; or a name with its port; or a transport and what it opens, with an
 * address to tell it by. */
struct url {
    enum url_scheme scheme;
    struct addr addr;              /* .len 0: none */
    char host[HOST_BYTES_MAX + 1]; /* in lower case; "": none */
    uint16_t port;                 /* of `host` */
    struct weir_slice authority;   /* as it was written, behind the scheme; empty: there is none */
    struct custom_transport transport;
    struct weir_slice transport_address; /* a view of the text */
    char said[TRANSPORTS_TEXT_SIZE + 160];
};

/*
 * Each gives NULL, or what is wrong with the text, a literal or in url->said; *ret_url has the
 * scheme at most then.
 */

/* "http://host", "http://host:port", "https:" and "h2c:" alike, "unix:/path", "NAME:address". */
const char *url_read(struct weir_slice text, struct url *ret_url);
/* Where to connect: "host:port", "[::1]:port", "unix:/path", "NAME:address". */
const char *url_read_host_port(struct weir_slice text, struct url *ret_url);
/* Where to listen: the same, and ":port" (every address); port 0 is the kernel's choice. */
const char *url_read_listen(struct weir_slice text, struct url *ret_url);

/* Letters, digits, '-', '_' and '.', at least one. */
bool url_are_host_bytes(struct weir_slice text);

#endif
