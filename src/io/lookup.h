/* SPDX-License-Identifier: MIT */
#ifndef IO_LOOKUP_H
#define IO_LOOKUP_H

/* Names that are looked up once, while something is set up. */

#include "io/addr.h"

/*
 * The first address of a name, with that port. Takes as long as the system's resolver does: never
 * on a worker. WEIR_E_DNS_ERROR: *ret_why says why, a literal.
 */
enum weir_err lookup_host(const char *host, uint16_t port, struct addr *ret_addr,
                          const char **ret_why);

#endif
