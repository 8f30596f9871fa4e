/* SPDX-License-Identifier: MIT */
/*
 * How deep OpenSSL goes on a coroutine's stack: the stack is painted before a handshake, and what
 * paint is left afterwards tells.
 */
#include "stream/tls.h"

#include "tests/unit/stream/tls_ends.h"

#include <pthread.h>

enum { DEEPEST_BYTES = 40 * 1024, PAINT = 0x5a, NEAR_BYTES = 512 };

/* Chains of RSA, as most servers have. */
enum { RSA_ROOT, RSA_BETWEEN, RSA_SERVER, RSA_CLIENT, RSA_COUNT };
static struct certificate rsa[RSA_COUNT] = {
    [RSA_ROOT] = {"RSA Root", NULL, CERT_NOBODY, LASTS, .is_authority = true},
    [RSA_BETWEEN] = {"RSA Between", NULL, RSA_ROOT, LASTS, .is_authority = true},
    [RSA_SERVER] = {"RSA", "DNS:www.example.com", RSA_BETWEEN, LASTS},
    [RSA_CLIENT] = {"RSA client", NULL, RSA_BETWEEN, LASTS},
};

/* From the lowest byte up to where this function stands, less what it needs itself. */
__attribute__((noinline)) static void paint(const struct co *co)
{
    const volatile unsigned char *here = __builtin_frame_address(0);
    volatile unsigned char *at = co->stack_base;
    while (at + NEAR_BYTES < here)
        *at++ = PAINT;
}

__attribute__((noinline)) static size_t used_bytes(const struct co *co)
{
    const volatile unsigned char *at = co->stack_base;
    size_t clean = 0;
    while (clean < STACK_BYTES && at[clean] == PAINT)
        clean++;
    return STACK_BYTES - clean;
}

struct depth {
    struct opening opening;
    size_t bytes;
};

/* The handshake, some bytes both ways, and the end. */
static void measure(void *argument)
{
    struct depth *self = argument;
    const struct co *co = co_self();
    paint(co);
    opening_run(&self->opening);
    if (CHECK_OK(self->opening.err)) {
        CHECK_OK(say(self->opening.stream, "hello"));
        hear(self->opening.stream, "hello");
        stream_close(&self->opening.stream, false);
    }
    self->bytes = used_bytes(co);
}

static size_t deepest;

WEIR_SUSPENDS static void shake(struct tls_server *server, struct tls_client *client,
                                struct tls_sessions *sessions, const char *what)
{
    struct depth serving = {.opening = {.ssl = tls_server_ssl(server), .deadline = in_ms(5000)}};
    struct depth asking = {
        .opening = {.ssl = tls_client_ssl(client, "www.example.com", sessions),
                    .deadline = in_ms(5000)},
    };
    struct scope scope;
    below_make(BELOW_SOCKETS, &serving.opening.below, &asking.opening.below);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "server", measure, &serving));
    CHECK_OK(scope_spawn(&scope, "client", measure, &asking));
    CHECK_OK(scope_join(&scope));
    printf("# %s: server %zu bytes, client %zu bytes\n", what, serving.bytes, asking.bytes);
    CHECK(serving.bytes > 2048 && serving.bytes < DEEPEST_BYTES);
    CHECK(asking.bytes > 2048 && asking.bytes < DEEPEST_BYTES);
    if (serving.bytes > deepest)
        deepest = serving.bytes;
    if (asking.bytes > deepest)
        deepest = asking.bytes;
}

/* One kind of certificate, in one version: a whole handshake and a short one. */
WEIR_SUSPENDS static void shake_twice(enum tls_version version, bool is_rsa)
{
    const struct certificate *shown = is_rsa ? &rsa[RSA_SERVER] : &certs[CERT_WWW];
    const struct certificate *client_shown = is_rsa ? &rsa[RSA_CLIENT] : &certs[CERT_CLIENT];
    const struct certificate *root = is_rsa ? &rsa[RSA_ROOT] : &certs[CERT_CA];
    struct tls_identity identity = {shown->cert_file, shown->key_file};
    struct tls_server_options serving;
    struct tls_client_options asking;
    struct tls_sessions sessions;
    struct tls_digest digest;
    static struct tls_fault fault;
    unsigned which;
    char what[64];
    tls_server_options_init(&serving);
    serving.identities = &identity;
    serving.identity_count = 1;
    serving.client_cert = CLIENT_CERT_REQUIRED;
    serving.client_ca_file = root->cert_file;
    serving.policy.max_version = version;
    tls_client_options_init(&asking);
    asking.cert_file = client_shown->cert_file;
    asking.key_file = client_shown->key_file;
    struct tls_server *server = tls_server_new(&serving, &which, &fault);
    struct x509_store_st *trust = tls_read_trust(root->cert_file, &digest, &fault);
    struct tls_client *client = tls_client_new(&asking, trust, &digest, &fault);
    must(server && trust && client);
    X509_STORE_free(trust);
    tls_sessions_init(&sessions);
    for (int i = 0; i < 2; i++) {
        snprintf(what, sizeof what, "%s, TLS 1.%d, %s handshake", is_rsa ? "RSA" : "ECDSA",
                 version == TLS_VERSION_1_2 ? 2 : 3, i ? "short" : "whole");
        shake(server, client, &sessions, what);
    }
    tls_sessions_fini(&sessions);
    tls_client_free(client);
    tls_server_free(server);
}

WEIR_SUSPENDS static void play_all(void)
{
    for (unsigned i = 0; i < 4; i++)
        shake_twice(i & 1 ? TLS_VERSION_1_3 : TLS_VERSION_1_2, i & 2);
    printf("# the deepest: %zu of %d bytes\n", deepest, STACK_BYTES);
}

/* What OpenSSL makes for each thread is made there too, on a coroutine's stack. */
static void *play_there(void *unused)
{
    stage_play(play_all);
    return unused;
}

TEST(a_handshake_leaves_much_of_the_stack)
{
    if (STACK_BYTES > 64 * 1024) {
        check_skip("a sanitizer has stacks of its own");
        return;
    }
    /* One key for all of them: making it takes long. */
    must(rsa[RSA_ROOT].key = EVP_RSA_gen(2048));
    for (unsigned i = 1; i < RSA_COUNT; i++) {
        rsa[i].key = rsa[RSA_ROOT].key;
        must(EVP_PKEY_up_ref(rsa[i].key));
    }
    certs_make_all(rsa, RSA_COUNT, "rsa");
    pthread_t thread;
    must(pthread_create(&thread, NULL, play_there, NULL) == 0);
    must(pthread_join(thread, NULL) == 0);
    certs_free_all(rsa, RSA_COUNT);
}

CHECK_MAIN
