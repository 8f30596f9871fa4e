/* SPDX-License-Identifier: MIT */
#include "config/build_tls.h"

#include "base/check.h"
#include "tests/unit/config/load.h"
#include "tests/unit/stream/certificates.h"

#include <openssl/ssl.h>

/* A configuration with the files' names in it; @ stands for the certificates' folder. */
static const char *with_files(const char *text)
{
    static char whole[4096];
    size_t at = 0;
    for (; *text; text++) {
        must(at + sizeof certs_folder < sizeof whole);
        if (*text == '@')
            at += (size_t)snprintf(whole + at, sizeof whole - at, "%s", certs_folder);
        else
            whole[at++] = *text;
        whole[at] = '\0';
    }
    return whole;
}

/* The same of messages, in a place of their own. */
static const char *message(const char *text)
{
    static char whole[4096];
    snprintf(whole, sizeof whole, "%s", with_files(text));
    return whole;
}

#define LOAD_FILES(text) load_at(__FILE__, __LINE__, with_files(text), WEIR_OK, "")
#define REJECT_FILES(text, messages)                                                               \
    do {                                                                                           \
        const char *want = message(messages);                                                      \
        (void)load_at(__FILE__, __LINE__, with_files(text), WEIR_E_CONFIG, want);                  \
    } while (false)

/* Numbers as the files are called by them: certs_make_all(). */
#define WWW "cert: @/3.pem, key: @/3.key"
#define SHOP "cert: @/4.pem, key: @/4.key"
#define CLIENT "cert: @/12.pem, key: @/12.key"
#define CA "@/0.pem"
#define LISTEN(tls)                                                                                \
    "services:\n  - name: s\n    upstream: http://127.0.0.1:1\n    listen:\n"                      \
    "      - address: 127.0.0.1:0\n        tls: {" tls "}\n"
#define UPSTREAM(servers, tls)                                                                     \
    "ca_file: " CA "\n" UPSTREAM_HEAD "      servers: [" servers "]\n      tls: {" tls "}\n"

TEST(the_files_are_where_this_test_thinks)
{
    CHECK(CERT_WWW == 3 && CERT_SHOP == 4 && CERT_CLIENT == 12 && CERT_CA == 0);
}

/* --- Listeners ------------------------------------------------------------------------------- */

TEST(a_listener_by_default)
{
    struct snapshot *snapshot = LOAD_FILES(LISTEN(WWW));
    if (!CHECK(snapshot))
        return;
    const struct tls_server *server = snapshot->services[0].listen[0].tls;
    struct tls_server_options defaults;
    tls_server_options_init(&defaults);
    if (CHECK(server)) {
        CHECK_EQ(1, server->options.identity_count);
        CHECK(!strcmp(server->options.identities[0].cert_file, certs[CERT_WWW].cert_file));
        CHECK(!strcmp(server->options.identities[0].key_file, certs[CERT_WWW].key_file));
        CHECK_EQ(0, memcmp(&defaults.policy, &server->options.policy, sizeof defaults.policy));
        CHECK_EQ(CLIENT_CERT_NONE, server->options.client_cert);
        CHECK(server->options.session_tickets);
        CHECK_EQ(defaults.ticket_rotation.ns, server->options.ticket_rotation.ns);
        CHECK_EQ(defaults.handshake_timeout.ns, server->options.handshake_timeout.ns);
    }
    snapshot_unref(&snapshot);
}

TEST(every_option_of_a_listener_arrives)
{
    struct snapshot *snapshot = LOAD_FILES(
        LISTEN(WWW ", certificates: [{" SHOP "}], min_version: '1.3', max_version: '1.3', "
                   "ciphersuites: TLS_AES_128_GCM_SHA256, groups: X25519, "
                   "client_cert: optional, client_ca: " CA ", session_tickets: false, "
                   "ticket_rotation: 1h, handshake_timeout: 3s"));
    if (!CHECK(snapshot))
        return;
    const struct tls_server *server = snapshot->services[0].listen[0].tls;
    if (CHECK(server)) {
        const struct tls_server_options *options = &server->options;
        CHECK_EQ(2, options->identity_count);
        CHECK(!strcmp(options->identities[1].cert_file, certs[CERT_SHOP].cert_file));
        CHECK_EQ(TLS_VERSION_1_3, options->policy.min_version);
        CHECK_EQ(TLS_VERSION_1_3, options->policy.max_version);
        CHECK(!strcmp(options->policy.ciphersuites, "TLS_AES_128_GCM_SHA256"));
        CHECK(!strcmp(options->policy.groups, "X25519"));
        CHECK_EQ(CLIENT_CERT_OPTIONAL, options->client_cert);
        CHECK(!strcmp(options->client_ca_file, certs[CERT_CA].cert_file));
        CHECK(!options->session_tickets);
        CHECK_EQ(3600 * 1000, weir_span_to_ms(options->ticket_rotation));
        CHECK_EQ(3000, weir_span_to_ms(options->handshake_timeout));
    }
    snapshot_unref(&snapshot);
}

