/* SPDX-License-Identifier: MIT */
#include "stream/tls_alpn.h"

#include "stream/tls.h"
#include "tests/unit/stream/tls_ends.h"

enum { NOTHING };

/* What the client offers, what the server allows, and what they agree upon; unsaid it is HTTP/1. */
static const struct {
    unsigned offers, allows; /* NOTHING: it was not told */
    bool agrees, http2;
} cases[] = {
    {NOTHING, NOTHING, true, false},       {NOTHING, ALPN_HTTP_1, true, false},
    {NOTHING, ALPN_BOTH, true, false},     {NOTHING, ALPN_HTTP_2, false, false},
    {ALPN_HTTP_1, NOTHING, true, false},   {ALPN_HTTP_1, ALPN_HTTP_1, true, false},
    {ALPN_HTTP_1, ALPN_BOTH, true, false}, {ALPN_HTTP_1, ALPN_HTTP_2, false, false},
    {ALPN_HTTP_2, NOTHING, false, false},  {ALPN_HTTP_2, ALPN_HTTP_1, false, false},
    {ALPN_HTTP_2, ALPN_BOTH, true, true},  {ALPN_HTTP_2, ALPN_HTTP_2, true, true},
    {ALPN_BOTH, NOTHING, true, false},     {ALPN_BOTH, ALPN_HTTP_1, true, false},
    {ALPN_BOTH, ALPN_BOTH, true, true},    {ALPN_BOTH, ALPN_HTTP_2, true, true},
};

/* Whether both ends were opened; they are compared, and closed. */
WEIR_SUSPENDS static void check(size_t i, struct tls_server *server, struct tls_client *client,
                                const char *name)
{
    struct ends ends;
    struct ssl_st *theirs = tls_server_ssl(server);
    struct ssl_st *ours = tls_client_ssl(client, name, NULL);
    if (cases[i].allows)
        tls_alpn_allow(theirs, (enum alpn)cases[i].allows);
    if (cases[i].offers)
        tls_alpn_offer(ours, (enum alpn)cases[i].offers);
    ends_open_over(&ends, theirs, ours, BELOW_PAIR);
    bool same = CHECK_EQ(cases[i].agrees, ends.client.err == WEIR_OK && ends.server.err == WEIR_OK);
    if (ends.client.stream && ends.server.stream) {
        same &= CHECK_EQ(cases[i].http2, tls_facts_of(ends.client.stream).is_http2);
        same &= CHECK_EQ(cases[i].http2, tls_facts_of(ends.server.stream).is_http2);
        talk_both_ways(&ends);
    }
    if (!same)
        printf("# case %zu\n", i);
    ends_close(&ends);
}

STAGE_TEST(what_is_agreed_upon)
{
    struct tls_server *server = server_of(CERT_WWW);
    struct tls_client *client = client_of_default();
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check(i, server, client, "www.example.com");
    tls_client_free(client);
    tls_server_free(server);
}

CHECK_MAIN
