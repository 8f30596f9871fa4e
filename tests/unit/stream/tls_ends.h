/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_STREAM_TLS_ENDS_H
#define TESTS_UNIT_STREAM_TLS_ENDS_H

/* TLS streams of weir's own on the stage, both ends of it, over a pair or over sockets. */

#include "co/scope.h"
#include "stream/tls_client.h"
#include "stream/tls_server.h"
#include "tests/unit/http/stage.h"
#include "tests/unit/stream/certificates.h"

#include <sys/socket.h>

/* What lies below: a tiny pair takes the tickets at once, and no certificate. */
enum below { BELOW_PAIR, BELOW_TINY_PAIR, BELOW_SOCKETS, BELOW_COUNT };
enum { PAIR_BYTES = 65536, TINY_PAIR_BYTES = 1000 };

static inline void below_make(enum below below, struct stream **ret_server,
                              struct stream **ret_client)
{
    int ends[2];
    if (below != BELOW_SOCKETS) {
        size_t capacity = below == BELOW_PAIR ? PAIR_BYTES : TINY_PAIR_BYTES;
        must(stream_pair(&stage.loop, capacity, ret_server, ret_client) == WEIR_OK);
        return;
    }
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    must(socket_stream_attach(&stage.streams.sockets, ends[0], ret_server) == WEIR_OK);
    must(socket_stream_attach(&stage.streams.sockets, ends[1], ret_client) == WEIR_OK);
}

/* --- Who speaks ------------------------------------------------------------------------------ */

static inline struct tls_identity identity_of(enum certificate_name name)
{
    return (struct tls_identity){certs[name].cert_file, certs[name].key_file};
}

/* With these options, whose identity becomes `name`. */
static inline struct tls_server *server_with(struct tls_server_options options,
                                             enum certificate_name name)
{
    static struct tls_identity identities[CERT_COUNT];
    struct tls_fault fault;
    unsigned which;
    identities[name] = identity_of(name);
    options.identities = &identities[name];
    options.identity_count = 1;
    struct tls_server *server = tls_server_new(&options, &which, &fault);
    must(server);
    return server;
}

static inline struct tls_server *server_of(enum certificate_name name)
{
    struct tls_server_options options;
    tls_server_options_init(&options);
    return server_with(options, name);
}

/* Who trusts the authority. */
static inline struct tls_client *client_with(const struct tls_client_options *options)
{
    struct tls_digest digest;
    struct tls_fault fault;
    struct x509_store_st *trust = tls_read_trust(certs[CERT_CA].cert_file, &digest, &fault);
    must(trust);
    struct tls_client *client = tls_client_new(options, trust, &digest, &fault);
    X509_STORE_free(trust);
    must(client);
    return client;
}

static inline struct tls_client *client_of_default(void)
{
    struct tls_client_options options;
    tls_client_options_init(&options);
    return client_with(&options);
}

/* --- Shaking hands --------------------------------------------------------------------------- */

struct opening {
    struct ssl_st *ssl;
    struct stream *below, *stream;
    struct weir_time deadline;
    enum weir_err err;
    char why[TLS_WHY_SIZE];
    bool over;
    struct co *co;
};

static inline void opening_run(void *argument)
{
    struct opening *self = argument;
    struct iobuf *nothing = NULL;
    self->co = co_self();
    self->err = tls_open(&stage.streams.tls, self->ssl, &self->below, &nothing, self->deadline,
                         self->why, &self->stream);
    self->co = NULL;
    self->over = true;
    CHECK(!self->below);
    CHECK((self->err == WEIR_OK) == (self->stream != NULL));
}

struct ends {
    struct opening server, client;
};

/* Both sides, to the end of both. */
WEIR_SUSPENDS static inline void ends_open_over(struct ends *ends, struct ssl_st *server,
                                                struct ssl_st *client, enum below below)
{
    struct scope scope;
    *ends = (struct ends){.server = {.ssl = server, .deadline = in_ms(5000)},
                          .client = {.ssl = client, .deadline = in_ms(5000)}};
    below_make(below, &ends->server.below, &ends->client.below);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "server", opening_run, &ends->server));
    opening_run(&ends->client);
    CHECK_OK(scope_join(&scope));
}

/* A name that the certificate has; false, and a failed check, when it fails. */
WEIR_SUSPENDS static inline bool ends_open(struct ends *ends, struct tls_server *server,
                                           struct tls_client *client, struct tls_sessions *sessions,
                                           enum below below)
{
    ends_open_over(ends, tls_server_ssl(server),
                   tls_client_ssl(client, "www.example.com", sessions), below);
    if (ends->server.err || ends->client.err)
        printf("# server: %s, client: %s\n", ends->server.why, ends->client.why);
    CHECK_OK(ends->server.err);
    return CHECK_OK(ends->client.err);
}

static inline void ends_close(struct ends *ends)
{
    stream_close(&ends->client.stream, false);
    stream_close(&ends->server.stream, false);
}

/* --- Bytes ----------------------------------------------------------------------------------- */

WEIR_SUSPENDS static inline enum weir_err say(struct stream *stream, const char *text)
{
    struct weir_slice slice = slice_str(text);
    return stream_send(stream, &slice, 1, in_ms(5000), NULL);
}

/* Exactly these come, in as many pieces as they like. */
WEIR_SUSPENDS static inline bool hear(struct stream *stream, const char *text)
{
    size_t at = 0, len = strlen(text);
    bool same = true;
    while (same && at < len) {
        struct iobuf *buf = NULL;
        if (!CHECK_OK(stream_recv(stream, in_ms(5000), &buf)))
            return false;
        struct weir_slice got = iobuf_slice(buf);
        same = CHECK(got.len > 0 && got.len <= len - at && !memcmp(got.at, text + at, got.len));
        at += got.len;
        iobuf_give(&stage.loop.bufs, &buf);
    }
    return same;
}

/* The error of a receive that gets no bytes. */
WEIR_SUSPENDS static inline enum weir_err hear_end(struct stream *stream)
{
    struct iobuf *buf = NULL;
    enum weir_err err = stream_recv(stream, in_ms(5000), &buf);
    iobuf_give(&stage.loop.bufs, &buf);
    return err;
}

struct saying {
    struct stream *stream;
    const char *text;
};

static inline void saying_run(void *argument)
{
    struct saying *self = argument;
    CHECK_OK(say(self->stream, self->text));
}

/* At once: what lies below may be smaller than a record. */
WEIR_SUSPENDS static inline void talk(struct stream *from, struct stream *to, const char *text)
{
    struct saying saying = {from, text};
    struct scope scope;
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "say", saying_run, &saying));
    hear(to, text);
    CHECK_OK(scope_join(&scope));
}

WEIR_SUSPENDS static inline void talk_both_ways(struct ends *ends)
{
    talk(ends->client.stream, ends->server.stream, "question");
    talk(ends->server.stream, ends->client.stream, "answer");
}

#endif