TEST(without_tls_there_is_none)
{
    struct snapshot *snapshot = LOAD(SERVICE_HEAD "    upstream: http://127.0.0.1:1\n");
    if (CHECK(snapshot)) {
        CHECK(!snapshot->services[0].listen[0].tls);
        CHECK(!snapshot->services[0].upstreams[0].tls);
    }
    snapshot_unref(&snapshot);
}

#define AT(column) "t.yaml:6:" column ": error: "

TEST(wrong_listeners)
{
    REJECT_FILES(LISTEN("key: @/3.key"), AT("14") "the TLS of a listener needs the key 'cert'\n");
    REJECT_FILES(LISTEN("cert: @/3.pem"), AT("14") "the TLS of a listener needs the key 'key'\n");
    REJECT_FILES(LISTEN("cert: /none.pem, key: @/3.key"),
                 AT("21") "cert: cannot read /none.pem: No such file or directory\n");
    REJECT_FILES(LISTEN("key: /none.key, cert: @/3.pem"),
                 AT("20") "key: cannot read /none.key: No such file or directory\n");
    REJECT_FILES(LISTEN("key: @/4.key, cert: @/3.pem"),
                 AT("20") "key: @/4.key: not the key of the certificate, in PEM (key values "
                          "mismatch)\n");
    REJECT_FILES(LISTEN("min_version: '1.3', max_version: '1.2', " WWW),
                 AT("28") "min_version is newer than max_version\n");
    REJECT_FILES(LISTEN("min_version: '1.1', " WWW),
                 AT("28") "'min_version' must be 1.2 or 1.3, not '1.1'\n");
    REJECT_FILES(LISTEN("ciphers: NONE, " WWW), AT("24") "ciphers: no cipher match\n");
    REJECT_FILES(LISTEN("client_cert: required, " WWW),
                 AT("28") "client_cert needs client_ca: who vouches for clients\n");
    REJECT_FILES(LISTEN("client_ca: " CA ", " WWW),
                 AT("26") "client_ca does nothing without client_cert\n");
    REJECT_FILES(LISTEN("client_cert: required, client_ca: /none.pem, " WWW),
                 AT("49") "client_ca: cannot read /none.pem: No such file or directory\n");
    REJECT_FILES(LISTEN("certificates: [{cert: /none.pem, key: @/4.key}], " WWW),
                 AT("37") "cert: cannot read /none.pem: No such file or directory\n");
    REJECT_FILES(LISTEN("certificates: [{cert: @/4.pem}], " WWW),
                 AT("30") "a certificate needs the key 'key'\n");
}

/* --- Upstreams ------------------------------------------------------------------------------- */

TEST(an_upstream_by_default)
{
    struct snapshot *snapshot = LOAD_FILES(UPSTREAM("127.0.0.1:1", ""));
    if (!CHECK(snapshot))
        return;
    const struct upstream_options *upstream = &snapshot->services[0].upstreams[0];
    if (CHECK(upstream->tls)) {
        const struct tls_client_options *options = &upstream->tls->options;
        CHECK(options->verify_cert && options->verify_hostname && options->resume);
        CHECK(!options->alternative_cn && !options->cert_file && !upstream->sni);
        CHECK(!strcmp(options->trust_file, certs[CERT_CA].cert_file));
    }
    snapshot_unref(&snapshot);
}

