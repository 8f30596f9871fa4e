/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_TRANSPORTS_H
#define CLIENT_TRANSPORTS_H

/*
 * The transports that there are, by name (weir/transport.h): exec, and those that a program has
 * registered before its threads began.
 */

#include "io/addr.h"
#include "stream/custom.h"

/* "exec:command" takes a command's standard input and output (exec.c, which sees public headers
 * only). */
extern const struct weir_byte_transport exec_transport;

/*
 * The transport that a URL names, and what stands behind its colon; none: no transport has that
 * name, or there is no colon.
 */
struct custom_transport transports_find(struct weir_slice url, struct weir_slice *ret_address);

/* The name that a URL begins with, if a transport could be called so; else empty. */
struct weir_slice transports_name_in(struct weir_slice url);

/* The names, "a, b", in the order of registration. As much as there is room for. */
enum { TRANSPORTS_TEXT_SIZE = 128 };
const char *transports_names(char ret_text[static TRANSPORTS_TEXT_SIZE]);

#endif
