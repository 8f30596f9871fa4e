/* SPDX-License-Identifier: MIT */
/* What is on the way to a server: a proxy, a preface, TLS, and all of them. */
#include "tests/unit/stream/tls_plain.h"
#include "upstream/dial.h"

#include "base/log.h"

static struct peer peer;
static struct peer_options options;
static struct peer_proxy proxy;
static struct raw_listener listener;
static struct tls_client *client;

static void begin(void)
{
    log_set_level(LOG_ERROR);
    raw_listen(&listener);
    peer_options_init(&options);
    options.upstream = "web";
    options.addr = listener.addr;
    proxy = (struct peer_proxy){.addr = listener.addr};
    client = client_of_default();
}

static void end(void)
{
    tls_client_free(client);
    raw_close(listener.descriptor);
}

/* One dial, beside what the test plays as the other side. */
struct dialling {
    struct dial_story story;
    struct stream *stream;
    struct tls_sessions *sessions;
    enum weir_err err;
};

static struct dialling dialling;

static void dial_run(void *unused)
{
    (void)unused;
    dialling.err = dial(&stage.streams, &peer, &peer.options.source, false, dialling.sessions,
                        &dialling.story, &dialling.stream);
    CHECK((dialling.err == WEIR_OK) == (dialling.stream != NULL));
}

static void dial_begin(struct scope *scope)
{
    peer_init(&peer, &options);
    dialling = (struct dialling){.sessions = NULL};
    scope_init(scope);
    CHECK_OK(scope_spawn(scope, "dial", dial_run, NULL));
}

/* It is as it should be, and bytes pass. */
WEIR_SUSPENDS static void check_plain(struct scope *scope, int server)
{
    CHECK_OK(scope_join(scope));
    if (!CHECK_OK(dialling.err))
        return;
    CHECK(!dialling.story.has_tls && dialling.story.connect.ns >= 0);
    CHECK_OK(say(dialling.stream, "hello"));
    CHECK_EQ(5, raw_read(server, "hello"));
    stream_close(&dialling.stream, false);
}

STAGE_TEST(through_a_proxy)
{
    struct scope scope;
    begin();
    options.proxy = &proxy;
    must(addr_of_name(SLICE("inner.example.com"), 80, &options.addr) == WEIR_OK);
    dial_begin(&scope);
    int server = raw_accept(&listener);
    CHECK(raw_read_head(server));
    CHECK(raw_starts("CONNECT inner.example.com:80 HTTP/1.1\r\nHost: inner.example.com:80\r\n"));
    raw_send(server, "HTTP/1.1 200 OK\r\n\r\n");
    check_plain(&scope, server);
    raw_close(server);
    end();
}

STAGE_TEST(a_proxy_that_refuses_ends_it)
{
    static const struct {
        const char *answer;
        enum weir_err err;
    } cases[] = {
        {"HTTP/1.1 407 No\r\n\r\n", WEIR_E_PROXY_REFUSED},
        {"HTTP/1.1 200 OK\r\n\r\nearly", WEIR_E_RESPONSE_MALFORMED},
        {"", WEIR_E_REFUSED},
    };
    begin();
    options.proxy = &proxy;
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        struct scope scope;
        dial_begin(&scope);
        int server = raw_accept(&listener);
        CHECK(raw_read_head(server));
        raw_send(server, cases[i].answer);
        if (!*cases[i].answer)
            must(shutdown(server, SHUT_WR) == 0);
        CHECK_OK(scope_join(&scope));
        CHECK_ERR(cases[i].err, dialling.err);
        CHECK(!dialling.story.has_tls);
        (void)raw_await_end(server);
        raw_close(server);
    }
    end();
}