TEST(every_option_of_an_upstream_arrives)
{
    struct snapshot *snapshot = LOAD_FILES(UPSTREAM(
        "127.0.0.1:1", "sni: www.example.com, verify_cert: false, "
                       "alternative_cn: other.example.com, " CLIENT ", max_version: '1.2', "
                       "ciphers: ECDHE+AESGCM, ciphersuites: TLS_AES_128_GCM_SHA256, "
                       "groups: X25519, session_resumption: false"));
    if (!CHECK(snapshot))
        return;
    const struct upstream_options *upstream = &snapshot->services[0].upstreams[0];
    if (CHECK(upstream->tls)) {
        const struct tls_client_options *options = &upstream->tls->options;
        static const struct tls_digest none;
        CHECK(!strcmp(upstream->sni, "www.example.com"));
        CHECK(!options->verify_cert && options->verify_hostname && !options->resume);
        CHECK(!strcmp(options->alternative_cn, "other.example.com"));
        CHECK_EQ(TLS_VERSION_1_2, options->policy.max_version);
        CHECK(!strcmp(options->policy.ciphers, "ECDHE+AESGCM"));
        CHECK(!strcmp(options->policy.ciphersuites, "TLS_AES_128_GCM_SHA256"));
        CHECK(memcmp(&none, &upstream->tls->identity, sizeof none) != 0);
        CHECK(memcmp(&none, &upstream->tls->trust, sizeof none) == 0); /* nobody is trusted */
    }
    snapshot_unref(&snapshot);
}

/* They are no mistakes; who wrote them should know all the same. */
TEST(keys_that_do_nothing_are_told)
{
    struct snapshot *snapshot = NULL;
    struct buf messages;
    buf_init(&messages);
    const char *text =
        with_files(UPSTREAM("127.0.0.1:1", "verify_cert: false, verify_hostname: false, "
                                           "ca: /none.pem, alternative_cn: a.example.com, "
                                           "min_version: '1.3', ciphers: ECDHE+AESGCM"));
    CHECK_OK(snapshot_load_text("t.yaml", slice_str(text), &messages, &snapshot));
    static const char *const told[] = {
        "warning: ca does nothing with verify_cert: false\n",
        "warning: alternative_cn does nothing with verify_hostname: false\n",
        "warning: ciphers, which are those of TLS 1.2, do nothing with min_version: 1.3\n",
    };
    for (size_t i = 0; i < COUNT_OF(told); i++)
        if (!CHECK(memmem(messages.at, messages.len, told[i], strlen(told[i]))))
            printf("# %s", told[i]);
    buf_fini(&messages);
    if (snapshot)
        CHECK(!snapshot->services[0].upstreams[0].tls->options.verify_hostname);
    snapshot_unref(&snapshot);
}

TEST(a_url_may_say_https)
{
    struct snapshot *snapshot =
        LOAD_FILES("ca_file: " CA "\n" SERVICE_HEAD "    upstream: https://127.0.0.1\n");
    if (CHECK(snapshot)) {
        const struct upstream_options *upstream = &snapshot->services[0].upstreams[0];
        CHECK(upstream->tls && upstream->tls->options.verify_cert);
        CHECK_EQ(443, addr_port(&upstream->servers[0].addr));
    }
    snapshot_unref(&snapshot);
    REJECT("ca_file: /none.pem\n" SERVICE_HEAD "    upstream: https://127.0.0.1\n",
           "t.yaml:5:15: error: ca: cannot read /none.pem: No such file or directory\n");
}

TEST(over_tls_a_server_may_pick_the_protocol)
{
    static const struct {
        const char *protocol;
        enum peer_protocol want;
    } rows[] = {{"http1", PEER_HTTP1}, {"http2", PEER_HTTP2}, {"auto", PEER_AUTO}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "ca_file: " CA "\n" UPSTREAM_HEAD "      servers: [127.0.0.1:1]\n"
                 "      tls: {}\n      protocol: %s\n",
                 rows[i].protocol);
        struct snapshot *snapshot = LOAD_FILES(text);
        if (CHECK(snapshot)) {
            CHECK_EQ(rows[i].want, snapshot->services[0].upstreams[0].protocol);
            CHECK(snapshot->services[0].upstreams[0].tls);
        }
        snapshot_unref(&snapshot);
    }
}

/* Nobody asks for the file where nobody verifies. */
TEST(a_file_of_authorities_is_wanted_only_where_it_is_used)
{
    struct snapshot *snapshot =
        LOAD("ca_file: /none.pem\n" UPSTREAM_HEAD "      servers: [127.0.0.1:1]\n"
             "      tls: {verify_cert: false}\n");
    CHECK(snapshot && snapshot->services[0].upstreams[0].tls);
    snapshot_unref(&snapshot);
}

