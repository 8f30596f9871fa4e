/* SPDX-License-Identifier: MIT */
#include "http/h1_write.h"
#include "http/hop.h"
#include "tests/check.h"

static struct http_request request;
static struct http_response response;
static struct fields trailers;
static struct arena_cache cache;
static struct arena arena;
static char written[16384];

static const struct hop_from from = {{"10.0.0.9", 8}, {"http", 4}};

static void start(void)
{
    arena_cache_init(&cache);
    arena_init(&arena, &cache, 64 * 1024);
}

static void finish(void)
{
    arena_fini(&arena);
    arena_cache_fini(&cache);
}

static enum weir_err pass_request(const char *text, bool upgrade, const struct hop_from *client)
{
    struct h1_limits limits;
    struct h1_cursor cursor = {0};
    struct http_framing framing;
    size_t bytes;
    enum h1_fault fault;
    h1_limits_init(&limits);
    CHECK_EQ(H1_DONE,
             h1_parse_request(slice_str(text), &cursor, &limits, &request, &bytes, &fault));
    CHECK_EQ(H1_FAULT_NONE, framing_of_request(&request, &framing));
    return hop_request(&request, &framing, upgrade, client, &arena);
}

static enum weir_err pass_response(const char *text, bool upgrade)
{
    struct h1_limits limits;
    struct h1_cursor cursor = {0};
    size_t bytes;
    enum h1_fault fault;
    h1_limits_init(&limits);
    CHECK_EQ(H1_DONE,
             h1_parse_response(slice_str(text), &cursor, &limits, &response, &bytes, &fault));
    return hop_response(&response, upgrade, &arena);
}

/* What hop_request adds when there is nothing of it yet. */
#define ADDED                                                                                      \
    "Via: 1.1 weir\r\nX-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\n"                    \
    "X-Forwarded-Host: h\r\n"

struct row {
    const char *in;  /* behind the start line and, in requests, Host */
    const char *out; /* the same */
    bool upgrade;
};

static const struct row requests[] = {
    {.in = "", .out = ADDED},
    {.in = "A: b\r\n", .out = "A: b\r\n" ADDED},
    {.in = "Connection: close\r\n", .out = ADDED},
    {.in = "Connection: close, X-Foo\r\nX-Foo: 1\r\nx-foo: 2\r\nX-Fo: 3\r\n",
     .out = "X-Fo: 3\r\n" ADDED},
    {.in = "X-Foo: 1\r\nX-Bar: 2\r\nConnection: x-bar\r\nConnection: X-FOO\r\n", .out = ADDED},
    {.in = "User-Agent: u\r\nConnection: user-agent\r\n", .out = ADDED},
    {.in = "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n", .out = ADDED},
    {.in = "Proxy-Authorization: Basic x\r\n", .out = "Proxy-Authorization: Basic x\r\n" ADDED},
    /* TE */
    {.in = "TE: gzip\r\nConnection: TE\r\n", .out = ADDED},
    {.in = "TE: gzip;q=0.5, Trailers\r\n", .out = "TE: trailers\r\nConnection: TE\r\n" ADDED},
    {.in = "Connection: te\r\nTE: trailers\r\n", .out = "TE: trailers\r\nConnection: TE\r\n" ADDED},
    /* upgrade */
    {.in = "Upgrade: websocket\r\nConnection: upgrade\r\n", .out = ADDED},
    {.in = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n",
     .out = "Upgrade: websocket\r\nConnection: upgrade\r\n" ADDED,
     .upgrade = true},
    {.in = "Upgrade: websocket\r\nConnection: upgrade, TE\r\nTE: trailers\r\n",
     .out = "Upgrade: websocket\r\nTE: trailers\r\nConnection: upgrade, TE\r\n" ADDED,
     .upgrade = true},
    {.in = "Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\nConnection: Upgrade, HTTP2-Settings\r\n",
     .out = ADDED},
    {.in = "HTTP2-Settings: AAMA\r\n", .out = ADDED},
    /* Expect */
    {.in = "Expect: 100-Continue\r\n", .out = "Expect: 100-Continue\r\n" ADDED},
    {.in = "Expect: something\r\n", .out = ADDED},
    /* framing is said anew */
    {.in = "Content-Length: 007\r\n", .out = "Content-Length: 7\r\n" ADDED},
    {.in = "Content-Length: 0\r\n", .out = "Content-Length: 0\r\n" ADDED},
    {.in = "Content-Length: 9223372036854775807\r\n",
     .out = "Content-Length: 9223372036854775807\r\n" ADDED},
    {.in = "Transfer-Encoding: CHUNKED\r\n", .out = "Transfer-Encoding: chunked\r\n" ADDED},
    /* what Connection must not take out by naming it */
    {.in = "Content-Length: 5\r\nConnection: Content-Length\r\n",
     .out = "Content-Length: 5\r\n" ADDED},
    {.in = "Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n",
     .out = "Transfer-Encoding: chunked\r\n" ADDED},
    {.in = "Connection: Host, connection\r\n", .out = ADDED},
    {.in = "Via: 1.0 a\r\nForwarded: for=b\r\nConnection: Via, Forwarded\r\n",
     .out = "Via: 1.0 a\r\nForwarded: for=b\r\n" ADDED},
    {.in = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: i\r\n"
           "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host\r\n",
     .out = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: i\r\nVia: 1.1 weir\r\n"
            "X-Forwarded-For: 1.1.1.1, 10.0.0.9\r\n"},
    /* forwarding */
    {.in =
         "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nA: b\r\nX-Forwarded-For: \r\nx-forwarded-for: 3\r\n",
     .out = "A: b\r\nVia: 1.1 weir\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 3, 10.0.0.9\r\n"
            "X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"},
};

