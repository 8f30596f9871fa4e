/* SPDX-License-Identifier: MIT */
#include "config/address.h"

#include "base/check.h"
#include "base/slice.h"
#include "tests/check.h"

#include <stdlib.h>

enum how { LISTEN, CONNECT, URL, IP, IP_PORT };

/* Reads `text`; what comes of it is the address as text, or "name HOST PORT", or the message. */
static void check_read(enum how how, const char *text, const char *want)
{
    struct memory *memory = memory_new();
    struct report report;
    struct buf messages;
    struct server_options server = {0};
    struct addr *addr = &server.addr;
    struct position position = {"f", 1, 2};
    char printed[ADDR_TEXT_SIZE];
    report_init(&report, memory);
    buf_init(&messages);
    switch (how) {
    case LISTEN:
        address_read_listen(&report, position, slice_str(text), addr);
        break;
    case CONNECT:
        address_read_server(&report, memory, position, slice_str(text), &server);
        break;
    case URL:
        address_read_url(&report, memory, position, slice_str(text), &server);
        break;
    case IP:
        address_read_ip(&report, position, slice_str(text), addr);
        break;
    case IP_PORT:
        address_read_ip_port(&report, position, slice_str(text), addr);
        break;
    }
    report_write(&report, &messages);
    if (addr->len > 0)
        buf_printf(&messages, "%s", addr_print(addr, printed));
    if (server.host)
        buf_printf(&messages, "name %s %u", server.host, server.port);
    if (server.transport_address)
        buf_printf(&messages, " by %s, %s", custom_name(&server.transport),
                   server.transport_address);
    if (server.scheme != SCHEME_HTTP)
        buf_printf(&messages, server.scheme == SCHEME_HTTPS ? " over TLS" : " in HTTP/2");
    CHECK_SLICE(buf_slice(&messages), want);
    buf_fini(&messages);
    memory_free(&memory);
}

#define MESSAGE(text, reason) "f:1:2: error: '" text "': " reason "\n"

TEST(listening)
{
    check_read(LISTEN, "127.0.0.1:8080", "127.0.0.1:8080");
    check_read(LISTEN, "127.0.0.1:0", "127.0.0.1:0");
    check_read(LISTEN, "[::1]:80", "[::1]:80");
    check_read(LISTEN, ":80", "[::]:80");
    check_read(LISTEN, "unix:/run/a.sock", "unix:/run/a.sock");
    check_read(LISTEN, "127.0.0.1:65536",
               MESSAGE("127.0.0.1:65536", "a port is a number from 0 to 65535"));
    check_read(LISTEN, "127.0.0.1:http",
               MESSAGE("127.0.0.1:http", "a port is a number from 0 to 65535"));
    check_read(LISTEN, "127.0.0.1", MESSAGE("127.0.0.1", "the port is missing: host:port"));
    check_read(LISTEN, "*:80", MESSAGE("*:80", "not a host name"));
    check_read(LISTEN, "", MESSAGE("", "the port is missing: host:port"));
}

TEST(connecting)
{
    check_read(CONNECT, "10.0.0.1:80", "10.0.0.1:80");
    check_read(CONNECT, "unix:/x", "unix:/x");
    check_read(CONNECT, "10.0.0.1:0", MESSAGE("10.0.0.1:0", "a port is a number from 1 to 65535"));
    check_read(CONNECT, ":80", MESSAGE(":80", "the host is missing"));
    check_read(CONNECT, "http://10.0.0.1:80",
               MESSAGE("http://10.0.0.1:80", "an address, not a URL, belongs here: host:port"));
    check_read(CONNECT, "10.0.0.300:80", MESSAGE("10.0.0.300:80", "not an IP address"));
    check_read(CONNECT, "10.1:80", MESSAGE("10.1:80", "not an IP address"));
    check_read(CONNECT, "::1:80",
               MESSAGE("::1:80", "an IPv6 address is written in brackets: [::1]:8080"));
    check_read(CONNECT, "[::1]", MESSAGE("[::1]", "the port is missing: host:port"));
    check_read(CONNECT, "[::g]:80",
               MESSAGE("[::g]:80", "an IPv6 address is written in brackets: [::1]:8080"));
    check_read(CONNECT, "a b:80", MESSAGE("a b:80", "not a host name"));
}

