/* SPDX-License-Identifier: MIT */
#include "upstream/tunnel.h"

#include "co/scope.h"
#include "tests/unit/http/stage.h"

#define TARGET "server.example.com:8443"
#define ASKED "CONNECT " TARGET " HTTP/1.1\r\nHost: " TARGET "\r\n"

/* The proxy's end of the stream, and what it does. */
struct proxy {
    struct stream *stream;
    const char *answer; /* NULL: it ends without one */
    size_t step;        /* so many bytes at a time */
    bool shuts, resets;
    char asked[2048];
    size_t asked_bytes;
};

static struct proxy proxy;
static struct stream *ours;
static char why[TUNNEL_WHY_SIZE];

/* The head, and not a byte more. */
WEIR_SUSPENDS static bool read_head(void)
{
    struct iobuf *buf = NULL;
    while (!strstr(proxy.asked, "\r\n\r\n")) {
        if (stream_recv(proxy.stream, in_ms(5000), &buf) != WEIR_OK)
            return false;
        struct weir_slice bytes = iobuf_slice(buf);
        must(proxy.asked_bytes + bytes.len < sizeof proxy.asked);
        memcpy(proxy.asked + proxy.asked_bytes, bytes.at, bytes.len);
        proxy.asked_bytes += bytes.len;
        iobuf_give(&stage.loop.bufs, &buf);
    }
    return true;
}

WEIR_SUSPENDS static void run_proxy(void *unused)
{
    (void)unused;
    if (!read_head())
        return;
    struct weir_slice rest = slice_str(proxy.answer ? proxy.answer : "");
    while (rest.len > 0) {
        struct weir_slice step = slice_of(rest.at, rest.len < proxy.step ? rest.len : proxy.step);
        if (stream_send(proxy.stream, &step, 1, in_ms(5000), NULL) != WEIR_OK)
            return;
        rest = slice_skip(rest, step.len);
        if (co_yield () != WEIR_OK)
            return;
    }
    if (proxy.resets)
        stream_close(&proxy.stream, true);
    else if (proxy.shuts)
        stream_shut(proxy.stream, WEIR_NEVER);
}

WEIR_SUSPENDS static enum weir_err ask_with(const struct peer_proxy *how, const char *answer,
                                            size_t step, struct weir_time deadline)
{
    struct scope scope;
    must(stream_pair(&stage.loop, 65536, &ours, &proxy.stream) == WEIR_OK);
    proxy.answer = answer;
    proxy.step = step;
    proxy.asked_bytes = 0;
    memset(proxy.asked, 0, sizeof proxy.asked);
    snprintf(why, sizeof why, "untouched");
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "proxy", run_proxy, NULL));
    enum weir_err err = tunnel_open(ours, how, TARGET, deadline, why);
    CHECK_OK(scope_join(&scope));
    return err;
}

WEIR_SUSPENDS static enum weir_err ask(const char *answer, size_t step)
{
    static const struct peer_proxy plain;
    return ask_with(&plain, answer, step, in_ms(5000));
}

/* Nothing is left of the talk. */
static void finish(void)
{
    stream_close(&ours, false);
    stream_close(&proxy.stream, false);
    CHECK_EQ(0, stage.loop.bufs.used_count);
    proxy = (struct proxy){.stream = NULL};
}

/* The server is at the other end now. */
WEIR_SUSPENDS static void check_open(void)
{
    struct weir_slice bytes = SLICE("\x16\x03 for the server");
    struct iobuf *buf = NULL;
    CHECK_OK(stream_send(ours, &bytes, 1, in_ms(5000), NULL));
    if (CHECK_OK(stream_recv(proxy.stream, in_ms(5000), &buf)))
        CHECK(slice_equal(iobuf_slice(buf), bytes));
    iobuf_give(&stage.loop.bufs, &buf);
    CHECK_OK(stream_send(proxy.stream, &bytes, 1, in_ms(5000), NULL));
    if (CHECK_OK(stream_recv(ours, in_ms(5000), &buf)))
        CHECK(slice_equal(iobuf_slice(buf), bytes));
    iobuf_give(&stage.loop.bufs, &buf);
}

struct outcome {
    const char *answer;
    enum weir_err err;
    const char *why; /* NULL: it says nothing */
};

