/* SPDX-License-Identifier: MIT */
#include "stream/tls_client.h"

#include "tests/unit/stream/tls_plain.h"

TEST(by_default_everything_is_verified)
{
    struct tls_client_options options;
    memset(&options, 0x5a, sizeof options);
    tls_client_options_init(&options);
    CHECK(options.verify_cert && options.verify_hostname && options.resume);
    CHECK(!options.alternative_cn && !options.trust_file && !options.cert_file);
    CHECK_EQ(TLS_VERSION_1_2, options.policy.min_version);
    CHECK_EQ(TLS_VERSION_1_3, options.policy.max_version);
}

TEST(a_bad_identity_is_a_fault)
{
    struct tls_client_options options;
    struct tls_fault fault = {.key = NULL};
    tls_client_options_init(&options);
    options.cert_file = certs[CERT_CLIENT].cert_file;
    options.key_file = certs[CERT_WWW].key_file;
    CHECK(!tls_client_new(&options, NULL, NULL, &fault));
    CHECK(fault.key && !strcmp(fault.key, "key"));
    options.key_file = certs[CERT_CLIENT].key_file;
    options.policy.ciphers = "NONE-AT-ALL";
    CHECK(!tls_client_new(&options, NULL, NULL, &fault));
    CHECK(!strcmp(fault.key, "ciphers"));
}

/* --- What is verified ------------------------------------------------------------------------ */

enum { ALL, NO_NAME, NO_CERT, NOTHING };

struct verification {
    enum certificate_name shown;
    const char *name;
    const char *alternative;
    int flags;
    bool passes;
};

static const struct verification verifications[] = {
    {CERT_WWW, "www.example.com", NULL, ALL, true},
    {CERT_WWW, "WWW.Example.Com", NULL, ALL, true},
    {CERT_WWW, "example.com", NULL, ALL, false},
    {CERT_WWW, "x.wild.example.com", NULL, ALL, true},
    {CERT_WWW, "x.y.wild.example.com", NULL, ALL, false},
    {CERT_WWW, "wild.example.com", NULL, ALL, false},
    {CERT_WWW, "127.0.0.1", NULL, ALL, true},
    {CERT_WWW, "127.0.0.2", NULL, ALL, false},
    {CERT_WWW, "::1", NULL, ALL, true},
    {CERT_WWW, "0:0:0:0:0:0:0:1", NULL, ALL, true},
    {CERT_WWW, "::2", NULL, ALL, false},
    {CERT_WWW, "other.example.com", "www.example.com", ALL, true},
    {CERT_WWW, "other.example.com", "127.0.0.1", ALL, true},
    {CERT_WWW, "other.example.com", "another.example.com", ALL, false},
    {CERT_WWW, "www.example.com", "another.example.com", ALL, true},
    {CERT_WWW, "other.example.com", NULL, NO_NAME, true},
    {CERT_COMMON, "common.example.com", NULL, ALL, true},
    {CERT_SHOP, "shop.example.com", NULL, ALL, true},
    {CERT_SELF, "www.example.com", NULL, ALL, false},
    {CERT_SELF, "www.example.com", NULL, NO_NAME, false},
    {CERT_SELF, "www.example.com", NULL, NO_CERT, true},
    {CERT_SELF, "other.example.com", NULL, NO_CERT, false},
    {CERT_SELF, "other.example.com", NULL, NOTHING, true},
    {CERT_EXPIRED, "www.example.com", NULL, NO_NAME, false},
    {CERT_EXPIRED, "www.example.com", NULL, NO_CERT, true},
    {CERT_EXPIRED, "other.example.com", NULL, NOTHING, true},
    {CERT_BARE, "www.example.com", NULL, ALL, false},
    {CERT_BARE, "www.example.com", NULL, NO_CERT, true},
    {CERT_STRANGER, "www.example.com", NULL, ALL, false},
    {CERT_STRANGER, "www.example.com", NULL, NOTHING, true},
};

WEIR_SUSPENDS static void verify_one(const struct verification *want, enum tls_version version)
{
    struct tls_client_options options;
    struct ends ends;
    tls_client_options_init(&options);
    options.policy.max_version = version;
    options.verify_cert = want->flags == ALL || want->flags == NO_NAME;
    options.verify_hostname = want->flags == ALL || want->flags == NO_CERT;
    options.alternative_cn = want->alternative;
    struct tls_client *client = client_with(&options);
    struct tls_server *server = server_of(want->shown);
    ends_open_over(&ends, tls_server_ssl(server), tls_client_ssl(client, want->name, NULL),
                   BELOW_SOCKETS);
    CHECK_ERR(want->passes ? WEIR_OK : WEIR_E_TLS_CERTIFICATE, ends.client.err);
    if (!ends.server.err) {
        const char *sent = tls_facts_of(ends.server.stream).server_name;
        bool is_ip = strchr(want->name, ':') || strstr(want->name, "127.");
        CHECK(is_ip ? sent == NULL : sent && !strcmp(sent, want->name));
    }
    ends_close(&ends);
    tls_client_free(client);
    tls_server_free(server);
}