TEST(unix_paths)
{
    char text[160] = "unix:/";
    check_read(CONNECT, "unix:",
               MESSAGE("unix:", "the path of a Unix socket begins with '/': "
                                "unix:/run/app.sock"));
    check_read(CONNECT, "unix:run/x",
               MESSAGE("unix:run/x", "the path of a Unix socket begins with '/': "
                                     "unix:/run/app.sock"));
    memset(text + 6, 'x', 106);
    check_read(CONNECT, text, text);
    memset(text + 6, 'x', 107);
    char want[320];
    snprintf(want, sizeof want,
             "f:1:2: error: '%s': the path of a Unix socket has at most 107 bytes\n", text);
    check_read(CONNECT, text, want);
}

TEST(urls)
{
    check_read(URL, "http://127.0.0.1:9001", "127.0.0.1:9001");
    check_read(URL, "http://127.0.0.1", "127.0.0.1:80");
    check_read(URL, "http://127.0.0.1:9001/", "127.0.0.1:9001");
    check_read(URL, "http://[::1]", "[::1]:80");
    check_read(URL, "http://[::1]:81", "[::1]:81");
    check_read(URL, "unix:/run/x", "unix:/run/x");
    check_read(URL, "https://a", "name a 443 over TLS");
    check_read(URL, "https://a:8443/", "name a 8443 over TLS");
    check_read(URL, "h2c://a", "name a 80 in HTTP/2");
    check_read(URL, "h2c://127.0.0.1:9001/", "127.0.0.1:9001 in HTTP/2");
    check_read(URL, "h2c://[::1]:81", "[::1]:81 in HTTP/2");
    static const char *const others[] = {"ftp://a", "127.0.0.1:80", "",
                                         "http:/a", "h2://a",       "h2c:a"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        char want[160];
        snprintf(
            want, sizeof want,
            "f:1:2: error: '%s': not a URL such as http://127.0.0.1:9001, https://example.com or "
            "unix:/run/app.sock\n",
            others[i]);
        check_read(URL, others[i], want);
    }
    check_read(URL, "http://127.0.0.1/v1",
               MESSAGE("http://127.0.0.1/v1", "a path in a URL is not supported"));
    check_read(URL, "http://127.0.0.1?q",
               MESSAGE("http://127.0.0.1?q", "a path in a URL is not supported"));
    check_read(URL, "http://u:p@127.0.0.1",
               MESSAGE("http://u:p@127.0.0.1", "a user in a URL is not supported"));
    check_read(URL, "http://", MESSAGE("http://", "the host is missing"));
    check_read(URL, "http://127.0.0.1:",
               MESSAGE("http://127.0.0.1:", "a port is a number from 1 to 65535"));
    check_read(URL, "http://127.0.0.1:0",
               MESSAGE("http://127.0.0.1:0", "a port is a number from 1 to 65535"));
}

TEST(transports)
{
    static const char none[] = "there is no transport 'exe'; there are: exec";
    static const char nothing[] =
        "behind the colon stands what the transport opens: exec:/usr/bin/app";
    char text[400] = "exec:", want[800];
    check_read(URL, "exec:a b", "exec:a b by exec, a b");
    check_read(CONNECT, "exec:a b", "exec:a b by exec, a b");
    check_read(CONNECT, "exec:8080", "exec:8080 by exec, 8080"); /* no host has that name then */
    check_read(CONNECT, "exec:a\nb", "exec:a b... 1baa97b3c8be2361 by exec, a\nb");
    memset(text + 5, 'x', 300);
    snprintf(want, sizeof want, "exec:%.82s... 29752b6b6a2a59d2 by exec, %s", text + 5, text + 5);
    check_read(CONNECT, text, want);
    snprintf(want, sizeof want, "f:1:2: error: 'exec:': %s\n", nothing);
    check_read(URL, "exec:", want);
    check_read(CONNECT, "exec:", want);
    snprintf(want, sizeof want, "f:1:2: error: 'exe:app': %s\n", none);
    check_read(URL, "exe:app", want);
    check_read(CONNECT, "exe:app", want);
    check_read(CONNECT, "exe:80", "name exe 80");
    check_read(CONNECT, "Exec:app", MESSAGE("Exec:app", "a port is a number from 1 to 65535"));
    check_read(CONNECT, "exe:1x", MESSAGE("exe:1x", "a port is a number from 1 to 65535"));
    check_read(LISTEN, "exec:a", MESSAGE("exec:a", "a port is a number from 0 to 65535"));
}

/* No other URL belongs where a server's address is: what http:// says goes without saying, and
 * https:// is said by the upstream's `tls`. */