TEST(one_file_is_read_once)
{
    struct snapshot *snapshot =
        LOAD_FILES("ca_file: " CA "\n" SERVICE_HEAD "    upstreams:\n"
                   "      a: https://127.0.0.1\n"
                   "      b: {servers: [127.0.0.1:2], tls: {ca: " CA "}}\n"
                   "      c: {servers: [127.0.0.1:3], tls: {ca: @/2.pem}}\n"
                   "    routes: [{host: a, upstream: a}, {host: b, upstream: b}, {upstream: c}]\n");
    if (!CHECK(snapshot))
        return;
    const struct upstream_options *all = snapshot->services[0].upstreams;
    if (CHECK(all[0].tls && all[1].tls && all[2].tls)) {
        const X509_STORE *stores[3];
        for (unsigned i = 0; i < 3; i++)
            stores[i] = SSL_CTX_get_cert_store(all[i].tls->context);
        CHECK(stores[0] == stores[1]);
        CHECK(stores[0] != stores[2]);
        CHECK(!memcmp(&all[0].tls->trust, &all[1].tls->trust, sizeof all[0].tls->trust));
        CHECK(memcmp(&all[0].tls->trust, &all[2].tls->trust, sizeof all[0].tls->trust));
    }
    snapshot_unref(&snapshot);
}

#define TLS_AT(column) "t.yaml:7:" column ": error: "

TEST(wrong_upstreams)
{
    REJECT_FILES(UPSTREAM("127.0.0.1:1", "ca: /none.pem"),
                 TLS_AT("17") "ca: cannot read /none.pem: No such file or directory\n");
    REJECT_FILES(UPSTREAM("127.0.0.1:1", "ca: @/3.key"),
                 TLS_AT("17") "ca: @/3.key: no certificates in PEM (no start line)\n");
    REJECT_FILES(UPSTREAM("127.0.0.1:1", "cert: @/12.pem"),
                 TLS_AT("19") "cert and key go together\n");
    REJECT_FILES(UPSTREAM("127.0.0.1:1", "key: @/12.key"),
                 TLS_AT("18") "cert and key go together\n");
    REJECT_FILES(UPSTREAM("127.0.0.1:1", "cert: @/12.pem, key: /none.key"),
                 TLS_AT("62") "key: cannot read /none.key: No such file or directory\n");
    REJECT_FILES(UPSTREAM("127.0.0.1:1", "max_version: '1.2', min_version: '1.3'"),
                 TLS_AT("46") "min_version is newer than max_version\n");
    REJECT_FILES(UPSTREAM("127.0.0.1:1", "groups: P-12, ciphers: NONE"),
                 TLS_AT("36") "ciphers: no cipher match\n");
    REJECT_FILES(UPSTREAM("127.0.0.1:1, unix:/x", ""),
                 TLS_AT("12") "the server 'unix:/x' has no name: its certificate's name cannot be "
                              "verified without 'sni' or 'alternative_cn'\n");
}

TEST(a_unix_server_with_a_name_to_look_for)
{
    static const char *const tls[] = {UPSTREAM("unix:/x", "sni: www.example.com"),
                                      UPSTREAM("unix:/x", "alternative_cn: www.example.com"),
                                      UPSTREAM("unix:/x", "verify_hostname: false")};
    for (unsigned i = 0; i < 3; i++) {
        struct snapshot *snapshot = LOAD_FILES(tls[i]);
        CHECK(snapshot && snapshot->services[0].upstreams[0].tls);
        snapshot_unref(&snapshot);
    }
}

/* --- Paths ----------------------------------------------------------------------------------- */

/* weir goes to its working directory later, and reads the files again. */
TEST(relative_paths_become_absolute)
{
    char before[512], own[sizeof certs_folder + 16];
    must(getcwd(before, sizeof before) && chdir(certs_folder) == 0);
    struct snapshot *snapshot =
        LOAD(LISTEN("cert: 3.pem, key: ./3.key, client_cert: required, client_ca: 0.pem, "
                    "certificates: [{cert: 4.pem, key: 4.key}]"));
    must(chdir(before) == 0);
    if (!CHECK(snapshot))
        return;
    struct tls_server *server = snapshot->services[0].listen[0].tls;
    if (CHECK(server)) {
        const struct tls_identity *identities = server->options.identities;
        struct tls_fault fault;
        CHECK(!strcmp(identities[0].cert_file, certs[CERT_WWW].cert_file));
        snprintf(own, sizeof own, "%s/./3.key", certs_folder);
        CHECK(!strcmp(identities[0].key_file, own));
        CHECK(!strcmp(identities[1].cert_file, certs[CERT_SHOP].cert_file));
        CHECK(!strcmp(identities[1].key_file, certs[CERT_SHOP].key_file));
        CHECK(!strcmp(server->options.client_ca_file, certs[CERT_CA].cert_file));
        CHECK(tls_server_reload(server, &fault));
    }
    snapshot_unref(&snapshot);
}

CHECK_MAIN