/* All steps together have total_connection_timeout, and it is told as connecting. */
STAGE_TEST(a_silent_proxy_and_a_silent_server_are_given_up)
{
    begin();
    options.limits.total_connection_timeout = weir_span_ms(20);
    for (int with_tls = 0; with_tls < 2; with_tls++) {
        struct scope scope;
        options.proxy = with_tls ? NULL : &proxy;
        options.tls = with_tls ? client : NULL;
        dial_begin(&scope);
        int server = raw_accept(&listener);
        CHECK_OK(scope_join(&scope));
        CHECK_ERR(WEIR_E_CONNECT_TIMEOUT, dialling.err);
        CHECK_EQ(with_tls, dialling.story.has_tls);
        raw_close(server);
    }
    end();
}

STAGE_TEST(a_preface_goes_first)
{
    struct scope scope;
    begin();
    options.preface = PREFACE_V1;
    CHECK_OK(addr_parse(SLICE("192.0.2.1:1000"), &options.preface_source));
    CHECK_OK(addr_parse(SLICE("192.0.2.2:443"), &options.preface_destination));
    dial_begin(&scope);
    int server = raw_accept(&listener);
    CHECK(raw_read(server, "\r\n") > 0);
    CHECK_SLICE(slice_str(raw_text), "PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n");
    check_plain(&scope, server);
    raw_close(server);
    end();
}

/* Theirs, behind what came in plain; the certificate is for www.example.com. */
WEIR_SUSPENDS static void serve_tls(struct scope *scope, int server, enum weir_err want)
{
    struct plain theirs;
    plain_init(&theirs, true, TLS1_3_VERSION, server);
    CHECK_EQ(want == WEIR_OK, plain_shake(&theirs));
    CHECK_OK(scope_join(scope));
    CHECK_ERR(want, dialling.err);
    CHECK(dialling.story.has_tls && dialling.story.tls.ns >= 0);
    if (!want && !dialling.err) {
        CHECK_SLICE(slice_str(tls_facts_of(dialling.stream).version), "TLSv1.3");
        CHECK_OK(say(dialling.stream, "hello"));
        plain_hear(&theirs, "hello");
        stream_close(&dialling.stream, false);
    }
    plain_close(&theirs);
}

STAGE_TEST(tls_to_the_address_or_to_a_name)
{
    static const struct {
        const char *name;
        enum weir_err err;
    } cases[] = {
        {"www.example.com", WEIR_OK},
        {NULL, WEIR_OK}, /* 127.0.0.1, which the certificate bears */
        {"other.example.com", WEIR_E_TLS_CERTIFICATE},
    };
    begin();
    options.tls = client;
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        struct scope scope;
        options.tls_name = cases[i].name;
        dial_begin(&scope);
        serve_tls(&scope, raw_accept(&listener), cases[i].err);
    }
    end();
}

STAGE_TEST(tls_behind_a_preface_behind_a_tunnel)
{
    struct scope scope;
    begin();
    options.proxy = &proxy;
    options.tls = client;
    options.tls_name = "www.example.com";
    options.preface = PREFACE_V1;
    must(addr_of_name(SLICE("www.example.com"), 443, &options.addr) == WEIR_OK);
    CHECK_OK(addr_parse(SLICE("192.0.2.1:1000"), &options.preface_source));
    CHECK_OK(addr_parse(SLICE("192.0.2.2:443"), &options.preface_destination));
    dial_begin(&scope);
    int server = raw_accept(&listener);
    CHECK(raw_read_head(server));
    CHECK(raw_starts("CONNECT www.example.com:443 HTTP/1.1\r\n"));
    raw_send(server, "HTTP/1.1 200 OK\r\n\r\n");
    CHECK(raw_read(server, "\r\n") > 0);
    CHECK(raw_starts("PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n"));
    serve_tls(&scope, server, WEIR_OK);
    end();
}

/* Plain where TLS should be. */
STAGE_TEST(a_server_without_tls_is_no_server)
{
    struct scope scope;
    begin();
    options.tls = client;
    dial_begin(&scope);
    int server = raw_accept(&listener);
    raw_send(server, "HTTP/1.1 400 Bad Request\r\n\r\n");
    CHECK_OK(scope_join(&scope));
    CHECK_ERR(WEIR_E_TLS_PROTOCOL, dialling.err);
    CHECK(dialling.story.has_tls);
    raw_close(server);
    end();
}

CHECK_MAIN
