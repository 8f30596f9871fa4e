/* SPDX-License-Identifier: MIT */
#include "stream/tls_server.h"

#include "tests/unit/stream/tls_plain.h"

TEST(defaults_are_those_of_the_contract)
{
    struct tls_server_options options;
    memset(&options, 0x5a, sizeof options);
    tls_server_options_init(&options);
    CHECK(options.session_tickets && !options.client_ca_file && !options.identity_count);
    CHECK_EQ(CLIENT_CERT_NONE, options.client_cert);
    CHECK_EQ(12 * 3600 * 1000, weir_span_to_ms(options.ticket_rotation));
    CHECK_EQ(10000, weir_span_to_ms(options.handshake_timeout));
    CHECK_EQ(TLS_VERSION_1_2, options.policy.min_version);
}

/* --- Which certificate ----------------------------------------------------------------------- */

static struct tls_server *server_of_three(void)
{
    static struct tls_identity identities[3];
    struct tls_server_options options;
    struct tls_fault fault;
    unsigned which;
    identities[0] = identity_of(CERT_COMMON);
    identities[1] = identity_of(CERT_WWW);
    identities[2] = identity_of(CERT_SHOP);
    tls_server_options_init(&options);
    options.identities = identities;
    options.identity_count = 3;
    struct tls_server *server = tls_server_new(&options, &which, &fault);
    must(server);
    return server;
}

/* The common name that is shown to who asks for `name`; NULL: the handshake fails. */
WEIR_SUSPENDS static const char *shown(struct tls_server *server, const char *name, int version)
{
    static char text[64];
    struct halves halves;
    struct scope scope;
    const char *found = NULL;
    halves_init(&halves, false, version);
    SSL_free(halves.ours.ssl);
    halves.ours.ssl = tls_server_ssl(server);
    if (name)
        must(SSL_set_tlsext_host_name(halves.theirs.ssl, name) == 1);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "ours", opening_run, &halves.ours));
    if (plain_shake(&halves.theirs)) {
        X509 *certificate = SSL_get0_peer_certificate(halves.theirs.ssl);
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                                  sizeof text);
        found = text;
    }
    CHECK_OK(scope_join(&scope));
    halves_fini(&halves);
    return found;
}

static const struct {
    const char *asked, *want;
} choices[] = {
    {NULL, "common.example.com"},
    {"nobody.example.com", "common.example.com"},
    {"www.example.com", "www.example.com"},
    {"WWW.example.COM", "www.example.com"},
    {"b.wild.example.com", "www.example.com"},
    {"a.wild.example.com", "shop.example.com"},
    {"a.b.wild.example.com", "common.example.com"},
    {"shop.example.com", "shop.example.com"},
    {"www.example.com.", "common.example.com"}, /* no such name in SNI: RFC 6066 section 3 */
};

STAGE_TEST(the_name_that_a_client_asks_for_chooses)
{
    struct tls_server *server = server_of_three();
    for (unsigned i = 0; i < COUNT_OF(choices); i++) {
        const char *got = shown(server, choices[i].asked, TLS1_3_VERSION);
        CHECK_SLICE(slice_str(got ? got : "none"), choices[i].want);
        got = shown(server, choices[i].asked, TLS1_2_VERSION);
        CHECK_SLICE(slice_str(got ? got : "none"), choices[i].want);
    }
    tls_server_free(server);
}

TEST(a_bad_identity_is_told_by_its_number)
{
    struct tls_identity identities[3] = {identity_of(CERT_WWW),
                                         identity_of(CERT_SHOP),
                                         {certs[CERT_SHOP].cert_file, certs[CERT_WWW].key_file}};
    struct tls_server_options options;
    struct tls_fault fault = {.key = NULL};
    unsigned which = 99;
    tls_server_options_init(&options);
    options.identities = identities;
    options.identity_count = 3;
    CHECK(!tls_server_new(&options, &which, &fault));
    CHECK_EQ(2, which);
    CHECK(!strcmp(fault.key, "key"));
    identities[0].cert_file = "/nonexistent";
    CHECK(!tls_server_new(&options, &which, &fault));
    CHECK_EQ(0, which);
    CHECK(!strcmp(fault.key, "cert"));
    options.identity_count = 1;
    identities[0] = identity_of(CERT_WWW);
    options.client_cert = CLIENT_CERT_REQUIRED;
    options.client_ca_file = "/nonexistent";
    CHECK(!tls_server_new(&options, &which, &fault));
    CHECK(!strcmp(fault.key, "client_ca"));
}

