/* SPDX-License-Identifier: MIT */
#include "client/url.h"

#include "base/check.h"
#include "base/slice.h"
#include "tests/check.h"

/* What was read, as one text. */
static void check_url(const char *text, const char *want)
{
    static const char *const schemes[] = {"http ", "https ", "h2c "};
    char got[512], address[ADDR_TEXT_SIZE] = "";
    struct url url;
    const char *why = url_read(slice_str(text), &url);
    if (url.addr.len > 0)
        addr_print(&url.addr, address);
    if (why)
        (void)snprintf(got, sizeof got, "%s", why);
    else if (custom_is_any(&url.transport))
        (void)snprintf(got, sizeof got, "%s of transport at %.*s", address,
                       SLICE_ARGS(url.transport_address));
    else if (url.host[0])
        (void)snprintf(got, sizeof got, "%sname %s %u of %.*s", schemes[url.scheme], url.host,
                       url.port, SLICE_ARGS(url.authority));
    else
        (void)snprintf(got, sizeof got, "%s%s of %.*s", schemes[url.scheme], address,
                       SLICE_ARGS(url.authority));
    CHECK_SLICE(slice_str(got), want);
}

TEST(urls)
{
    check_url("http://127.0.0.1", "http 127.0.0.1:80 of 127.0.0.1");
    check_url("http://127.0.0.1:81/", "http 127.0.0.1:81 of 127.0.0.1:81");
    check_url("https://[::1]", "https [::1]:443 of [::1]");
    check_url("https://Example.com", "https name example.com 443 of Example.com");
    check_url("HTTPS://a", "https name a 443 of a");
    check_url("h2c://a.b:8080", "h2c name a.b 8080 of a.b:8080");
    check_url("unix:/run/app.sock", "http unix:/run/app.sock of ");
    check_url("exec:/bin/cat -u", "exec:/bin/cat -u of transport at /bin/cat -u");
}

TEST(what_is_none)
{
    static const char *const rows[] = {"",          "a",    "host",   "x:y",     "localhost:80",
                                       "http:",     "h2c:", "https:", "http:/a", "a-b:c",
                                       "ftp ://a b"};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_url(rows[i], "not a URL such as http://127.0.0.1:9001, https://example.com or "
                           "unix:/run/app.sock");
    check_url("exec:", "behind the colon stands what the transport opens: exec:/usr/bin/app");
    check_url("mem2:there", "there is no transport 'mem2'; there are: exec");
    check_url("http://", "the host is missing");
    check_url("http://a:0", "a port is a number from 1 to 65535");
    check_url("http://a:65536", "a port is a number from 1 to 65535");
    check_url("http://a/b", "a path in a URL is not supported");
    check_url("http://u@a", "a user in a URL is not supported");
    check_url("http://a?b", "a path in a URL is not supported");
    check_url("http://1.2.3", "not an IP address");
    check_url("http://a b", "not a host name");
    check_url("http://*.a", "not a host name");
    check_url("http://a..b", "not a host name");
    check_url("http://::1", "an IPv6 address is written in brackets: [::1]:8080");
    check_url("unix:run", "the path of a Unix socket begins with '/': unix:/run/app.sock");
}

TEST(hosts_with_ports)
{
    struct url url;
    CHECK(!url_read_host_port(slice_str("a:1"), &url));
    CHECK_EQ(1, url.port);
    CHECK_SLICE(slice_str(url.host), "a");
    CHECK_SLICE(slice_str(url_read_host_port(slice_str("a"), &url)),
                "the port is missing: host:port");
    CHECK(url_read_host_port(slice_str(":1"), &url));
    CHECK(url_read_host_port(slice_str("a:0"), &url));
    CHECK(!url_read_listen(slice_str("a:0"), &url));
    CHECK(!url_read_listen(slice_str(":1"), &url));
    CHECK(url.addr.len > 0);
    CHECK(url_read_listen(slice_str("a:65536"), &url));
}

CHECK_MAIN
