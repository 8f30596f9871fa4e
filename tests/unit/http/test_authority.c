/* SPDX-License-Identifier: MIT */
#include "http/head.h"
#include "tests/check.h"

struct row {
    const char *authority;
    const char *host; /* NULL: malformed */
    const char *port;
};

static const struct row rows[] = {
    {"", "", ""},
    {"example.com", "example.com", ""},
    {"example.com:", "example.com", ""},
    {"example.com:80", "example.com", "80"},
    {"EXAMPLE.com:65535", "EXAMPLE.com", "65535"},
    {"under_score~-!$&'()*+,;=", "under_score~-!$&'()*+,;=", ""},
    {"a%2Fb", "a%2Fb", ""},
    {"127.0.0.1:8080", "127.0.0.1", "8080"},
    {":80", "", "80"},
    {"[::1]", "[::1]", ""},
    {"[::1]:443", "[::1]", "443"},
    {"[2001:db8::10.0.0.1]:1", "[2001:db8::10.0.0.1]", "1"},
    {"[v1.a:b]", "[v1.a:b]", ""},
    {"[vF.x]:8", "[vF.x]", "8"},
    {"example.com:65536", NULL, NULL},
    {"example.com:99999999999999999999", NULL, NULL},
    {"example.com:+80", NULL, NULL},
    {"example.com:8x", NULL, NULL},
    {"example.com:80:80", NULL, NULL},
    {"::1", NULL, NULL},
    {"user@example.com", NULL, NULL},
    {"a b", NULL, NULL},
    {"a/b", NULL, NULL},
    {"a?b", NULL, NULL},
    {"a,b", "a,b", ""}, /* sub-delims; no name resolves to it */
    {"a\"b", NULL, NULL},
    {"a%2", NULL, NULL},
    {"a%2g", NULL, NULL},
    {"a%", NULL, NULL},
    {"b\xc3\xbc.de", NULL, NULL},
    {"[::1", NULL, NULL},
    {"[::1]x", NULL, NULL},
    {"[::1]x:80", NULL, NULL},
    {"[]", NULL, NULL},
    {"[", NULL, NULL},
    {"[::1%25eth0]", NULL, NULL},
    {"[:::1]", NULL, NULL},
    {"[1.2.3.4]", NULL, NULL},
    {"[v.x]", NULL, NULL},
    {"[v1.]", NULL, NULL},
    {"[v1]", NULL, NULL},
    {"[vg.x]", NULL, NULL},
    {"[v1.@]", NULL, NULL},
    {"[1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111]", NULL, NULL},
    {"a]", NULL, NULL},
};

TEST(splits_what_is_well_formed)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct weir_slice host, port;
        bool good = http_authority_split(slice_str(rows[i].authority), &host, &port);
        if (good != (rows[i].host != NULL))
            printf("# row %zu: %s\n", i, rows[i].authority);
        CHECK_EQ(rows[i].host != NULL, good);
        if (good && rows[i].host) {
            CHECK_SLICE(host, rows[i].host);
            CHECK_SLICE(port, rows[i].port);
        }
    }
}

TEST(a_nul_is_not_the_end)
{
    struct weir_slice host, port;
    CHECK(!http_authority_split(SLICE("a\0b"), &host, &port));
    CHECK(!http_authority_split(SLICE("[::1\0]"), &host, &port));
}

TEST(the_host_of_an_authority)
{
    CHECK_SLICE(http_authority_host(SLICE("example.com:80")), "example.com");
    CHECK_SLICE(http_authority_host(SLICE("example.com")), "example.com");
    CHECK_SLICE(http_authority_host(SLICE("[::1]:80")), "[::1]");
    CHECK_SLICE(http_authority_host(SLICE("[::1]")), "[::1]");
    CHECK_SLICE(http_authority_host(SLICE("u:p@example.com:80")), "example.com");
    CHECK_SLICE(http_authority_host(SLICE("u@v@[::1]:8")), "[::1]");
    CHECK_SLICE(http_authority_host(SLICE("")), "");
    CHECK_SLICE(http_authority_host((struct weir_slice){NULL, 0}), "");
}

CHECK_MAIN
