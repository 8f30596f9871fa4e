/* SPDX-License-Identifier: MIT */
#include "io/addr.h"

#include "base/check.h"
#include "base/slice.h"

#include "tests/check.h"

#include <stddef.h>

static const struct {
    const char *text;
    const char *printed; /* NULL: not an address */
    const char *ip;
    unsigned port;
} rows[] = {
    {"127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", 80},
    {"0.0.0.0:0", "0.0.0.0:0", "0.0.0.0", 0},
    {"255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255", 65535},
    {"[::1]:8080", "[::1]:8080", "::1", 8080},
    {"[2001:DB8:0:0::1]:1", "[2001:db8::1]:1", "2001:db8::1", 1},
    {"[::ffff:10.0.0.1]:9", "[::ffff:10.0.0.1]:9", "10.0.0.1", 9},
    {":443", "[::]:443", "::", 443},
    {"unix:/run/x.sock", "unix:/run/x.sock", "unix", 0},
    {"unix:relative", "unix:relative", "unix", 0},
    {"", NULL, NULL, 0},
    {"127.0.0.1", NULL, NULL, 0},
    {"127.0.0.1:", NULL, NULL, 0},
    {"127.0.0.1:65536", NULL, NULL, 0},
    {"127.0.0.1:+80", NULL, NULL, 0},
    {"127.0.0.1: 80", NULL, NULL, 0},
    {"127.0.0.1:80 ", NULL, NULL, 0},
    {"127.0.0.256:80", NULL, NULL, 0},
    {"127.1:80", NULL, NULL, 0},
    {"localhost:80", NULL, NULL, 0},
    {"::1:80", NULL, NULL, 0},
    {"[::1]", NULL, NULL, 0},
    {"[::1:80", NULL, NULL, 0},
    {"[]:80", NULL, NULL, 0},
    {"[::g]:80", NULL, NULL, 0},
    {"unix:", NULL, NULL, 0},
};

TEST(texts_are_parsed_and_printed)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct addr addr;
        char text[ADDR_TEXT_SIZE];
        enum weir_err err = addr_parse(slice_str(rows[i].text), &addr);
        if (!rows[i].printed) {
            if (!CHECK_ERR(WEIR_E_ADDRESS, err))
                printf("# it is \"%s\"\n", rows[i].text);
            continue;
        }
        CHECK_OK(err);
        CHECK_SLICE(slice_str(addr_print(&addr, text)), rows[i].printed);
        CHECK_SLICE(slice_str(addr_print_ip(&addr, text)), rows[i].ip);
        CHECK_EQ(rows[i].port, addr_port(&addr));
    }
}

TEST(what_is_not_written_stays)
{
    struct addr addr = {.len = 77};
    CHECK_ERR(WEIR_E_ADDRESS, addr_parse(SLICE("nowhere"), &addr));
    CHECK_ERR(WEIR_E_ADDRESS, addr_parse_ip(SLICE("nowhere"), &addr));
    CHECK_EQ(77, addr.len);
}

TEST(an_ip_has_no_port)
{
    struct addr addr;
    char text[ADDR_TEXT_SIZE];
    CHECK_OK(addr_parse_ip(SLICE("10.0.0.1"), &addr));
    CHECK_EQ(0, addr_port(&addr));
    addr_set_port(&addr, 99);
    CHECK_SLICE(slice_str(addr_print(&addr, text)), "10.0.0.1:99");
    CHECK_OK(addr_parse_ip(SLICE("[::1]"), &addr));
    addr_set_port(&addr, 7);
    CHECK_SLICE(slice_str(addr_print(&addr, text)), "[::1]:7");
    CHECK_OK(addr_parse_ip(SLICE("::1"), &addr));
    CHECK_ERR(WEIR_E_ADDRESS, addr_parse_ip(SLICE("10.0.0.1:80"), &addr));
    CHECK_ERR(WEIR_E_ADDRESS, addr_parse_ip(SLICE("1.2.3.4\0"), &addr));
    CHECK_ERR(WEIR_E_ADDRESS, addr_parse_ip(SLICE(""), &addr));
}

TEST(a_path_must_fit_with_its_end)
{
    char text[200] = "unix:/";
    struct addr addr;
    char printed[ADDR_TEXT_SIZE];
    size_t most = 5 + sizeof addr.local.sun_path - 1;
    memset(text + 6, 'p', sizeof text - 6);
    CHECK_OK(addr_parse(slice_of(text, most), &addr));
    CHECK(slice_equal(slice_str(addr_print(&addr, printed)), slice_of(text, most)));
    CHECK_ERR(WEIR_E_ADDRESS, addr_parse(slice_of(text, most + 1), &addr));
    CHECK_ERR(WEIR_E_ADDRESS, addr_parse(SLICE("unix:/a\0b"), &addr));
}

