/* SPDX-License-Identifier: MIT */
#include "io/lookup.h"

#include "tests/check.h"

TEST(a_name_of_etc_hosts_has_an_address_with_the_port)
{
    struct addr addr;
    const char *why = NULL;
    CHECK_OK(lookup_host("localhost", 8080, &addr, &why));
    CHECK_EQ(8080, addr_port(&addr));
    CHECK(addr.any.sa_family == AF_INET || addr.any.sa_family == AF_INET6);
}

/* RFC 6761 section 6.4: such a name is nobody's; and one with a blank is not even a name. */
TEST(a_name_that_is_none_is_told_why)
{
    struct addr addr;
    const char *why = NULL;
    CHECK_EQ(WEIR_E_DNS_ERROR, lookup_host("no such.invalid", 80, &addr, &why));
    CHECK(why && *why);
}

CHECK_MAIN
