/* SPDX-License-Identifier: MIT */
#ifndef STREAM_TLS_SERVER_H
#define STREAM_TLS_SERVER_H

/*
 * How weir speaks TLS as a server: which certificates it has, and whom it lets in. One for each
 * listener, shared by all workers. What it was made of can be read again while it runs: connections
 * from then on get what is new, those before keep what they have.
 */

#include "stream/tls_policy.h"
#include "stream/tls_tickets.h"

enum client_cert { CLIENT_CERT_NONE, CLIENT_CERT_OPTIONAL, CLIENT_CERT_REQUIRED };

struct tls_identity {
    const char *cert_file, *key_file;
};

struct tls_server_options {
    struct tls_policy policy;
    const struct tls_identity *identities; /* the first is for who names none of them */
    unsigned identity_count;
    const char *client_ca_file; /* who vouches for clients; NULL: nobody is asked */
    enum client_cert client_cert;
    bool session_tickets;
    struct weir_span ticket_rotation;
    struct weir_span handshake_timeout;
};

struct tls_server {
    struct tls_server_options options; /* everything in it outlives the server */
    struct tickets tickets;
    pthread_mutex_t lock;       /* over `context` */
    struct ssl_ctx_st *context; /* the first identity's, which owns the others */
};

void tls_server_options_init(struct tls_server_options *options);

/*
 * Reads all files. NULL: the fault says why; *ret_which is the number of the identity at fault.
 */
struct tls_server *tls_server_new(const struct tls_server_options *options, unsigned *ret_which,
                                  struct tls_fault *ret_fault);
/* No connection may be in the middle of its handshake. NULL is fine. */
void tls_server_free(struct tls_server *server);

/* Reads all files again, from any thread; false: the fault says why, and all stays as it was. */
bool tls_server_reload(struct tls_server *server, struct tls_fault *ret_fault);

/* For one connection, for tls_open(); NULL when memory is out. */
struct ssl_st *tls_server_ssl(struct tls_server *server);

#endif
