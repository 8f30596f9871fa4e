/* SPDX-License-Identifier: MIT */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

/* A server and its services, as a program sees them (weir/server.h). */

#include "base/memory.h"
#include "server/workers.h"

struct weir_server {
    struct memory *memory; /* of the services, and all that their options point at */
    struct workers workers;
    bool handles_signals;
    bool runs; /* or has run: nothing may be added any more */
};

struct weir_service {
    struct weir_server *server;
    unsigned number; /* among the workers' services */
    struct service_options options;
    struct upstream_options *upstreams; /* options.upstreams */
    unsigned retries;                   /* of an upstream that is added */
};

/* Writes a sentence where there is room for one, and returns the error. */
__attribute__((format(printf, 3, 4))) enum weir_err
server_tell(enum weir_err err, char ret_why[WEIR_WHY_BYTES], const char *format, ...);
/* Copies that last as long as the server; NULL stays NULL. When memory is out it has failed. */
const char *server_copy(struct weir_server *server, const char *text);
enum weir_err server_memory(const struct weir_server *server, char ret_why[WEIR_WHY_BYTES]);

#endif
