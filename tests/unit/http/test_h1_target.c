/* SPDX-License-Identifier: MIT */
#include "tests/unit/http/feed.h"

struct row {
    const char *line; /* "METHOD target" */
    enum h1_fault fault;
    enum http_target form;
    const char *scheme, *authority, *path;
};

/* Each is sent in HTTP/1.1 with "Host: host:1". */
static const struct row rows[] = {
    {.line = "GET /", .form = TARGET_ORIGIN, .scheme = "", .authority = "host:1", .path = "/"},
    {.line = "GET /a/b?c=d&e",
     .form = TARGET_ORIGIN,
     .scheme = "",
     .authority = "host:1",
     .path = "/a/b?c=d&e"},
    {.line = "GET //x", .form = TARGET_ORIGIN, .scheme = "", .authority = "host:1", .path = "//x"},
    {.line = "GET /%7e{}|\\^`\"<>",
     .form = TARGET_ORIGIN,
     .scheme = "",
     .authority = "host:1",
     .path = "/%7e{}|\\^`\"<>"},
    {.line = "GET /http://x",
     .form = TARGET_ORIGIN,
     .scheme = "",
     .authority = "host:1",
     .path = "/http://x"},
    {.line = "OPTIONS *",
     .form = TARGET_ASTERISK,
     .scheme = "",
     .authority = "host:1",
     .path = "*"},
    {.line = "OPTIONS /", .form = TARGET_ORIGIN, .scheme = "", .authority = "host:1", .path = "/"},
    {.line = "GET http://a.b",
     .form = TARGET_ABSOLUTE,
     .scheme = "http",
     .authority = "a.b",
     .path = "/"},
    {.line = "GET http://a.b/",
     .form = TARGET_ABSOLUTE,
     .scheme = "http",
     .authority = "a.b",
     .path = "/"},
    {.line = "GET HTTPS://a.b:8/c?d",
     .form = TARGET_ABSOLUTE,
     .scheme = "HTTPS",
     .authority = "a.b:8",
     .path = "/c?d"},
    {.line = "GET http://[::1]:8/c",
     .form = TARGET_ABSOLUTE,
     .scheme = "http",
     .authority = "[::1]:8",
     .path = "/c"},
    {.line = "OPTIONS http://a.b:8",
     .form = TARGET_ABSOLUTE,
     .scheme = "http",
     .authority = "a.b:8",
     .path = "*"},
    {.line = "OPTIONS http://a.b/",
     .form = TARGET_ABSOLUTE,
     .scheme = "http",
     .authority = "a.b",
     .path = "/"},
    {.line = "CONNECT a.b:443",
     .form = TARGET_AUTHORITY,
     .scheme = "",
     .authority = "a.b:443",
     .path = ""},
    {.line = "CONNECT [::1]:1",
     .form = TARGET_AUTHORITY,
     .scheme = "",
     .authority = "[::1]:1",
     .path = ""},

    {.line = "GET *", .fault = H1_FAULT_TARGET_FORM},
    {.line = "connect a.b:443", .fault = H1_FAULT_TARGET_FORM},
    {.line = "GET a.b:443", .fault = H1_FAULT_TARGET_FORM},
    {.line = "GET a.b", .fault = H1_FAULT_TARGET_FORM},
    {.line = "CONNECT /", .fault = H1_FAULT_TARGET_FORM},
    {.line = "CONNECT *", .fault = H1_FAULT_TARGET_FORM},
    {.line = "CONNECT a.b", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "CONNECT a.b:", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "CONNECT a.b:0", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "CONNECT a.b:65536", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "CONNECT :443", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "CONNECT u@a.b:443", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "CONNECT http://a.b:443", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "GET http://", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "GET http:///a", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "GET http://:80/a", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "GET http://u@a.b/", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "GET http://u:p@a.b/", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "GET http://a.b:x/", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "GET http://a\\b/", .fault = H1_FAULT_TARGET_AUTHORITY},
    {.line = "GET http://a.b?c", .fault = H1_FAULT_TARGET},
    {.line = "GET ftp://a.b/", .fault = H1_FAULT_TARGET},
    {.line = "GET http:/a", .fault = H1_FAULT_TARGET},
    {.line = "GET httpx://a", .fault = H1_FAULT_TARGET},
    {.line = "GET a/b", .fault = H1_FAULT_TARGET},
    {.line = "GET ?a", .fault = H1_FAULT_TARGET},
    {.line = "OPTIONS **", .fault = H1_FAULT_TARGET_FORM}, /* what a host may be named */
};

