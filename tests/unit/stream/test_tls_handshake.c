/* SPDX-License-Identifier: MIT */
/* Handshakes that come to nothing. */
#include "stream/tls.h"

#include "tests/unit/stream/tls_plain.h"

#include <fcntl.h>

static bool says(const char *why, const char *text)
{
    bool has = strstr(why, text) != NULL;
    if (!has)
        printf("# no \"%s\" in \"%s\"\n", text, why);
    return has;
}

/* --- What each says of the other ------------------------------------------------------------- */

struct verdict {
    enum certificate_name name;
    const char *why;
};

static const struct verdict verdicts[] = {
    {CERT_EXPIRED, "certificate has expired (/CN=expired)"},
    {CERT_EARLY, "certificate is not yet valid (/CN=early)"},
    {CERT_SELF, "self-signed certificate (/CN=self)"},
    {CERT_STRANGER, "unable to get local issuer certificate (/CN=stranger)"},
    {CERT_BARE, "unable to get local issuer certificate (/CN=bare)"},
    {CERT_FOR_CLIENTS, "certificate purpose (/CN=for clients)"},
    {CERT_SHOP, "hostname mismatch (/CN=shop.example.com)"},
};

STAGE_TEST(a_certificate_that_does_not_pass_is_told_by_its_name)
{
    struct tls_client *client = client_of_default();
    for (unsigned i = 0; i < 2 * COUNT_OF(verdicts); i++) {
        const struct verdict *verdict = &verdicts[i / 2];
        struct tls_server_options options;
        struct ends ends;
        tls_server_options_init(&options);
        options.policy.max_version = i & 1 ? TLS_VERSION_1_3 : TLS_VERSION_1_2;
        struct tls_server *server = server_with(options, verdict->name);
        ends_open_over(&ends, tls_server_ssl(server),
                       tls_client_ssl(client, "www.example.com", NULL), BELOW_SOCKETS);
        CHECK_ERR(WEIR_E_TLS_CERTIFICATE, ends.client.err);
        CHECK(says(ends.client.why, verdict->why));
        CHECK_ERR(WEIR_E_TLS_ALERT, ends.server.err);
        CHECK(says(ends.server.why, "alert"));
        CHECK_EQ(0, stage.loop.bufs.used_count);
        tls_server_free(server);
    }
    tls_client_free(client);
}

/* Both sides with these options; the sides' errors. */
WEIR_SUSPENDS static void shake(const struct tls_server_options *serving,
                                const struct tls_client_options *asking, struct ends *ret_ends)
{
    struct tls_server *server = server_with(*serving, CERT_WWW);
    struct tls_client *client = client_with(asking);
    ends_open_over(ret_ends, tls_server_ssl(server),
                   tls_client_ssl(client, "www.example.com", NULL), BELOW_SOCKETS);
    tls_client_free(client);
    tls_server_free(server);
}

STAGE_TEST(no_version_in_common_is_an_alert)
{
    struct tls_server_options serving;
    struct tls_client_options asking;
    struct ends ends;
    tls_server_options_init(&serving);
    tls_client_options_init(&asking);
    serving.policy.min_version = TLS_VERSION_1_3;
    asking.policy.max_version = TLS_VERSION_1_2;
    shake(&serving, &asking, &ends);
    CHECK_ERR(WEIR_E_TLS_ALERT, ends.client.err);
    CHECK(says(ends.client.why, "alert"));
    CHECK_ERR(WEIR_E_TLS_PROTOCOL, ends.server.err);
    CHECK(says(ends.server.why, "unsupported protocol"));
}

STAGE_TEST(no_cipher_in_common_is_an_alert)
{
    struct tls_server_options serving;
    struct tls_client_options asking;
    struct ends ends;
    tls_server_options_init(&serving);
    tls_client_options_init(&asking);
    serving.policy.ciphersuites = "TLS_AES_128_GCM_SHA256";
    asking.policy.ciphersuites = "TLS_AES_256_GCM_SHA384";
    serving.policy.min_version = TLS_VERSION_1_3;
    shake(&serving, &asking, &ends);
    CHECK_ERR(WEIR_E_TLS_ALERT, ends.client.err);
    CHECK_ERR(WEIR_E_TLS_PROTOCOL, ends.server.err);
    CHECK(says(ends.server.why, "no shared cipher"));
}

