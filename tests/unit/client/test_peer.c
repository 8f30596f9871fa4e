/* SPDX-License-Identifier: MIT */
#include "client/peer.h"

#include "base/check.h"
#include "base/slice.h"
#include "tests/check.h"
#include "tests/unit/stream/certificates.h"

static struct weir_peer_options options;
static char why[WEIR_WHY_BYTES];

static struct weir_peer *make(const char *url)
{
    struct weir_peer *peer = NULL;
    options.url = url;
    if (!CHECK_OK(weir_peer_new(&options, why, &peer)))
        printf("# %s\n", why);
    return peer;
}

static void refuse(const char *url, enum weir_err want, const char *sentence)
{
    struct weir_peer *peer = NULL;
    options.url = url;
    CHECK_ERR(want, weir_peer_new(&options, why, &peer));
    CHECK_SLICE(slice_str(why), sentence);
    CHECK_ERR(want, weir_peer_new(&options, NULL, &peer));
    CHECK(!peer);
}

TEST(an_address)
{
    weir_peer_options_init(&options);
    struct weir_peer *peer = make("http://127.0.0.1:8080"), *other = make("http://127.0.0.1:8080");
    CHECK_SLICE(slice_str(weir_peer_url(peer)), "http://127.0.0.1:8080");
    CHECK_SLICE(peer->authority, "127.0.0.1:8080");
    CHECK(!peer->host && !peer->tls);
    CHECK_EQ(8080, addr_port(&peer->options.addr));
    CHECK(peer->number != other->number);
    weir_peer_free(&peer);
    CHECK(!peer);
    weir_peer_free(&peer);
    weir_peer_free(&other);
}

TEST(options_are_copied)
{
    char url[] = "http://Name:81", source[] = "127.0.0.2";
    weir_peer_options_init(&options);
    options.bind_to = source;
    options.group_key = 7;
    options.read_timeout = weir_span_ms(3);
    options.max_streams = 9;
    struct weir_peer *peer = make(url);
    memset(url, 'x', sizeof url - 1);
    memset(source, 'x', sizeof source - 1);
    CHECK_SLICE(slice_str(weir_peer_url(peer)), "http://Name:81");
    CHECK_SLICE(slice_str(peer->host), "name");
    CHECK_EQ(81, peer->port);
    CHECK_EQ(7, peer->options.group_key);
    CHECK_EQ(9, peer->options.h2.max_streams);
    CHECK_EQ(3, weir_span_to_ms(peer->options.limits.read_timeout));
    CHECK(peer->options.source.len > 0);
    weir_peer_free(&peer);
}

static enum peer_protocol protocol_of(const char *url, enum weir_protocol protocol)
{
    weir_peer_options_init(&options);
    options.protocol = protocol;
    options.verify_cert = false;
    struct weir_peer *peer = make(url);
    enum peer_protocol made = peer->options.protocol;
    weir_peer_free(&peer);
    return made;
}

TEST(protocols)
{
    CHECK_EQ(PEER_HTTP1, protocol_of("http://a", WEIR_HTTP1));
    CHECK_EQ(PEER_HTTP2, protocol_of("http://a", WEIR_HTTP2));
    CHECK_EQ(PEER_HTTP1, protocol_of("http://a", WEIR_HTTP_AUTO));
    CHECK_EQ(PEER_HTTP2, protocol_of("h2c://a", WEIR_HTTP1));
    CHECK_EQ(PEER_AUTO, protocol_of("https://a", WEIR_HTTP_AUTO));
    CHECK_EQ(PEER_HTTP1, protocol_of("unix:/a", WEIR_HTTP_AUTO));
}

TEST(who_is_trusted_is_read_once)
{
    struct tls_fault fault;
    const char *file = certs[CERT_CA].cert_file;
    weir_peer_options_init(&options);
    options.ca_file = file;
    struct weir_peer *peer = make("https://www.example.com"), *other = make("https://other");
    CHECK(peer->trust == other->trust);
    CHECK_EQ(2, peer->trust->references);
    CHECK_SLICE(slice_str(peer->options.tls_name), "www.example.com");
    weir_peer_free(&peer);
    struct trust *trust = trust_get(file, &fault);
    CHECK(trust == other->trust);
    trust_release(&trust);
    trust_release(&trust);
    weir_peer_free(&other);
}

TEST(what_is_wrong_is_told)
{
    weir_peer_options_init(&options);
    refuse("a", WEIR_E_ADDRESS,
           "a: not a URL such as http://127.0.0.1:9001, https://example.com or unix:/run/app.sock");
    refuse("http://a/b", WEIR_E_ADDRESS, "http://a/b: a path in a URL is not supported");
    refuse("nobody:a", WEIR_E_TRANSPORT,
           "nobody:a: there is no transport 'nobody'; there are: exec");
    options.bind_to = "::1";
    refuse("http://127.0.0.1", WEIR_E_ADDRESS, "::1: not of the same kind as the server's");
    options.bind_to = "a";
    refuse("http://127.0.0.1", WEIR_E_ADDRESS, "a: not an IP address without a port");
    options.bind_to = NULL;
    options.cert_file = certs[CERT_CLIENT].cert_file;
    refuse("https://a", WEIR_E_CONFIG, "cert_file: it goes with a key_file");
    options.cert_file = NULL;
    options.ca_file = "/nowhere";
    struct weir_peer *peer = NULL;
    options.url = "https://a";
    CHECK_ERR(WEIR_E_CONFIG, weir_peer_new(&options, why, &peer));
    CHECK(strstr(why, "/nowhere") || strstr(why, "No such file"));
    options.max_streams = 0;
    refuse("http://a", WEIR_E_CONFIG, "http://a: no such protocol, or no streams");
}

TEST(references)
{
    weir_peer_options_init(&options);
    struct weir_peer *peer = make("http://a"), *again = weir_peer_ref(peer), *held = peer;
    client_peer_hold(held);
    weir_peer_free(&peer);
    CHECK(client_peer_is_wanted(held));
    weir_peer_free(&again);
    CHECK(!client_peer_is_wanted(held));
    client_peer_let_go(held);
}

CHECK_MAIN
