/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_ADDRESS_H
#define CONFIG_ADDRESS_H

/*
 * Where to listen and where to connect, as people write it. Names are looked up here, once, which
 * may take as long as the resolver does: never call this on a worker.
 */

#include "config/report.h"
#include "io/addr.h"

enum address_use {
    ADDRESS_LISTEN, /* port 0 is the kernel's choice; no host is every address */
    ADDRESS_CONNECT,
};

/*
 * "host:port", "[::1]:port", "unix:/path". A mistake is told at `position`, and leaves `ret_addr`
 * as it is.
 */
void address_read(struct report *report, struct position position, struct weir_slice text,
                  enum address_use use, struct addr *ret_addr);

/* "http://host", "http://host:port", "unix:/path"; as address_read(). */
void address_read_url(struct report *report, struct position position, struct weir_slice text,
                      struct addr *ret_addr);

/* An IP alone; as address_read(). */
void address_read_ip(struct report *report, struct position position, struct weir_slice text,
                     struct addr *ret_addr);

#endif