/* --- Certificates of clients ----------------------------------------------------------------- */

enum { LET_IN, REFUSED };

struct visitor {
    enum client_cert asked;
    int name; /* CERT_NOBODY: none */
    int outcome;
};

static const struct visitor visitors[] = {
    {CLIENT_CERT_NONE, CERT_NOBODY, LET_IN},
    {CLIENT_CERT_NONE, CERT_OTHER_CLIENT, LET_IN}, /* nobody asks */
    {CLIENT_CERT_OPTIONAL, CERT_NOBODY, LET_IN},
    {CLIENT_CERT_OPTIONAL, CERT_CLIENT, LET_IN},
    {CLIENT_CERT_OPTIONAL, CERT_OTHER_CLIENT, REFUSED},
    {CLIENT_CERT_REQUIRED, CERT_NOBODY, REFUSED},
    {CLIENT_CERT_REQUIRED, CERT_CLIENT, LET_IN},
    {CLIENT_CERT_REQUIRED, CERT_OTHER_CLIENT, REFUSED},
    {CLIENT_CERT_REQUIRED, CERT_EXPIRED, REFUSED},
};

/* In TLS 1.3 the client believes that all is well until it receives. */
WEIR_SUSPENDS static void check_visitor(const struct visitor *visitor, enum tls_version version)
{
    struct tls_server_options serving;
    struct tls_client_options asking;
    struct ends ends;
    tls_server_options_init(&serving);
    tls_client_options_init(&asking);
    serving.policy.max_version = version;
    serving.client_cert = visitor->asked;
    serving.client_ca_file = certs[CERT_CA].cert_file;
    if (visitor->name != CERT_NOBODY) {
        asking.cert_file = certs[visitor->name].cert_file;
        asking.key_file = certs[visitor->name].key_file;
    }
    shake(&serving, &asking, &ends);
    if (visitor->outcome == LET_IN) {
        if (CHECK_OK(ends.server.err) && CHECK_OK(ends.client.err))
            talk_both_ways(&ends);
    } else {
        CHECK_ERR(visitor->name == CERT_NOBODY ? WEIR_E_TLS_PROTOCOL : WEIR_E_TLS_CERTIFICATE,
                  ends.server.err);
        if (visitor->name != CERT_NOBODY)
            CHECK(says(ends.server.why, certs[visitor->name].subject));
        if (version == TLS_VERSION_1_2)
            CHECK_ERR(WEIR_E_TLS_ALERT, ends.client.err);
        else if (CHECK_OK(ends.client.err))
            CHECK_ERR(WEIR_E_TLS_ALERT, hear_end(ends.client.stream));
    }
    ends_close(&ends);
}

STAGE_TEST(who_is_let_in)
{
    for (unsigned i = 0; i < COUNT_OF(visitors); i++) {
        unsigned failures = check_failures;
        check_visitor(&visitors[i], TLS_VERSION_1_2);
        check_visitor(&visitors[i], TLS_VERSION_1_3);
        if (check_failures != failures)
            printf("# so much for visitor %u\n", i);
    }
}

/* --- Who does not speak TLS, or not to the end ----------------------------------------------- */

static const struct {
    const char *bytes;
    size_t len;
} garbage[] = {
    {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27}, {"HTTP/1.1 400 Bad Request\r\n\r\n", 28},
    {"\x16\x03\x01\x00\x05hello", 10},         {"\x16\x03\x01\xff\xff", 5},
    {"\x17\x03\x03\x00\x05hello", 10},         {"\0\0\0\0\0\0\0\0\0\0\0\0", 12},
};

STAGE_TEST(garbage_is_no_handshake)
{
    for (unsigned i = 0; i < 2 * COUNT_OF(garbage); i++) {
        struct halves halves;
        halves_init(&halves, i & 1, TLS1_3_VERSION);
        raw_send_bytes(halves.theirs.descriptor, garbage[i / 2].bytes, garbage[i / 2].len);
        opening_run(&halves.ours);
        CHECK_ERR(WEIR_E_TLS_PROTOCOL, halves.ours.err);
        CHECK(*halves.ours.why);
        CHECK(plain_pull(&halves.theirs) != RAW_NOTHING); /* an alert, or the end */
        halves_fini(&halves);
    }
}