TEST(equal_means_the_whole_address)
{
    static const char *const texts[] = {
        "127.0.0.1:80", "127.0.0.1:81",          "127.0.0.2:80", "[::1]:80", "[::2]:80",
        "[::1]:81",     "[::ffff:127.0.0.1]:80", "unix:/a",      "unix:/b",  "unix:/aa",
    };
    struct addr addrs[COUNT_OF(texts)], none = {0};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        CHECK_OK(addr_parse(slice_str(texts[i]), &addrs[i]));
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        CHECK(!addr_equal(&addrs[i], &none));
        CHECK(!addr_equal(&none, &addrs[i]));
        for (size_t j = 0; j < COUNT_OF(texts); j++)
            CHECK_EQ(i == j, addr_equal(&addrs[i], &addrs[j]));
    }
    CHECK(addr_equal(&none, &none));
}

TEST(no_address_and_no_path_print_too)
{
    struct addr none = {0};
    struct addr unnamed = {.len = offsetof(struct sockaddr_un, sun_path)};
    char text[ADDR_TEXT_SIZE];
    unnamed.any.sa_family = AF_UNIX;
    CHECK_SLICE(slice_str(addr_print(&none, text)), "none");
    CHECK_SLICE(slice_str(addr_print(&unnamed, text)), "unix:");
}

TEST(a_name_is_an_address_to_print_and_compare)
{
    struct addr name, same, other, ip, out;
    char text[ADDR_TEXT_SIZE], host[ADDR_TEXT_SIZE];
    memset(&name, 0x5a, sizeof name);
    CHECK_OK(addr_of_name(SLICE("www.example.com"), 8443, &name));
    CHECK_OK(addr_of_name(SLICE("www.example.com"), 8443, &same));
    CHECK_OK(addr_of_name(SLICE("www.example.com"), 8444, &other));
    CHECK_SLICE(slice_str(addr_print(&name, text)), "www.example.com:8443");
    CHECK(addr_is_name(&name) && !addr_is_local(&name));
    CHECK(addr_equal(&name, &same) && !addr_equal(&name, &other));
    CHECK(addr_compare(&name, &same) == 0 && addr_compare(&name, &other) != 0);
    CHECK_OK(addr_parse(SLICE("127.0.0.1:1"), &ip));
    CHECK(!addr_is_name(&ip) && !addr_equal(&ip, &name));
    CHECK(!addr_is_name(&(struct addr){0}));
    CHECK_ERR(WEIR_E_ADDRESS, addr_of_name(SLICE(""), 1, &out));
    /* What fits in a path with its NUL fits here. */
    memset(host, 'a', sizeof host);
    size_t longest = sizeof out.local.sun_path - sizeof ":65535";
    CHECK_OK(addr_of_name((struct weir_slice){host, longest}, 65535, &out));
    CHECK_ERR(WEIR_E_ADDRESS, addr_of_name((struct weir_slice){host, longest + 1}, 65535, &out));
}

TEST(any_text_is_an_address_to_print_and_compare)
{
    struct addr addr, same, other;
    char text[400], first[ADDR_TEXT_SIZE], second[ADDR_TEXT_SIZE];
    addr_of_text(SLICE("exec:cat -u"), &addr);
    addr_of_text(SLICE("exec:cat -u"), &same);
    addr_of_text(SLICE("exec:cat"), &other);
    CHECK(addr_is_name(&addr) && !addr_is_local(&addr) && addr_port(&addr) == 0);
    CHECK(addr_equal(&addr, &same) && !addr_equal(&addr, &other));
    CHECK_SLICE(slice_str(addr_print(&addr, first)), "exec:cat -u");
    CHECK_SLICE(slice_str(addr_print_ip(&addr, first)), "unix");
    /* As long as fits it is whole; what is longer differs all the same. */
    memset(text, 'x', sizeof text);
    size_t longest = sizeof addr.local.sun_path - 1;
    addr_of_text(slice_of(text, longest), &addr);
    CHECK(slice_equal(slice_str(addr_print(&addr, first)), slice_of(text, longest)));
    addr_of_text(slice_of(text, longest + 1), &addr);
    addr_of_text(slice_of(text, longest + 2), &other);
    CHECK(strlen(addr_print(&addr, first)) == longest);
    CHECK(strlen(addr_print(&other, second)) == longest && strcmp(first, second) != 0);
    CHECK(strstr(first, "xxx... "));
    CHECK(!addr_equal(&addr, &other));
    /* A character is not cut in two, and nothing moves the cursor. */
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    for (size_t from = 0; from < 2; from++) {
        addr_of_text(slice_of(text + from, 300), &addr);
        const char *dots = strstr(addr_print(&addr, first), "...");
        CHECK(dots && dots[-1] == '\xa4');
    }
    addr_of_text(SLICE("a\nb\x7f"), &addr);
    addr_of_text(SLICE("a b "), &other);
    CHECK(strncmp(addr_print(&addr, first), "a b ... ", 8) == 0);
    CHECK(!addr_equal(&addr, &other));
}

CHECK_MAIN
