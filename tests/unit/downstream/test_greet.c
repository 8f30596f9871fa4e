/* SPDX-License-Identifier: MIT */
#include "downstream/greet.h"

#include "base/log.h"
#include "tests/unit/downstream/host.h"
#include "tests/unit/stream/tls_plain.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define LAST "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
#define PREFACE "PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n"

static struct listener_options listening;
static struct tls_server *server;
static char seen_from[ADDR_TEXT_SIZE];

/* Answers, and notes who is said to have asked. */
WEIR_SUSPENDS static void answer(void *owner, struct exchange *exchange)
{
    addr_print(&host_only()->from, seen_from);
    host_echo(owner, exchange);
}

static void begin(bool with_preface, bool with_tls)
{
    log_set_level(LOG_ERROR);
    host_open(answer);
    seen_from[0] = '\0';
    server = NULL;
    if (with_tls) {
        struct tls_server_options options;
        tls_server_options_init(&options);
        options.handshake_timeout = weir_span_ms(3000);
        server = server_with(options, CERT_WWW);
    }
    listening = (struct listener_options){.tls = server, .expects_preface = with_preface};
}

WEIR_SUSPENDS static void end(void)
{
    host_close();
    tls_server_free(server);
}

static uint64_t greeted(enum greeting greeting)
{
    return stat_read(&host.downstream.greetings[greeting]);
}

/* So many went so, and no other went otherwise. */
static void check_greetings(enum greeting greeting, unsigned count)
{
    for (enum greeting i = 0; i < GREETING_COUNT; i++)
        if (!CHECK_EQ(i == greeting ? count : 0, greeted(i)))
            printf("# %s\n", greeting_name(i));
}

/* --- Prefaces -------------------------------------------------------------------------------- */

