/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_ADDRESS_H
#define CONFIG_ADDRESS_H

/*
 * Where to listen and where to connect, as people write it. A mistake is told at `position`, and
 * leaves the output as it is.
 */

#include "base/memory.h"
#include "config/report.h"
#include "proxy/options.h"

/*
 * Where to listen: "host:port", ":port" (every address), "[::1]:port", "unix:/path"; port 0 is the
 * kernel's choice. A name is looked up here, once, which may take as long as the system's resolver
 * does: never call this on a worker.
 */
void address_read_listen(struct report *report, struct position position, struct weir_slice text,
                         struct addr *ret_addr);

/*
 * A server: "host:port", "[::1]:port", "unix:/path", "h2c://host:port"; or as a URL "http://host",
 * "http://host:port", "https:" and "h2c:" alike, "unix:/path"; either way "NAME:address" of a
 * transport, whose name no host has then. Sets the scheme, and the address, or the host and port of
 * a name, which is `memory`'s.
 */
void address_read_server(struct report *report, struct memory *memory, struct position position,
                         struct weir_slice text, struct server_options *ret_server);
void address_read_url(struct report *report, struct memory *memory, struct position position,
                      struct weir_slice text, struct server_options *ret_server);

/* An IP alone. */
void address_read_ip(struct report *report, struct position position, struct weir_slice text,
                     struct addr *ret_addr);

/* An IP, and a port if there is one: 0 stands for none. */
void address_read_ip_port(struct report *report, struct position position, struct weir_slice text,
                          struct addr *ret_addr);

#endif
