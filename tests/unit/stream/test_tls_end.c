/* SPDX-License-Identifier: MIT */
/* How TLS ends: in order, cut short, broken. */
#include "stream/tls.h"

#include "tests/unit/stream/tls_plain.h"

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* Each version, with ours as the server and as the client. */
WEIR_SUSPENDS static void for_each_half(WEIR_SUSPENDS void (*play)(struct halves *halves))
{
    for (unsigned i = 0; i < 4; i++) {
        struct halves halves;
        unsigned failures = check_failures;
        if (halves_open(&halves, i & 1, versions[i / 2]))
            play(&halves);
        halves_fini(&halves);
        CHECK_EQ(0, stage.loop.bufs.used_count);
        if (check_failures != failures)
            printf("# so much for %s as the %s\n", i / 2 ? "TLS 1.3" : "TLS 1.2",
                   i & 1 ? "client" : "server");
    }
}

static enum stream_state look_at(struct stream *stream)
{
    struct iobuf *buf = NULL;
    enum stream_state state = stream_look(stream, LOOK_WELL, &buf);
    CHECK((state == STREAM_BYTES) == (buf != NULL));
    iobuf_give(&stage.loop.bufs, &buf);
    return state;
}

WEIR_SUSPENDS static void end_in_order(struct halves *halves)
{
    struct stream *ours = halves->ours.stream;
    CHECK(!stream_peer_ended(ours));
    plain_say(&halves->theirs, "last words");
    CHECK(SSL_shutdown(halves->theirs.ssl) >= 0);
    plain_push(&halves->theirs);
    hear(ours, "last words");
    CHECK_ERR(WEIR_E_EOF, hear_end(ours));
    CHECK_ERR(WEIR_E_EOF, hear_end(ours));
    CHECK_EQ(STREAM_ENDED, look_at(ours));
    CHECK(stream_peer_ended(ours));
    /* Theirs has ended, ours has not. */
    CHECK_OK(say(ours, "an answer"));
    plain_hear(&halves->theirs, "an answer");
}

STAGE_TEST(a_goodbye_is_an_end)
{
    for_each_half(end_in_order);
}

WEIR_SUSPENDS static void cut_short(struct halves *halves)
{
    struct stream *ours = halves->ours.stream;
    plain_say(&halves->theirs, "cut sh");
    must(shutdown(halves->theirs.descriptor, SHUT_WR) == 0);
    hear(ours, "cut sh");
    CHECK_EQ(STREAM_ENDED, look_at(ours)); /* who only looks is told of an end */
    CHECK_ERR(WEIR_E_RESET, hear_end(ours));
    CHECK_ERR(WEIR_E_RESET, hear_end(ours));
    CHECK(stream_peer_ended(ours));
}

STAGE_TEST(an_end_without_a_goodbye_is_none)
{
    for_each_half(cut_short);
}

WEIR_SUSPENDS static void cut_a_record(struct halves *halves)
{
    char *bytes;
    CHECK_EQ(4, SSL_write(halves->theirs.ssl, "text", 4));
    CHECK(BIO_get_mem_data(halves->theirs.out, &bytes) > 20);
    raw_send_bytes(halves->theirs.descriptor, bytes, 20);
    (void)BIO_reset(halves->theirs.out);
    must(shutdown(halves->theirs.descriptor, SHUT_WR) == 0);
    CHECK_ERR(WEIR_E_RESET, hear_end(halves->ours.stream));
}

STAGE_TEST(half_a_record_is_nothing)
{
    for_each_half(cut_a_record);
}

WEIR_SUSPENDS static void shut_ours(struct halves *halves)
{
    struct stream *ours = halves->ours.stream;
    CHECK_OK(say(ours, "that is all"));
    stream_shut(ours, WEIR_NEVER);
    stream_shut(ours, WEIR_NEVER); /* once is enough, and twice does no harm */
    plain_hear(&halves->theirs, "that is all");
    CHECK_EQ(SSL_ERROR_ZERO_RETURN, plain_read(&halves->theirs, 0));
    CHECK_ERR(WEIR_E_RESET, say(ours, "more"));
    CHECK_EQ(0, stream_send_now(ours, SLICE("more")));
    plain_say(&halves->theirs, "a late answer");
    hear(ours, "a late answer");
}