STAGE_TEST(chains_and_names_are_verified_as_asked)
{
    for (unsigned i = 0; i < COUNT_OF(verifications); i++) {
        unsigned failures = check_failures;
        verify_one(&verifications[i], TLS_VERSION_1_3);
        verify_one(&verifications[i], TLS_VERSION_1_2);
        if (check_failures != failures)
            printf("# so much for number %u: %s\n", i, verifications[i].name);
    }
}

/* --- Short handshakes ------------------------------------------------------------------------ */

static struct tls_server *server;
static struct tls_client *client;
static struct tls_sessions sessions;

static void open_both(enum tls_version version, bool resume)
{
    struct tls_client_options options;
    tls_client_options_init(&options);
    options.policy.max_version = version;
    options.resume = resume;
    server = server_of(CERT_WWW);
    client = client_with(&options);
    tls_sessions_init(&sessions);
}

static void close_both(void)
{
    tls_sessions_fini(&sessions);
    tls_client_free(client);
    tls_server_free(server);
}

/* A connection that says something; whether it came by a short handshake. */
WEIR_SUSPENDS static bool connect_once(bool reset)
{
    struct ends ends;
    bool resumed = false;
    if (ends_open(&ends, server, client, &sessions, BELOW_SOCKETS)) {
        resumed = tls_facts_of(ends.client.stream).resumed;
        CHECK_EQ(resumed, tls_facts_of(ends.server.stream).resumed);
        talk_both_ways(&ends);
    }
    stream_close(&ends.client.stream, reset);
    stream_close(&ends.server.stream, reset);
    return resumed;
}

STAGE_TEST(the_next_handshake_is_a_short_one)
{
    for (enum tls_version version = TLS_VERSION_1_2; version <= TLS_VERSION_1_3; version++) {
        for (int reset = 0; reset < 2; reset++) {
            open_both(version, true);
            CHECK(!connect_once(reset));
            CHECK_EQ(version == TLS_VERSION_1_3 ? 2 : 1, sessions.count);
            for (int i = 0; i < 4; i++)
                if (!CHECK(connect_once(reset)))
                    printf("# number %d, TLS 1.%d, %u sessions\n", i, version + 2, sessions.count);
            /* Every one of them brought the ticket for the next. */
            CHECK_EQ(version == TLS_VERSION_1_3 ? 2 : 1, sessions.count);
            close_both();
        }
    }
}

STAGE_TEST(without_resumption_every_handshake_is_whole)
{
    open_both(TLS_VERSION_1_3, false);
    CHECK(!connect_once(false));
    CHECK(!connect_once(false));
    CHECK_EQ(0, sessions.count);
    close_both();
}

/* Two at once take two sessions. */
STAGE_TEST(several_at_once_are_short_too)
{
    struct ends one, two;
    open_both(TLS_VERSION_1_3, true);
    CHECK(!connect_once(false));
    unsigned before = sessions.count;
    if (ends_open(&one, server, client, &sessions, BELOW_PAIR)) {
        CHECK_EQ(before - 1, sessions.count);
        if (ends_open(&two, server, client, &sessions, BELOW_PAIR))
            CHECK(tls_facts_of(two.client.stream).resumed);
        CHECK(tls_facts_of(one.client.stream).resumed);
        ends_close(&two);
    }
    ends_close(&one);
    close_both();
}

/* Another server's session is offered in vain, and a whole handshake follows. */
STAGE_TEST(a_session_that_the_server_does_not_know_costs_nothing)
{
    open_both(TLS_VERSION_1_3, true);
    CHECK(!connect_once(false));
    tls_server_free(server);
    server = server_of(CERT_WWW);
    CHECK(!connect_once(false));
    CHECK(connect_once(false));
    close_both();
}

/* A handshake that fails leaves the sessions as they are good. */
STAGE_TEST(a_policy_that_forbids_its_version_does_not_offer_it)
{
    struct tls_client_options options;
    open_both(TLS_VERSION_1_2, true);
    CHECK(!connect_once(false));
    tls_client_free(client);
    tls_client_options_init(&options);
    options.policy.min_version = TLS_VERSION_1_3;
    client = client_with(&options);
    CHECK(!connect_once(false));
    CHECK(connect_once(false));
    close_both();
}

CHECK_MAIN