TEST(servers_of_h2c)
{
    check_read(CONNECT, "h2c://10.0.0.1:80", "10.0.0.1:80 in HTTP/2");
    check_read(CONNECT, "h2c://app.internal:81", "name app.internal 81 in HTTP/2");
    check_read(CONNECT, "h2c://app.internal", "name app.internal 80 in HTTP/2");
    check_read(CONNECT, "https://a:80",
               MESSAGE("https://a:80", "an address, not a URL, belongs here: host:port"));
    check_read(LISTEN, "h2c://127.0.0.1:80",
               MESSAGE("h2c://127.0.0.1:80", "an address, not a URL, belongs here: host:port"));
    check_read(URL, "h2c://", MESSAGE("h2c://", "the host is missing") " in HTTP/2");
    check_read(CONNECT, "h2c://a:0",
               MESSAGE("h2c://a:0", "a port is a number from 1 to 65535") " in HTTP/2");
    check_read(CONNECT, "h2c://a/v1",
               MESSAGE("h2c://a/v1", "a path in a URL is not supported") " in HTTP/2");
}

TEST(ips)
{
    check_read(IP, "127.0.0.2", "127.0.0.2:0");
    check_read(IP, "::1", "[::1]:0");
    check_read(IP, "[::1]", "[::1]:0");
    check_read(IP, "127.0.0.2:80", MESSAGE("127.0.0.2:80", "not an IP address without a port"));
    check_read(IP, "localhost", MESSAGE("localhost", "not an IP address without a port"));
}

TEST(ips_with_a_port_or_without)
{
    check_read(IP_PORT, "10.0.0.53", "10.0.0.53:0");
    check_read(IP_PORT, "10.0.0.53:5353", "10.0.0.53:5353");
    check_read(IP_PORT, "::1", "[::1]:0");
    check_read(IP_PORT, "[::1]:5353", "[::1]:5353");
#define WANTED "not an IP address, with or without a port"
    check_read(IP_PORT, "localhost", MESSAGE("localhost", WANTED));
    check_read(IP_PORT, ":53", MESSAGE(":53", WANTED));
    check_read(IP_PORT, "unix:/x", MESSAGE("unix:/x", WANTED));
    check_read(IP_PORT, "", MESSAGE("", WANTED));
}

/* They are asked for when weir runs, and again and again. */
TEST(names_of_servers_stay_names)
{
    check_read(CONNECT, "app.internal:8080", "name app.internal 8080");
    check_read(CONNECT, "App.Internal:8080", "name app.internal 8080");
    check_read(CONNECT, "localhost:81", "name localhost 81");
    check_read(URL, "http://app.internal", "name app.internal 80");
    check_read(URL, "http://app.internal:81/", "name app.internal 81");
    check_read(CONNECT, "a..b:80", MESSAGE("a..b:80", "not a host name"));
    check_read(CONNECT, ".b:80", MESSAGE(".b:80", "not a host name"));
    check_read(CONNECT, "*.b:80", MESSAGE("*.b:80", "not a host name"));
    check_read(CONNECT, "b.:80", "name b. 80");
#define SIXTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    check_read(CONNECT, "x." SIXTY "bbb:80", "name x." SIXTY "bbb 80");
    check_read(CONNECT, "x." SIXTY "bbbb:80", MESSAGE("x." SIXTY "bbbb:80", "not a host name"));
}

static bool listens(const char *text, struct addr *ret_addr, struct buf *messages)
{
    struct memory *memory = memory_new();
    struct report report;
    /* A name server that is out of reach must not hold the test up. */
    must(setenv("RES_OPTIONS", "timeout:1 attempts:1", 1) == 0);
    report_init(&report, memory);
    address_read_listen(&report, (struct position){"f", 3, 4}, slice_str(text), ret_addr);
    report_write(&report, messages);
    bool good = report.error_count == 0;
    memory_free(&memory);
    return good;
}

TEST(a_listeners_name_is_looked_up)
{
    struct buf messages;
    struct addr addr = {0};
    char ip[ADDR_TEXT_SIZE];
    buf_init(&messages);
    CHECK(listens("localhost:81", &addr, &messages));
    CHECK_SLICE(buf_slice(&messages), "");
    CHECK_EQ(81, addr_port(&addr));
    CHECK(strcmp(addr_print_ip(&addr, ip), "127.0.0.1") == 0 || strcmp(ip, "::1") == 0);
    buf_fini(&messages);
}

/* The root's own name server knows that there is no such thing; without one it fails too. */
TEST(a_listeners_name_that_cannot_be_resolved)
{
    struct weir_slice begin = SLICE("f:3:4: error: cannot resolve 'nowhere.invalid': ");
    struct buf messages;
    struct addr addr = {0};
    buf_init(&messages);
    CHECK(!listens("nowhere.invalid:80", &addr, &messages));
    CHECK_EQ(0, addr.len);
    CHECK(slice_starts(buf_slice(&messages), begin));
    buf_fini(&messages);
}

CHECK_MAIN