TEST(forms)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: host:1\r\n\r\n", rows[i].line);
        struct feed_outcome outcome = feed(FEED_REQUEST, slice_str(text));
        if (outcome.fault != rows[i].fault)
            printf("# %s\n", rows[i].line);
        CHECK_EQ(rows[i].fault, outcome.fault);
        if (outcome.result != H1_DONE)
            continue;
        CHECK_EQ(rows[i].form, feed_request.form);
        CHECK_SLICE(feed_request.scheme, rows[i].scheme);
        CHECK_SLICE(feed_request.authority, rows[i].authority);
        CHECK_SLICE(feed_request.path, rows[i].path);
        CHECK_SLICE(feed_request.target, strchr(rows[i].line, ' ') + 1);
    }
}

TEST(every_byte_of_a_target)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[] = "GET /...................._...... HTTP/1.1\r\nHost: h\r\n\r\n";
        enum h1_fault want = H1_FAULT_NONE;
        *strchr(text, '_') = (char)byte;
        if (byte < ' ' || byte == '#' || byte >= 0x7f)
            want = H1_FAULT_TARGET;
        if (byte == ' ')
            want = H1_FAULT_VERSION_SYNTAX;
        if (byte == '\0')
            want = H1_FAULT_NUL;
        if (byte == '\r')
            want = H1_FAULT_BARE_CR;
        if (byte == '\n')
            want = H1_FAULT_BARE_LF;
        CHECK_EQ(want, feed(FEED_REQUEST, slice_of(text, sizeof(text) - 1)).fault);
    }
}

static const struct feed_case hosts[] = {
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("GET / HTTP/1.1\r\nx: y\r\nhOST:a:80\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("GET / HTTP/1.1\r\nHost:\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("GET / HTTP/1.0\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("GET / HTTP/1.0\r\nHost: a\r\n\r\n"), H1_FAULT_NONE},
    {SLICE("GET / HTTP/1.1\r\n\r\n"), H1_FAULT_HOST_MISSING},
    {SLICE("GET http://a/ HTTP/1.1\r\n\r\n"), H1_FAULT_HOST_MISSING},
    {SLICE("CONNECT a:1 HTTP/1.1\r\n\r\n"), H1_FAULT_HOST_MISSING},
    {SLICE("OPTIONS * HTTP/1.1\r\n\r\n"), H1_FAULT_HOST_MISSING},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), H1_FAULT_HOST_DOUBLED},
    {SLICE("GET / HTTP/1.1\r\nHost: a\r\nx: y\r\nhost: b\r\n\r\n"), H1_FAULT_HOST_DOUBLED},
    {SLICE("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), H1_FAULT_HOST_DOUBLED},
    {SLICE("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), H1_FAULT_HOST},
    {SLICE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), H1_FAULT_HOST},
    {SLICE("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), H1_FAULT_HOST},
    {SLICE("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), H1_FAULT_HOST},
    {SLICE("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), H1_FAULT_HOST},
    {SLICE("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), H1_FAULT_HOST},
    {SLICE("GET / HTTP/1.1\r\nHost: a:70000\r\n\r\n"), H1_FAULT_HOST},
    {SLICE("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"), H1_FAULT_HOST},
    {SLICE("GET / HTTP/1.1\r\nHost: \xe4.de\r\n\r\n"), H1_FAULT_HOST},
    {SLICE("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), H1_FAULT_HOST},
    {SLICE("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"), H1_FAULT_HOST},
};

TEST(host)
{
    feed_cases(FEED_REQUEST, hosts, sizeof(hosts) / sizeof(hosts[0]));
}

TEST(the_target_outweighs_host)
{
    feed(FEED_REQUEST, SLICE("GET http://a:1/ HTTP/1.1\r\nHost: b\r\n\r\n"));
    CHECK_SLICE(feed_request.authority, "a:1");
    feed(FEED_REQUEST, SLICE("CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\n"));
    CHECK_SLICE(feed_request.authority, "a:1");
    feed(FEED_REQUEST, SLICE("GET / HTTP/1.0\r\n\r\n"));
    CHECK_SLICE(feed_request.authority, "");
}

CHECK_MAIN
