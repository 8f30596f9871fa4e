/* SPDX-License-Identifier: MIT */
#include "stream/tls_names.h"

#include "tests/check.h"
#include "tests/unit/stream/certificates.h"

/* Contexts are only pointed to. */
static char places[4];

static struct ssl_ctx_st *place(int number)
{
    return number < 0 ? NULL : (struct ssl_ctx_st *)&places[number];
}

enum { NONE = -1, WWW, SHOP, COMMON };

static const struct {
    const char *name;
    int want;
} wanted[] = {
    {"www.example.com", WWW},
    {"WWW.Example.COM", WWW},
    {"shop.example.com", SHOP},
    {"common.example.com", COMMON},
    {"x.wild.example.com", WWW},
    {"X.WILD.example.com", WWW},
    {"a.wild.example.com", SHOP}, /* an exact name goes before a wildcard */
    {"wild.example.com", NONE},
    {"x.y.wild.example.com", NONE}, /* RFC 9525 section 6.3: one label */
    {"*.wild.example.com", WWW},
    {"www.example.com.", NONE}, /* RFC 6066 section 3: a name in SNI has no dot at its end */
    {"www.example.co", NONE},
    {"ww.example.com", NONE},
    {"wwww.example.com", NONE},
    {"example.com", NONE},
    {"localhost", NONE},
    {"127.0.0.1", NONE},
    {"::1", NONE},
    {"", NONE},
    {".", NONE},
};

TEST(names_lead_to_their_certificates)
{
    struct tls_names names = {0};
    CHECK(tls_names_add(&names, certs[CERT_WWW].certificate, place(WWW)));
    CHECK(tls_names_add(&names, certs[CERT_SHOP].certificate, place(SHOP)));
    CHECK(tls_names_add(&names, certs[CERT_COMMON].certificate, place(COMMON)));
    CHECK_EQ(5, names.count); /* addresses are none, nor common names beside others */
    tls_names_sort(&names);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!CHECK(tls_names_find(&names, wanted[i].name) == place(wanted[i].want)))
            printf("# it was '%s'\n", wanted[i].name);
    tls_names_clear(&names);
    CHECK_EQ(0, names.count);
    CHECK(!tls_names_find(&names, "www.example.com"));
}

TEST(an_earlier_certificate_goes_before_a_later_one)
{
    static const enum certificate_name all[] = {CERT_EXPIRED, CERT_WWW, CERT_SELF, CERT_STRANGER};
    for (unsigned first = 0; first < 4; first++) {
        struct tls_names names = {0};
        for (unsigned i = 0; i < 4; i++)
            CHECK(tls_names_add(&names, certs[all[(first + i) % 4]].certificate,
                                place((int)((first + i) % 4))));
        tls_names_sort(&names);
        CHECK(tls_names_find(&names, "www.example.com") == place((int)first));
        tls_names_clear(&names);
    }
}

TEST(a_name_that_is_too_long_is_nobodys)
{
    char name[300];
    struct tls_names names = {0};
    CHECK(tls_names_add(&names, certs[CERT_WWW].certificate, place(WWW)));
    tls_names_sort(&names);
    memset(name, 'a', sizeof name);
    memcpy(name + 240, ".wild.example.com", 18);
    CHECK(!tls_names_find(&names, name)); /* 257 bytes */
    CHECK(tls_names_find(&names, name + 2) == place(WWW));
    tls_names_clear(&names);
}

CHECK_MAIN