STAGE_TEST(a_shut_says_goodbye_and_the_other_way_goes_on)
{
    for_each_half(shut_ours);
}

WEIR_SUSPENDS static void close_in_order(struct halves *halves)
{
    stream_close(&halves->ours.stream, false);
    CHECK_EQ(SSL_ERROR_ZERO_RETURN, plain_read(&halves->theirs, 0));
}

WEIR_SUSPENDS static void close_hard(struct halves *halves)
{
    stream_close(&halves->ours.stream, true);
    CHECK_EQ(SSL_ERROR_SYSCALL, plain_read(&halves->theirs, 0));
}

STAGE_TEST(a_close_says_goodbye)
{
    for_each_half(close_in_order);
}

STAGE_TEST(a_close_with_a_reset_does_not)
{
    for_each_half(close_hard);
}

WEIR_SUSPENDS static void flip(struct halves *halves)
{
    struct stream *ours = halves->ours.stream;
    char *bytes;
    plain_say(&halves->theirs, "good");
    CHECK_EQ(3, SSL_write(halves->theirs.ssl, "bad", 3));
    long len = BIO_get_mem_data(halves->theirs.out, &bytes);
    bytes[len - 1] ^= 1;
    plain_push(&halves->theirs);
    hear(ours, "good");
    CHECK_ERR(WEIR_E_RESET, hear_end(ours));
    CHECK_ERR(WEIR_E_RESET, hear_end(ours));
    CHECK_EQ(STREAM_BROKEN, look_at(ours));
    CHECK(stream_peer_ended(ours));
    CHECK_ERR(WEIR_E_RESET, say(ours, "anyone?"));
    CHECK_EQ(0, stream_send_now(ours, SLICE("anyone?")));
    CHECK_EQ(SSL_ERROR_SSL, plain_read(&halves->theirs, 0)); /* it was told so: an alert */
}

STAGE_TEST(a_bit_that_was_changed_breaks_it)
{
    for_each_half(flip);
}

/* The other side meets a bad record, and says so. */
WEIR_SUSPENDS static void get_an_alert(struct halves *halves)
{
    struct stream *ours = halves->ours.stream;
    char record[40] = {23, 3, 3, 0, 35};
    while (plain_pull(&halves->theirs) > 0)
        ;
    must(BIO_write(halves->theirs.in, record, sizeof record) == sizeof record);
    while (plain_read(&halves->theirs, 1) == SSL_ERROR_NONE)
        ;
    CHECK_ERR(halves->client ? WEIR_E_TLS_ALERT : WEIR_E_RESET, hear_end(ours));
    CHECK_EQ(STREAM_BROKEN, look_at(ours));
    CHECK_ERR(WEIR_E_RESET, say(ours, "anyone?"));
}

STAGE_TEST(an_alert_breaks_it)
{
    for_each_half(get_an_alert);
}

WEIR_SUSPENDS static void get_garbage(struct halves *halves)
{
    raw_send(halves->theirs.descriptor, "HTTP/1.1 400 Bad Request\r\n\r\n");
    CHECK_ERR(WEIR_E_RESET, hear_end(halves->ours.stream));
    CHECK_EQ(STREAM_BROKEN, look_at(halves->ours.stream));
}

STAGE_TEST(what_is_no_record_breaks_it)
{
    for_each_half(get_garbage);
}

/* RFC 5746, RFC 9113 section 9.2.1: never. */
STAGE_TEST(a_client_that_wants_new_keys_in_tls_1_2_is_refused)
{
    struct halves halves;
    if (halves_open(&halves, false, TLS1_2_VERSION)) {
        struct iobuf *buf = NULL;
        CHECK_EQ(1, SSL_renegotiate(halves.theirs.ssl));
        (void)SSL_do_handshake(halves.theirs.ssl);
        plain_push(&halves.theirs);
        CHECK(stream_recv(halves.ours.stream, in_ms(20), &buf) != WEIR_OK);
        CHECK(plain_pull(&halves.theirs) > 0);
        CHECK(SSL_do_handshake(halves.theirs.ssl) != 1); /* an alert: no_renegotiation */
    }
    halves_fini(&halves);
}