static const struct outcome outcomes[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", WEIR_OK, NULL},
    {"HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n", WEIR_OK, NULL},
    {"HTTP/1.0 200 OK\r\n\r\n", WEIR_OK, NULL},
    {"HTTP/1.1 204 No\r\n\r\n", WEIR_OK, NULL},
    {"HTTP/1.1 299 \r\n\r\n", WEIR_OK, NULL},
    /* RFC 9110 section 9.3.6: these mean nothing in a 2xx to CONNECT. */
    {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", WEIR_OK, NULL},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", WEIR_OK, NULL},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", WEIR_OK, NULL},
    {"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", WEIR_OK,
     NULL},
    {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno",
     WEIR_E_PROXY_REFUSED, "it answers CONNECT with 407 Proxy Authentication Required"},
    {"HTTP/1.1 502 Bad Gateway\r\n\r\n", WEIR_E_PROXY_REFUSED,
     "it answers CONNECT with 502 Bad Gateway"},
    {"HTTP/1.1 301 M\xc3\xb6ved\r\n\r\n", WEIR_E_PROXY_REFUSED, "it answers CONNECT with 301 M"},
    {"HTTP/1.1 403 \r\n\r\n", WEIR_E_PROXY_REFUSED, "it answers CONNECT with 403 "},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 407 No\r\n\r\n", WEIR_E_PROXY_REFUSED, "407 No"},
    {"HTTP/1.1 200 OK\r\n\r\nearly", WEIR_E_RESPONSE_MALFORMED, NULL},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly", WEIR_E_RESPONSE_MALFORMED, NULL},
    {"HTTP/1.1 20 OK\r\n\r\n", WEIR_E_RESPONSE_MALFORMED, NULL},
    {"SSH-2.0-OpenSSH_9.2\r\n\r\n", WEIR_E_RESPONSE_MALFORMED, NULL},
    {"HTTP/1.1 200 OK\r\nno field\r\n\r\n", WEIR_E_RESPONSE_MALFORMED, NULL},
};

WEIR_SUSPENDS static void check_outcome(const struct outcome *outcome, size_t step)
{
    /* Bytes behind the head that come later are the server's. */
    bool is_early = strstr(outcome->answer, "early") != NULL;
    if (is_early && step == 1)
        return;
    CHECK_ERR(outcome->err, ask(outcome->answer, step));
    CHECK_SLICE(slice_str(proxy.asked), ASKED "\r\n");
    if (outcome->why) {
        if (!CHECK(strstr(why, outcome->why)))
            printf("# \"%s\"\n", why);
    } else {
        CHECK_SLICE(slice_str(why), "untouched");
    }
    if (!outcome->err)
        check_open();
    finish();
}

STAGE_TEST(what_a_proxy_answers)
{
    for (unsigned i = 0; i < COUNT_OF(outcomes); i++) {
        unsigned failures = check_failures;
        check_outcome(&outcomes[i], 65536);
        check_outcome(&outcomes[i], 1);
        if (check_failures != failures)
            printf("# so much for \"%s\"\n", outcomes[i].answer);
    }
}

STAGE_TEST(fields_go_with_the_question)
{
    static const struct peer_proxy_field fields[] = {{"Proxy-Authorization", "Basic eDp5"},
                                                     {"X-Empty", ""}};
    const struct peer_proxy how = {.fields = fields, .field_count = 2};
    CHECK_OK(ask_with(&how, "HTTP/1.1 200 OK\r\n\r\n", 65536, in_ms(5000)));
    CHECK(strstr(proxy.asked, ASKED));
    CHECK(strstr(proxy.asked, "\r\nProxy-Authorization: Basic eDp5\r\n"));
    CHECK(strstr(proxy.asked, "\r\nX-Empty: \r\n") || strstr(proxy.asked, "\r\nX-Empty:\r\n"));
    finish();
}

/* Nothing of a request was on it: another server may be tried. */
STAGE_TEST(a_proxy_that_ends_has_refused)
{
    static const char *const heads[] = {"", "HTTP/1.1 20", "HTTP/1.1 100 Continue\r\n\r\n"};
    for (unsigned i = 0; i < 2 * COUNT_OF(heads); i++) {
        proxy.shuts = !(i & 1);
        proxy.resets = i & 1;
        CHECK_ERR(WEIR_E_REFUSED, ask(heads[i / 2], 65536));
        finish();
    }
}

STAGE_TEST(a_silent_proxy_is_waited_for_until_the_deadline)
{
    static const struct peer_proxy plain;
    CHECK_ERR(WEIR_E_TIMEOUT, ask_with(&plain, NULL, 1, in_ms(10)));
    finish();
    CHECK_ERR(WEIR_E_TIMEOUT, ask_with(&plain, "HTTP/1.1 200 OK\r\n", 1, in_ms(10)));
    finish();
}

STAGE_TEST(interim_answers_without_end_are_not_waited_for)
{
    static char answer[2000];
    for (int i = 0; i < 17; i++)
        memcpy(answer + strlen(answer), "HTTP/1.1 103 E\r\n\r\n", 19);
    CHECK_ERR(WEIR_E_RESPONSE_MALFORMED, ask(answer, 65536));
    finish();
}

CHECK_MAIN
