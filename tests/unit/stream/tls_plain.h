/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_STREAM_TLS_PLAIN_H
#define TESTS_UNIT_STREAM_TLS_PLAIN_H

/*
 * The other side of TLS by hand: OpenSSL between two memory BIOs, and a bare descriptor. What it
 * writes lies in `out` until plain_push(), where a test may change it.
 */

#include "tests/unit/http/raw.h"
#include "tests/unit/stream/tls_ends.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

struct plain {
    SSL *ssl;
    BIO *in, *out;
    int descriptor;
    unsigned records;  /* that it got since somebody set this to 0 */
    unsigned new_keys; /* KeyUpdates likewise */
};

static inline void plain_count_record(int write, int version, int type, const void *bytes,
                                      size_t len, SSL *ssl, void *argument)
{
    struct plain *self = argument;
    (void)version, (void)ssl;
    if (!write && type == SSL3_RT_HEADER)
        self->records++;
    if (!write && type == SSL3_RT_HANDSHAKE && len > 0 &&
        *(const char *)bytes == SSL3_MT_KEY_UPDATE)
        self->new_keys++;
}

/* For one connection; a server with the certificate, or a client that believes everything. */
static inline void plain_init(struct plain *self, bool server, int version, int descriptor)
{
    SSL_CTX *settings = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    must(settings && SSL_CTX_set_min_proto_version(settings, version) &&
         SSL_CTX_set_max_proto_version(settings, version));
    if (server)
        must(SSL_CTX_use_certificate_chain_file(settings, certs[CERT_WWW].cert_file) == 1 &&
             SSL_CTX_use_PrivateKey_file(settings, certs[CERT_WWW].key_file, SSL_FILETYPE_PEM) ==
                 1);
    *self = (struct plain){.ssl = SSL_new(settings),
                           .in = BIO_new(BIO_s_mem()),
                           .out = BIO_new(BIO_s_mem()),
                           .descriptor = descriptor};
    SSL_CTX_free(settings);
    must(self->ssl && self->in && self->out);
    SSL_set_bio(self->ssl, self->in, self->out);
    SSL_set_msg_callback(self->ssl, plain_count_record);
    SSL_set_msg_callback_arg(self->ssl, self);
    if (server)
        SSL_set_accept_state(self->ssl);
    else
        SSL_set_connect_state(self->ssl);
}

/* Sends what was written. */
static inline void plain_push(struct plain *self)
{
    char *bytes;
    long len = BIO_get_mem_data(self->out, &bytes);
    if (len > 0)
        raw_send_bytes(self->descriptor, bytes, (size_t)len);
    (void)BIO_reset(self->out);
}

/* Takes what has come: how many bytes, or as raw_recv_now(). */
static inline ssize_t plain_pull(struct plain *self)
{
    static char bytes[65536];
    ssize_t count = raw_recv_now(self->descriptor, bytes, sizeof bytes);
    if (count > 0)
        must(BIO_write(self->in, bytes, (int)count) == count);
    return count;
}

/* Turns the handshake as far as it goes: 1 when it is over, -1 when it wants more, 0: it failed. */
static inline int plain_step(struct plain *self)
{
    ERR_clear_error();
    int result = SSL_do_handshake(self->ssl);
    int why = SSL_get_error(self->ssl, result);
    plain_push(self);
    return result == 1 ? 1 : why == SSL_ERROR_WANT_READ ? -1 : 0;
}

WEIR_SUSPENDS static inline bool plain_shake(struct plain *self)
{
    for (;;) {
        int result = plain_step(self);
        if (result >= 0)
            return result == 1;
        ssize_t count = plain_pull(self);
        if (count == 0 || count == RAW_RESET || (count == RAW_NOTHING && !stage_breathe()))
            return false;
    }
}

static inline void plain_say(struct plain *self, const char *text)
{
    CHECK_EQ(strlen(text), SSL_write(self->ssl, text, (int)strlen(text)));
    plain_push(self);
}

/* Reads so many bytes into raw_text; the SSL_ERROR that ended it, SSL_ERROR_NONE when all came. */
WEIR_SUSPENDS static inline int plain_read(struct plain *self, size_t bytes)
{
    size_t at = 0;
    must(bytes < RAW_TEXT_SIZE);
    for (;;) {
        size_t got = 0;
        raw_text[at] = '\0';
        if (at == bytes && bytes > 0)
            return SSL_ERROR_NONE;
        ERR_clear_error();
        int result = SSL_read_ex(self->ssl, raw_text + at, bytes ? bytes - at : 1, &got);
        int why = SSL_get_error(self->ssl, result);
        plain_push(self);
        at += got;
        if (result == 1 && bytes > 0)
            continue;
        if (why != SSL_ERROR_WANT_READ)
            return why;
        ssize_t count = plain_pull(self);
        if (count == 0 || count == RAW_RESET)
            return SSL_ERROR_SYSCALL;
        if (count == RAW_NOTHING && !stage_breathe())
            return SSL_ERROR_WANT_READ;
    }
}

WEIR_SUSPENDS static inline void plain_hear(struct plain *self, const char *text)
{
    CHECK_EQ(SSL_ERROR_NONE, plain_read(self, strlen(text)));
    CHECK_SLICE(slice_str(raw_text), text);
}

static inline void plain_fini(struct plain *self)
{
    SSL_free(self->ssl);
    ERR_clear_error();
}

static inline void plain_close(struct plain *self)
{
    raw_close(self->descriptor);
    plain_fini(self);
}

/* --- One of each ----------------------------------------------------------------------------- */

/* A stream of ours, open, to one by hand. Who is asked to be the server is the other side. */
struct halves {
    struct tls_server *server;
    struct tls_client *client;
    struct opening ours;
    struct plain theirs;
};

/* Ours is attached, theirs is made; nobody has said anything. */
static inline void halves_init(struct halves *self, bool they_serve, int version)
{
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    *self = (struct halves){.ours = {.deadline = in_ms(5000)}};
    if (they_serve) {
        self->client = client_of_default();
        self->ours.ssl = tls_client_ssl(self->client, "www.example.com", NULL);
    } else {
        self->server = server_of(CERT_WWW);
        self->ours.ssl = tls_server_ssl(self->server);
    }
    must(socket_stream_attach(&stage.streams.sockets, ends[0], &self->ours.below) == WEIR_OK);
    plain_init(&self->theirs, they_serve, version, ends[1]);
}

WEIR_SUSPENDS static inline bool halves_open(struct halves *self, bool they_serve, int version)
{
    struct scope scope;
    halves_init(self, they_serve, version);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "ours", opening_run, &self->ours));
    bool shaken = CHECK(plain_shake(&self->theirs));
    CHECK_OK(scope_join(&scope));
    return CHECK_OK(self->ours.err) && shaken;
}

static inline void halves_fini(struct halves *self)
{
    stream_close(&self->ours.stream, false);
    plain_close(&self->theirs);
    tls_client_free(self->client);
    tls_server_free(self->server);
}

#endif