/* --- Reading again --------------------------------------------------------------------------- */

STAGE_TEST(what_is_read_again_is_for_those_who_come_then)
{
    struct tls_server *server = server_of(CERT_EARLY);
    struct tls_fault fault;
    struct ssl_st *before = tls_server_ssl(server);
    struct halves halves;
    struct scope scope;
    CHECK_SLICE(slice_str(shown(server, NULL, TLS1_3_VERSION)), "early");
    certs_replace(&certs[CERT_EARLY], CERT_SHOP);
    CHECK_SLICE(slice_str(shown(server, NULL, TLS1_3_VERSION)), "early");
    CHECK(tls_server_reload(server, &fault));
    CHECK_SLICE(slice_str(shown(server, NULL, TLS1_3_VERSION)), "shop.example.com");

    /* One that had begun keeps what it had, names and all, when the server goes on without it. */
    halves_init(&halves, false, TLS1_3_VERSION);
    SSL_free(halves.ours.ssl);
    halves.ours.ssl = before;
    must(SSL_set_tlsext_host_name(halves.theirs.ssl, "shop.example.com") == 1);
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "ours", opening_run, &halves.ours));
    CHECK(plain_shake(&halves.theirs));
    CHECK_OK(scope_join(&scope));
    CHECK(X509_cmp(SSL_get0_peer_certificate(halves.theirs.ssl), certs[CERT_EARLY].certificate) ==
          0);
    halves_fini(&halves);

    /* What is wrong changes nothing. */
    must(unlink(certs[CERT_EARLY].key_file) == 0);
    CHECK(!tls_server_reload(server, &fault));
    CHECK(!strcmp(fault.key, "key"));
    CHECK_SLICE(slice_str(shown(server, NULL, TLS1_3_VERSION)), "shop.example.com");
    tls_server_free(server);
}

/* An open connection outlives the server that it came to. */
STAGE_TEST(an_open_connection_outlives_the_server)
{
    struct halves halves;
    if (halves_open(&halves, false, TLS1_3_VERSION)) {
        tls_server_free(halves.server);
        halves.server = NULL;
        CHECK_OK(say(halves.ours.stream, "still here"));
        plain_hear(&halves.theirs, "still here");
    }
    halves_fini(&halves);
}

/* --- Tickets --------------------------------------------------------------------------------- */

static struct tls_client *client;
static struct tls_sessions sessions;

static void open_client(enum tls_version version)
{
    struct tls_client_options options;
    tls_client_options_init(&options);
    options.policy.max_version = version;
    options.cert_file = certs[CERT_CLIENT].cert_file;
    options.key_file = certs[CERT_CLIENT].key_file;
    client = client_with(&options);
    tls_sessions_init(&sessions);
}

static void close_client(void)
{
    tls_sessions_fini(&sessions);
    tls_client_free(client);
}

WEIR_SUSPENDS static bool is_short(struct tls_server *server)
{
    struct ends ends;
    bool resumed = false;
    if (ends_open(&ends, server, client, &sessions, BELOW_SOCKETS)) {
        resumed = tls_facts_of(ends.server.stream).resumed;
        talk_both_ways(&ends);
    }
    ends_close(&ends);
    return resumed;
}

/* As if the key had been made so long ago. */
static void age(struct tls_server *server, int64_t seconds)
{
    for (unsigned i = 0; i < server->tickets.count; i++)
        server->tickets.keys[i].made.ns -= seconds * 1000000000;
}