static const char v2_preface[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
                                 "\xc0\0\x02\x01\xc0\0\x02\x02\x03\xe8\x01\xbb";

STAGE_TEST(a_preface_in_every_kind_of_piece)
{
    begin(true, false);
    for (unsigned i = 0; i < 6; i++) {
        const char *preface = i & 1 ? v2_preface : PREFACE;
        size_t len = i & 1 ? sizeof v2_preface - 1 : strlen(PREFACE), step = i / 2 ? len : 1;
        int client = host_client_to(&listening);
        for (size_t at = 0; at < len; at += step) {
            raw_send_bytes(client, preface + at, step);
            if (step == 1)
                stage_turns();
        }
        if (i / 2 == 1)
            stage_turns();
        raw_send(client, LAST);
        CHECK(raw_read_all(client));
        CHECK(raw_starts("HTTP/1.1 200 "));
        CHECK(raw_has("[GET / ]"));
        CHECK_SLICE(slice_str(seen_from), "192.0.2.1:1000");
        raw_close(client);
    }
    CHECK_EQ(6, host.requests);
    check_greetings(GREETING_BAD_PREFACE, 0);
    end();
}

STAGE_TEST(a_preface_together_with_its_request)
{
    begin(true, false);
    int client = host_client_to(&listening);
    raw_send(client, PREFACE GET GET);
    CHECK(raw_read(client, "[GET / ]") > 0);
    CHECK(raw_read(client, "[GET / ]") > 0);
    STAGE_UNTIL(host_is_parked());
    CHECK_EQ(0, stage.loop.bufs.used_count);
    raw_send(client, LAST); /* the next one needs no preface */
    CHECK(raw_read_all(client));
    CHECK_EQ(3, host.requests);
    raw_close(client);
    end();
}

STAGE_TEST(no_preface_is_an_end_without_a_word)
{
    static const char *const bad[] = {GET, "PROXY NONSENSE\r\n", "\x16\x03\x01\x02"};
    begin(true, false);
    for (unsigned i = 0; i < COUNT_OF(bad); i++) {
        int client = host_client_to(&listening);
        raw_send(client, bad[i]);
        (void)raw_read(client, "");
        CHECK_SLICE(slice_str(raw_text), "");
        raw_close(client);
        STAGE_UNTIL(downstream_is_empty(&host.downstream));
    }
    CHECK_EQ(0, host.requests);
    check_greetings(GREETING_BAD_PREFACE, COUNT_OF(bad));
    end();
}

STAGE_TEST(silence_and_half_a_preface_are_given_up)
{
    static const char *const parts[] = {"", "PROXY TC"};
    begin(true, false);
    host.options.header_timeout = weir_span_ms(20);
    for (unsigned i = 0; i < COUNT_OF(parts); i++) {
        int client = host_client_to(&listening);
        raw_send(client, parts[i]);
        CHECK(raw_read_all(client));
        CHECK_SLICE(slice_str(raw_text), "");
        raw_close(client);
        check_greetings(GREETING_BAD_PREFACE, i + 1);
    }
    end();
}

STAGE_TEST(an_end_instead_of_a_preface)
{
    begin(true, false);
    int client = host_client_to(&listening);
    raw_close(client);
    STAGE_UNTIL(downstream_is_empty(&host.downstream));
    CHECK_EQ(0, host.requests);
    end();
}

/* --- TLS ------------------------------------------------------------------------------------- */

WEIR_SUSPENDS static bool connect_tls(struct plain *client, int version)
{
    plain_init(client, false, version, host_client_to(&listening));
    return CHECK(plain_shake(client));
}

/* The answer, to its end. */
WEIR_SUSPENDS static void ask(struct plain *client)
{
    plain_say(client, GET);
    char *at = NULL;
    size_t got = 0;
    while (!at && stage_breathe()) {
        int count = SSL_read(client->ssl, raw_text + got, (int)(RAW_TEXT_SIZE - 1 - got));
        if (count > 0)
            got += (size_t)count;
        else
            (void)plain_pull(client);
        raw_text[got] = '\0';
        at = strstr(raw_text, "[GET / ]");
    }
    CHECK(raw_starts("HTTP/1.1 200 "));
}

STAGE_EACH(requests_over_tls)
{
    begin(false, true);
    for (int i = 0; i < 2; i++) {
        struct plain client;
        if (connect_tls(&client, i ? TLS1_3_VERSION : TLS1_2_VERSION)) {
            for (int n = 0; n < 3; n++) {
                ask(&client);
                STAGE_UNTIL(host_is_parked());
                CHECK_EQ(0, stage.loop.bufs.used_count);
            }
        }
        plain_close(&client);
        STAGE_UNTIL(downstream_is_empty(&host.downstream));
    }
    CHECK_EQ(6, host.requests);
    check_greetings(GREETING_FULL, 2);
    end();
}

STAGE_EACH(who_asks_nothing_after_the_handshake_is_parked)
{
    begin(false, true);
    size_t idle_count = stage.loop.sched.co_count;
    struct plain client;
    if (connect_tls(&client, TLS1_3_VERSION)) {
        STAGE_UNTIL(host_is_parked());
        stage_turns();
        CHECK_EQ(idle_count, stage.loop.sched.co_count);
        CHECK_EQ(0, stage.loop.bufs.used_count);
        CHECK_EQ(0, host.requests);
        ask(&client);
    }
    plain_close(&client);
    end();
}

/* It goes as it came, when it never asks. */
STAGE_TEST(one_that_is_parked_after_the_handshake_is_timed)
{
    begin(false, true);
    host.options.header_timeout = weir_span_ms(20);
    struct plain client;
    if (connect_tls(&client, TLS1_3_VERSION))
        CHECK_EQ(SSL_ERROR_ZERO_RETURN, plain_read(&client, 0)); /* with a goodbye */
    plain_close(&client);
    check_greetings(GREETING_FULL, 1);
    end();
}

STAGE_TEST(a_handshake_byte_by_byte)
{
    begin(false, true);
    struct plain client;
    plain_init(&client, false, TLS1_3_VERSION, host_client_to(&listening));
    for (;;) {
        char *bytes;
        int result = SSL_do_handshake(client.ssl);
        long len = BIO_get_mem_data(client.out, &bytes);
        for (long i = 0; i < len; i++) {
            raw_send_bytes(client.descriptor, bytes + i, 1);
            if (i < 50)
                stage_turns();
        }
        (void)BIO_reset(client.out);
        if (result == 1 || (plain_pull(&client) == RAW_NOTHING && !stage_breathe()))
            break;
    }
    ask(&client);
    plain_close(&client);
    check_greetings(GREETING_FULL, 1);
    end();
}

/* In TLS 1.3 the first request may come together with the client's last words. */
STAGE_TEST(a_request_right_behind_the_handshake)
{
    begin(true, true);
    struct plain client;
    plain_init(&client, false, TLS1_3_VERSION, host_client_to(&listening));
    raw_send(client.descriptor, PREFACE);
    while (SSL_do_handshake(client.ssl) != 1) {
        plain_push(&client);
        if (plain_pull(&client) == RAW_NOTHING && !stage_breathe())
            break;
    }
    CHECK(BIO_pending(client.out) > 0); /* its Finished goes with the request */
    ask(&client);
    CHECK_SLICE(slice_str(seen_from), "192.0.2.1:1000");
    plain_close(&client);
    check_greetings(GREETING_FULL, 1);
    end();
}

STAGE_TEST(a_short_handshake_is_told_as_one)
{
    begin(false, true);
    struct plain client;
    SSL_SESSION *session = NULL;
    if (connect_tls(&client, TLS1_3_VERSION)) {
        ask(&client);
        session = SSL_get1_session(client.ssl);
        (void)SSL_shutdown(client.ssl); /* without it OpenSSL spoils the session */
    }
    plain_close(&client);
    STAGE_UNTIL(downstream_is_empty(&host.downstream));
    plain_init(&client, false, TLS1_3_VERSION, host_client_to(&listening));
    must(session && SSL_set_session(client.ssl, session) == 1);
    CHECK(plain_shake(&client));
    CHECK(SSL_session_reused(client.ssl));
    ask(&client);
    SSL_SESSION_free(session);
    plain_close(&client);
    CHECK_EQ(1, greeted(GREETING_FULL));
    CHECK_EQ(1, greeted(GREETING_RESUMED));
    end();
}

STAGE_TEST(plain_http_where_tls_is_spoken_is_told_so)
{
    begin(false, true);
    int client = host_client_to(&listening);
    raw_send(client, GET);
    CHECK(raw_read_all(client));
    CHECK(raw_starts("HTTP/1.1 400 "));
    CHECK(raw_has("this port speaks TLS"));
    CHECK(raw_has("Connection: close\r\n"));
    raw_close(client);
    check_greetings(GREETING_PLAIN, 1);
    end();
}

STAGE_TEST(what_is_neither_gets_no_word)
{
    static const char *const bad[] = {"\x01\x02\x03\x04", "get / http/1.1\r\n\r\n", "\x80\x2e\x01"};
    begin(false, true);
    for (unsigned i = 0; i < COUNT_OF(bad); i++) {
        int client = host_client_to(&listening);
        raw_send(client, bad[i]);
        (void)raw_read(client, "");
        CHECK_SLICE(slice_str(raw_text), "");
        raw_close(client);
        STAGE_UNTIL(downstream_is_empty(&host.downstream));
    }
    CHECK_EQ(0, host.requests);
    check_greetings(GREETING_FAILED, COUNT_OF(bad));
    end();
}

STAGE_TEST(handshakes_that_fail)
{
    begin(false, true);
    int client = host_client_to(&listening);
    raw_send(client, "\x16this begins like a handshake");
    (void)raw_await_end(client);
    raw_close(client);
    STAGE_UNTIL(downstream_is_empty(&host.downstream));
    check_greetings(GREETING_FAILED, 1);

    /* An end in the middle of it. */
    struct plain half;
    plain_init(&half, false, TLS1_3_VERSION, host_client_to(&listening));
    CHECK_EQ(-1, plain_step(&half));
    stage_turns();
    plain_close(&half);
    STAGE_UNTIL(downstream_is_empty(&host.downstream));
    check_greetings(GREETING_FAILED, 2);
    CHECK_EQ(0, host.requests);
    end();
}

STAGE_TEST(handshakes_that_take_too_long)
{
    begin(false, true);
    tls_server_free(server);
    struct tls_server_options options;
    tls_server_options_init(&options);
    options.handshake_timeout = weir_span_ms(20);
    listening.tls = server = server_with(options, CERT_WWW);
    int client = host_client_to(&listening); /* silent */
    CHECK(raw_read_all(client));
    raw_close(client);
    check_greetings(GREETING_TIMEOUT, 1);
    struct plain half;
    plain_init(&half, false, TLS1_3_VERSION, host_client_to(&listening));
    CHECK_EQ(-1, plain_step(&half));
    CHECK_EQ(0, raw_await_end(half.descriptor));
    plain_close(&half);
    STAGE_UNTIL(downstream_is_empty(&host.downstream));
    check_greetings(GREETING_TIMEOUT, 2);
    end();
}

/* The end of weir does not wait for who is in the middle of a handshake. */
STAGE_TEST(draining)
{
    begin(false, true);
    struct plain half, idle;
    plain_init(&half, false, TLS1_3_VERSION, host_client_to(&listening));
    CHECK_EQ(-1, plain_step(&half));
    if (connect_tls(&idle, TLS1_3_VERSION))
        stage_turns();
    downstream_drain(&host.downstream);
    CHECK_EQ(SSL_ERROR_ZERO_RETURN, plain_read(&idle, 0));
    STAGE_UNTIL(downstream_is_empty(&host.downstream));
    plain_close(&half);
    plain_close(&idle);
    end();
}

CHECK_MAIN