/* What a send that was given up has left is never taken for the whole. */
STAGE_TEST(a_send_that_was_given_up_ends_in_no_order)
{
    static char text[300000];
    struct tls_server *server = server_of(CERT_WWW);
    struct tls_client *client = client_of_default();
    struct ends ends;
    if (ends_open(&ends, server, client, NULL, BELOW_PAIR)) {
        struct weir_slice all = slice_of(text, sizeof text);
        struct iobuf *buf = NULL;
        size_t sent = 0, got = 0;
        CHECK_ERR(WEIR_E_TIMEOUT, stream_send(ends.server.stream, &all, 1, in_ms(5), &sent));
        CHECK(sent > 0 && sent < sizeof text);
        struct stream *from = ends.client.stream;
        enum weir_err err;
        stream_close(&ends.server.stream, false);
        while (!(err = stream_recv(from, in_ms(5000), &buf))) {
            got += iobuf_slice(buf).len;
            iobuf_give(&stage.loop.bufs, &buf);
        }
        CHECK_ERR(WEIR_E_RESET, err);
        CHECK(got > 0 && got <= sent);
    }
    ends_close(&ends);
    tls_client_free(client);
    tls_server_free(server);
}

WEIR_SUSPENDS static void shut_server(void *argument)
{
    struct ends *ends = argument;
    stream_shut(ends->server.stream, in_ms(5000));
}

/* At a close a goodbye is said at once or not at all: here there is no room for it. */
STAGE_TEST(a_goodbye_without_room_is_not_said)
{
    enum { RECORD_MORE_BYTES = 22, TEXT_BYTES = TINY_PAIR_BYTES - RECORD_MORE_BYTES };
    static char text[TEXT_BYTES + 1];
    struct tls_server *server = server_of(CERT_WWW);
    struct tls_client *client = client_of_default();
    for (int less = 0; less < 2; less++) {
        struct ends ends;
        memset(text, 'x', TEXT_BYTES);
        text[less ? TEXT_BYTES / 2 : TEXT_BYTES] = '\0';
        if (ends_open(&ends, server, client, NULL, BELOW_TINY_PAIR)) {
            talk_both_ways(&ends);
            CHECK_OK(say(ends.server.stream, text));
            stream_close(&ends.server.stream, false);
            hear(ends.client.stream, text);
            CHECK_ERR(less ? WEIR_E_EOF : WEIR_E_RESET, hear_end(ends.client.stream));
        }
        ends_close(&ends);
    }
    tls_client_free(client);
    tls_server_free(server);
}

/* Where somebody may wait for the room, it is said. */
STAGE_TEST(a_goodbye_waits_for_room_at_a_shut)
{
    enum { RECORD_MORE_BYTES = 22, TEXT_BYTES = TINY_PAIR_BYTES - RECORD_MORE_BYTES };
    static char text[TEXT_BYTES + 1];
    struct tls_server *server = server_of(CERT_WWW);
    struct tls_client *client = client_of_default();
    struct ends ends;
    memset(text, 'x', TEXT_BYTES);
    if (ends_open(&ends, server, client, NULL, BELOW_TINY_PAIR)) {
        talk_both_ways(&ends);
        CHECK_OK(say(ends.server.stream, text));
        must(co_spawn(&stage.loop.sched, NULL, "shut", shut_server, &ends, NULL) == WEIR_OK);
        stage_turns();
        hear(ends.client.stream, text);
        CHECK_ERR(WEIR_E_EOF, hear_end(ends.client.stream));
    }
    ends_close(&ends);
    tls_client_free(client);
    tls_server_free(server);
}

CHECK_MAIN