enum { ROTATION_S = 10 };

static struct tls_server *rotating_server(void)
{
    struct tls_server_options options;
    tls_server_options_init(&options);
    options.ticket_rotation = weir_span_s(ROTATION_S);
    return server_with(options, CERT_WWW);
}

/* In TLS 1.2 OpenSSL's clients stay with the ticket that they had first. */
STAGE_TEST(a_ticket_is_good_across_rotations_and_no_longer)
{
    struct tls_server *server = rotating_server();
    open_client(TLS_VERSION_1_2);
    CHECK(!is_short(server));
    CHECK(is_short(server));
    CHECK_EQ(1, server->tickets.count);
    age(server, ROTATION_S);
    CHECK(is_short(server));
    CHECK_EQ(2, server->tickets.count);
    age(server, ROTATION_S);
    CHECK(is_short(server));
    CHECK_EQ(TICKET_KEYS, server->tickets.count);
    age(server, ROTATION_S);
    CHECK(!is_short(server));
    CHECK(is_short(server));
    close_client();
    tls_server_free(server);
}

/* Who comes often enough never needs a whole one: each handshake brings the next ticket. */
STAGE_TEST(tickets_follow_the_rotations)
{
    struct tls_server *server = rotating_server();
    open_client(TLS_VERSION_1_3);
    CHECK(!is_short(server));
    for (int i = 0; i < 8; i++) {
        age(server, ROTATION_S);
        CHECK(is_short(server));
    }
    CHECK_EQ(TICKET_KEYS, server->tickets.count);
    age(server, TICKET_KEYS * ROTATION_S);
    CHECK(!is_short(server));
    CHECK(is_short(server));
    close_client();
    tls_server_free(server);
}

STAGE_TEST(without_tickets_every_handshake_is_whole)
{
    for (enum tls_version version = TLS_VERSION_1_2; version <= TLS_VERSION_1_3; version++) {
        struct tls_server_options options;
        tls_server_options_init(&options);
        options.session_tickets = false;
        struct tls_server *server = server_with(options, CERT_WWW);
        open_client(version);
        CHECK(!is_short(server));
        CHECK(!is_short(server));
        CHECK_EQ(0, sessions.count);
        CHECK_EQ(0, server->tickets.count);
        close_client();
        tls_server_free(server);
    }
}

/* Who vouched for a client then does not do so now: its session is none. */
STAGE_TEST(a_session_of_other_clients_is_none)
{
    for (enum tls_version version = TLS_VERSION_1_2; version <= TLS_VERSION_1_3; version++) {
        struct tls_server_options options;
        struct tls_fault fault;
        char ca[64];
        FILE *file = fopen((snprintf(ca, sizeof ca, "%s/vouch.pem", certs_folder), ca), "we");
        must(file && PEM_write_X509(file, certs[CERT_CA].certificate) && fclose(file) == 0);
        tls_server_options_init(&options);
        options.client_cert = CLIENT_CERT_REQUIRED;
        options.client_ca_file = ca;
        struct tls_server *server = server_with(options, CERT_WWW);
        open_client(version);
        CHECK(!is_short(server));
        CHECK(is_short(server));
        CHECK(tls_server_reload(server, &fault)); /* of the same content */
        CHECK(is_short(server));
        file = fopen(ca, "ae");
        must(file && PEM_write_X509(file, certs[CERT_OTHER_CA].certificate) && fclose(file) == 0);
        CHECK(tls_server_reload(server, &fault));
        CHECK(!is_short(server));
        CHECK(is_short(server));
        close_client();
        tls_server_free(server);
        unlink(ca);
    }
}

/* Tickets are sealed for all names of a server. */
STAGE_TEST(a_session_is_good_for_the_certificate_that_sni_chose)
{
    struct tls_server *server = server_of_three();
    open_client(TLS_VERSION_1_3);
    CHECK(!is_short(server));
    CHECK(is_short(server));
    close_client();
    tls_server_free(server);
}

CHECK_MAIN