static void check_request(const char *text, bool upgrade, const struct hop_from *client,
                          const char *want)
{
    start();
    unsigned before = check_failures;
    CHECK_OK(pass_request(text, upgrade, client));
    size_t length = h1_write_request(&request, written, sizeof(written));
    CHECK_SLICE(slice_of(written, length), want);
    if (before != check_failures)
        printf("# %s", text);
    finish();
}

TEST(requests_pass)
{
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        char text[512], want[512];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", requests[i].in);
        snprintf(want, sizeof(want), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", requests[i].out);
        check_request(text, requests[i].upgrade, &from, want);
    }
}

TEST(the_authority_becomes_host)
{
    check_request("GET http://b:8/c HTTP/1.1\r\nHost: h\r\n\r\n", false, &from,
                  "GET /c HTTP/1.1\r\nHost: b:8\r\nVia: 1.1 weir\r\nX-Forwarded-For: 10.0.0.9\r\n"
                  "X-Forwarded-Proto: http\r\nX-Forwarded-Host: b:8\r\n\r\n");
}

TEST(what_comes_in_http_1_0)
{
    check_request("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", false, &from,
                  "GET / HTTP/1.1\r\nHost: \r\nVia: 1.0 weir\r\nX-Forwarded-For: 10.0.0.9\r\n"
                  "X-Forwarded-Proto: http\r\n\r\n");
}

TEST(a_client_without_address)
{
    const struct hop_from nobody = {{NULL, 0}, {"https", 5}};
    check_request("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n", false, &nobody,
                  "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nVia: 1.1 weir\r\n"
                  "X-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n\r\n");
}