STAGE_TEST(an_alert_in_place_of_an_answer)
{
    struct halves halves;
    halves_init(&halves, true, TLS1_3_VERSION);
    raw_send_bytes(halves.theirs.descriptor, "\x15\x03\x03\x00\x02\x02\x28", 7);
    opening_run(&halves.ours);
    CHECK_ERR(WEIR_E_TLS_ALERT, halves.ours.err);
    CHECK(says(halves.ours.why, "handshake failure"));
    halves_fini(&halves);
}

STAGE_TEST(a_protocol_that_is_not_ours_is_refused)
{
    struct halves halves;
    struct scope scope;
    halves_init(&halves, false, TLS1_3_VERSION);
    must(SSL_set_alpn_protos(halves.theirs.ssl, (const unsigned char *)"\x02h2", 3) == 0);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "ours", opening_run, &halves.ours));
    CHECK(!plain_shake(&halves.theirs));
    CHECK_OK(scope_join(&scope));
    CHECK_ERR(WEIR_E_TLS_PROTOCOL, halves.ours.err);
    CHECK(says(halves.ours.why, "no application protocol"));
    halves_fini(&halves);
}

STAGE_TEST(one_of_the_protocols_is_enough)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    const unsigned char *chosen;
    unsigned len;
    struct halves halves;
    struct scope scope;
    halves_init(&halves, false, TLS1_3_VERSION);
    must(SSL_set_alpn_protos(halves.theirs.ssl, both, sizeof both - 1) == 0);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "ours", opening_run, &halves.ours));
    CHECK(plain_shake(&halves.theirs));
    CHECK_OK(scope_join(&scope));
    CHECK_OK(halves.ours.err);
    SSL_get0_alpn_selected(halves.theirs.ssl, &chosen, &len);
    CHECK_SLICE(slice_of((const char *)chosen, len), "http/1.1");
    halves_fini(&halves);
}

/* Theirs ends after nothing, and after its first flight. */
STAGE_TEST(an_end_in_the_middle)
{
    for (unsigned i = 0; i < 4; i++) {
        struct halves halves;
        struct scope scope;
        halves_init(&halves, i & 1, TLS1_2_VERSION);
        scope_init(&scope);
        CHECK_OK(scope_spawn(&scope, "ours", opening_run, &halves.ours));
        stage_turns();
        if (i & 2) {
            (void)plain_pull(&halves.theirs);
            CHECK_EQ(-1, plain_step(&halves.theirs));
            stage_turns();
        }
        CHECK(!halves.ours.over);
        must(shutdown(halves.theirs.descriptor, SHUT_WR) == 0);
        CHECK_OK(scope_join(&scope));
        CHECK_ERR(WEIR_E_TLS_PROTOCOL, halves.ours.err);
        CHECK(says(halves.ours.why, "in the middle of the handshake"));
        halves_fini(&halves);
    }
}

STAGE_EACH(a_deadline_and_a_cancel_end_it)
{
    for (unsigned i = 0; i < 4; i++) {
        struct halves halves;
        struct scope scope;
        halves_init(&halves, i & 1, TLS1_3_VERSION);
        if (i & 2)
            halves.ours.deadline = in_ms(10);
        scope_init(&scope);
        CHECK_OK(scope_spawn(&scope, "ours", opening_run, &halves.ours));
        stage_turns();
        if (!(i & 2)) {
            CHECK(!halves.ours.over);
            co_cancel(halves.ours.co);
        }
        CHECK_OK(scope_join(&scope));
        CHECK_ERR(i & 2 ? WEIR_E_TIMEOUT : WEIR_E_CANCELED, halves.ours.err);
        CHECK_SLICE(slice_str(halves.ours.why), "");
        CHECK_EQ(0, stage.streams.tls.slab.used_count);
        CHECK_EQ(0, stage.loop.bufs.used_count);
        CHECK_EQ(0, raw_await_end(halves.theirs.descriptor));
        halves_fini(&halves);
    }
}

/* When memory was out for the SSL object. */
STAGE_TEST(nothing_to_begin_with_is_no_memory)
{
    struct opening opening = {.deadline = in_ms(1000)};
    struct stream *other;
    below_make(BELOW_PAIR, &opening.below, &other);
    opening_run(&opening);
    CHECK_ERR(WEIR_E_NO_MEMORY, opening.err);
    CHECK(stream_peer_ended(other));
    stream_close(&other, false);
}

CHECK_MAIN