/* `front`, `count` times `piece`, `back`; valid until the next call. */
static const char *repeated(const char *front, unsigned count, const char *piece, const char *back)
{
    static char text[8192];
    size_t length = (size_t)snprintf(text, sizeof(text), "%s", front);
    for (unsigned i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s", piece);
    snprintf(text + length, sizeof(text) - length, "%s", back);
    return text;
}

TEST(a_request_can_be_too_full)
{
    const char *front = "GET / HTTP/1.1\r\nHost: h\r\n";
    const unsigned room = FIELDS_MAX - 1 - 4; /* beside Host and what is put in */
    start();
    CHECK_OK(pass_request(repeated(front, room, "a: b\r\n", "\r\n"), false, &from));
    CHECK_ERR(WEIR_E_REQUEST_HEAD_LENGTH,
              pass_request(repeated(front, room + 1, "a: b\r\n", "\r\n"), false, &from));
    finish();
}

TEST(connection_can_name_too_many)
{
    const char *request_front = "GET / HTTP/1.0\r\nConnection: ";
    const char *response_front = "HTTP/1.1 200 OK\r\nConnection: ";
    const char *back = "\r\n\r\n";
    start();
    CHECK_OK(pass_request(repeated(request_front, HOP_NAMES_MAX, "x,", back), false, &from));
    CHECK_ERR(WEIR_E_REQUEST_HEAD_LENGTH,
              pass_request(repeated(request_front, HOP_NAMES_MAX + 1, "x,", back), false, &from));
    CHECK_OK(pass_response(repeated(response_front, HOP_NAMES_MAX, "x,", back), false));
    CHECK_ERR(WEIR_E_RESPONSE_HEAD_LENGTH,
              pass_response(repeated(response_front, HOP_NAMES_MAX + 1, "x,", back), false));
    finish();
}

TEST(an_arena_can_be_full)
{
    arena_cache_init(&cache);
    arena_init(&arena, &cache, 0);
    CHECK_ERR(WEIR_E_NO_MEMORY,
              pass_request("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", false, &from));
    CHECK_ERR(WEIR_E_NO_MEMORY, pass_request("GET / HTTP/1.1\r\nHost: h\r\n\r\n", false, &from));
    finish();
}

static const struct row responses[] = {
    {.in = "", .out = "Via: 1.1 weir\r\n"},
    {.in = "Content-Length: 5\r\n", .out = "Content-Length: 5\r\nVia: 1.1 weir\r\n"},
    {.in = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", .out = "Via: 1.1 weir\r\n"},
    {.in = "Transfer-Encoding: chunked\r\nTrailer: Sum\r\n",
     .out = "Trailer: Sum\r\nVia: 1.1 weir\r\n"},
    {.in = "Connection: close, X-Foo\r\nX-Foo: 1\r\nA: b\r\n", .out = "A: b\r\nVia: 1.1 weir\r\n"},
    {.in = "Connection: content-length, via\r\nContent-Length: 5\r\nVia: 1.1 x\r\n",
     .out = "Content-Length: 5\r\nVia: 1.1 x\r\nVia: 1.1 weir\r\n"},
    {.in = "Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: trailers\r\n",
     .out = "Via: 1.1 weir\r\n"},
    {.in = "Proxy-Authenticate: Basic\r\n",
     .out = "Proxy-Authenticate: Basic\r\nVia: 1.1 weir\r\n"},
    {.in = "Upgrade: h2c\r\nConnection: Upgrade\r\n", .out = "Via: 1.1 weir\r\n"},
    {.in = "Upgrade: websocket\r\nConnection: Upgrade\r\n",
     .out = "Upgrade: websocket\r\nConnection: upgrade\r\nVia: 1.1 weir\r\n",
     .upgrade = true},
};

TEST(responses_pass)
{
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
        char text[512], want[512];
        start();
        snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s\r\n", responses[i].in);
        snprintf(want, sizeof(want), "HTTP/1.1 200 OK\r\n%s\r\n", responses[i].out);
        CHECK_OK(pass_response(text, responses[i].upgrade));
        size_t length = h1_write_response(&response, written, sizeof(written));
        CHECK_SLICE(slice_of(written, length), want);
        finish();
    }
}

TEST(via_tells_the_version_that_came)
{
    start();
    CHECK_OK(pass_response("HTTP/1.0 200 OK\r\n\r\n", false));
    CHECK_SLICE(fields_find(&response.fields, FIELD_VIA)->value, "1.0 weir");
    finish();
}

TEST(a_response_can_be_too_full)
{
    const char *front = "HTTP/1.1 200 OK\r\n";
    start();
    CHECK_OK(pass_response(repeated(front, FIELDS_MAX - 1, "a: b\r\n", "\r\n"), false));
    CHECK_ERR(WEIR_E_RESPONSE_HEAD_LENGTH,
              pass_response(repeated(front, FIELDS_MAX, "a: b\r\n", "\r\n"), false));
    finish();
}

TEST(trailers_lose_what_belongs_to_heads)
{
    static const char *const out[] = {
        "Content-Length",
        "transfer-encoding",
        "Host",
        "Connection",
        "TE",
        "Trailer",
        "Authorization",
        "Set-Cookie",
        "Cache-Control",
        "Content-Encoding",
        "Content-Type",
        "X-Forwarded-For",
        "Cookie",
        "Range",
        "Via",
        "Content-Range",
        "Max-Forwards",
        "Proxy-Authorization",
    };
    fields_init(&trailers);
    CHECK(fields_add(&trailers, SLICE("Grpc-Status"), SLICE("0")));
    for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
        CHECK(fields_add(&trailers, slice_str(out[i]), SLICE("x")));
    CHECK(fields_add(&trailers, SLICE("Server-Timing"), SLICE("y")));
    hop_trailers(&trailers);
    size_t length = h1_write_trailers(&trailers, written, sizeof(written));
    CHECK_SLICE(slice_of(written, length), "Grpc-Status: 0\r\nServer-Timing: y\r\n\r\n");
}

CHECK_MAIN
