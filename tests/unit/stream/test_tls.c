/* SPDX-License-Identifier: MIT */
/* Bytes over TLS: both versions, over whatever lies below. Ends are in test_tls_end.c. */
#include "stream/tls.h"

#include "tests/unit/stream/tls_plain.h"

enum { LONG_BYTES = 1 << 20, LONGEST_RECORDS_TEXT = 16384 };

static struct tls_server *server;
static struct tls_client *client;

static void open_both(enum tls_version version)
{
    struct tls_server_options options;
    tls_server_options_init(&options);
    options.policy.max_version = version;
    server = server_with(options, CERT_WWW);
    client = client_of_default();
}

static void close_both(void)
{
    tls_client_free(client);
    tls_server_free(server);
}

STAGE_EACH(both_versions_talk_over_whatever_lies_below)
{
    for (enum tls_version version = TLS_VERSION_1_2; version <= TLS_VERSION_1_3; version++) {
        for (enum below below = 0; below < BELOW_COUNT; below++) {
            struct ends ends;
            open_both(version);
            if (ends_open(&ends, server, client, NULL, below)) {
                struct tls_facts facts = tls_facts_of(ends.server.stream);
                CHECK_SLICE(slice_str(facts.version),
                            version == TLS_VERSION_1_2 ? "TLSv1.2" : "TLSv1.3");
                CHECK_SLICE(slice_str(facts.server_name), "www.example.com");
                CHECK(!facts.resumed);
                CHECK_SLICE(slice_str(tls_facts_of(ends.client.stream).version), facts.version);
                talk_both_ways(&ends);
            }
            ends_close(&ends);
            CHECK_EQ(0, stage.streams.tls.slab.used_count);
            CHECK_EQ(0, stage.loop.bufs.used_count);
            close_both();
        }
    }
}

STAGE_TEST(a_stream_without_tls_has_no_facts)
{
    struct stream *a, *b;
    below_make(BELOW_PAIR, &a, &b);
    CHECK(!tls_facts_of(a).version && !tls_facts_of(a).server_name && !tls_facts_of(a).resumed);
    stream_close(&a, false);
    stream_close(&b, false);
}

STAGE_TEST(a_byte_at_a_time_goes_both_ways)
{
    struct ends ends;
    open_both(TLS_VERSION_1_3);
    if (ends_open(&ends, server, client, NULL, BELOW_SOCKETS)) {
        for (int i = 0; i < 300; i++) {
            char byte[2] = {(char)('a' + i % 26), '\0'};
            CHECK_OK(say(ends.client.stream, byte));
            if (!hear(ends.server.stream, byte))
                break;
            CHECK_OK(say(ends.server.stream, byte));
            if (!hear(ends.client.stream, byte))
                break;
        }
        CHECK_OK(say(ends.client.stream, "")); /* nothing is no record, and no end */
        talk_both_ways(&ends);
    }
    ends_close(&ends);
    close_both();
}

/* Records that come in pieces of a byte. */
STAGE_TEST(a_record_byte_by_byte_is_one)
{
    struct halves halves;
    struct iobuf *buf = NULL;
    char *bytes;
    if (halves_open(&halves, false, TLS1_3_VERSION)) {
        CHECK_EQ(8, SSL_write(halves.theirs.ssl, "question", 8));
        long len = BIO_get_mem_data(halves.theirs.out, &bytes);
        for (long i = 0; i < len; i++) {
            /* A part may be one of bytes: not quiet, and nothing to show yet. */
            CHECK_EQ(i > 0 ? STREAM_BYTES : STREAM_QUIET,
                     stream_look(halves.ours.stream, LOOK_WELL, &buf));
            CHECK(i == 0 || iobuf_slice(buf).len == 0);
            iobuf_give(&stage.loop.bufs, &buf);
            raw_send_bytes(halves.theirs.descriptor, bytes + i, 1);
        }
        (void)BIO_reset(halves.theirs.out);
        hear(halves.ours.stream, "question");
    }
    halves_fini(&halves);
}

static char long_text[LONG_BYTES];

/* Slices of these lengths in one send: so many records, and the text as it was. */
static void check_records(struct halves *halves, const size_t *lens, unsigned count, unsigned want)
{
    struct weir_slice slices[SEND_SLICES_MAX];
    size_t at = 0, sent = 0;
    for (unsigned i = 0; i < count; i++) {
        slices[i] = slice_of(long_text + at, lens[i]);
        at += lens[i];
    }
    halves->theirs.records = 0;
    CHECK_OK(stream_send(halves->ours.stream, slices, count, in_ms(5000), &sent));
    CHECK_EQ(at, sent);
    CHECK_EQ(SSL_ERROR_NONE, plain_read(&halves->theirs, at));
    CHECK(memcmp(raw_text, long_text, at) == 0);
    CHECK_EQ(want, halves->theirs.records);
}

STAGE_TEST(small_slices_are_few_records)
{
    static const size_t tiny[SEND_SLICES_MAX] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 12, 13, 14, 15};
    static const size_t head_and_body[] = {300, 12000};
    static const size_t body_alone[] = {12000};
    static const size_t two_large[] = {5000, 5000};
    static const size_t more_than_one[] = {4000, 4000, 4000, 4000, 4000};
    static const size_t longest[] = {LONGEST_RECORDS_TEXT};
    static const size_t one_more[] = {LONGEST_RECORDS_TEXT + 1};
    struct halves halves;
    for (size_t i = 0; i < sizeof long_text; i++)
        long_text[i] = (char)(i * 13 + i / 257);
    if (halves_open(&halves, false, TLS1_3_VERSION)) {
        CHECK_OK(say(halves.ours.stream, "behind the tickets"));
        plain_hear(&halves.theirs, "behind the tickets");
        check_records(&halves, tiny, COUNT_OF(tiny), 1);
        check_records(&halves, head_and_body, 2, 1);
        check_records(&halves, body_alone, 1, 1);
        check_records(&halves, two_large, 2, 2);
        check_records(&halves, more_than_one, 5, 2);
        check_records(&halves, longest, 1, 1);
        check_records(&halves, one_more, 1, 2);
    }
    halves_fini(&halves);
}

struct courier {
    struct stream *stream;
    enum weir_err err;
    size_t bytes;
};

/* The long text, in slices of many sizes. */
static void send_long(void *argument)
{
    struct courier *self = argument;
    while (self->bytes < LONG_BYTES && !self->err) {
        struct weir_slice slices[SEND_SLICES_MAX];
        size_t at = self->bytes, sent = 0;
        for (unsigned i = 0; i < SEND_SLICES_MAX; i++) {
            size_t piece = (size_t)i * i * i * 11;
            if (piece > LONG_BYTES - at)
                piece = LONG_BYTES - at;
            slices[i] = slice_of(long_text + at, piece);
            at += piece;
        }
        self->err = stream_send(self->stream, slices, SEND_SLICES_MAX, in_ms(8000), &sent);
        self->bytes += sent;
    }
}

static void receive_long(void *argument)
{
    struct courier *self = argument;
    while (self->bytes < LONG_BYTES) {
        struct iobuf *buf = NULL;
        self->err = stream_recv(self->stream, in_ms(8000), &buf);
        if (self->err)
            return;
        struct weir_slice got = iobuf_slice(buf);
        bool same = CHECK(got.len > 0 && got.len <= LONG_BYTES - self->bytes) &&
                    CHECK(memcmp(got.at, long_text + self->bytes, got.len) == 0);
        self->bytes += got.len;
        iobuf_give(&self->stream->loop->bufs, &buf);
        if (!same)
            return;
    }
}

WEIR_SUSPENDS static void flood_both_ways(enum below below, enum tls_version version)
{
    struct ends ends;
    struct scope scope;
    open_both(version);
    if (ends_open(&ends, server, client, NULL, below)) {
        struct courier all[] = {{.stream = ends.client.stream},
                                {.stream = ends.server.stream},
                                {.stream = ends.client.stream},
                                {.stream = ends.server.stream}};
        scope_init(&scope);
        for (unsigned i = 0; i < 4; i++)
            CHECK_OK(scope_spawn(&scope, "courier", i < 2 ? send_long : receive_long, &all[i]));
        CHECK_OK(scope_join(&scope));
        for (unsigned i = 0; i < 4; i++) {
            CHECK_OK(all[i].err);
            CHECK_EQ(LONG_BYTES, all[i].bytes);
        }
        /* Nothing lies about between two calls. */
        CHECK_EQ(0, stage.loop.bufs.used_count);
    }
    ends_close(&ends);
    close_both();
}

STAGE_EACH(a_mebibyte_goes_both_ways_at_once)
{
    for (size_t i = 0; i < sizeof long_text; i++)
        long_text[i] = (char)(i * 13 + i / 257);
    flood_both_ways(BELOW_PAIR, TLS_VERSION_1_3);
    flood_both_ways(BELOW_TINY_PAIR, TLS_VERSION_1_3);
    flood_both_ways(BELOW_SOCKETS, TLS_VERSION_1_3);
    flood_both_ways(BELOW_SOCKETS, TLS_VERSION_1_2);
}

/* Who does not read makes the sender wait, and not the memory grow. */
STAGE_TEST(a_sender_waits_for_who_does_not_read)
{
    struct ends ends;
    struct scope scope;
    open_both(TLS_VERSION_1_3);
    if (ends_open(&ends, server, client, NULL, BELOW_PAIR)) {
        struct courier sender = {.stream = ends.client.stream};
        struct courier reader = {.stream = ends.server.stream};
        scope_init(&scope);
        CHECK_OK(scope_spawn(&scope, "send", send_long, &sender));
        stage_turns();
        CHECK(sender.bytes < 4 * 65536);
        CHECK(stage.loop.bufs.used_count < 12);
        CHECK_OK(scope_spawn(&scope, "receive", receive_long, &reader));
        CHECK_OK(scope_join(&scope));
        CHECK_EQ(LONG_BYTES, sender.bytes);
        CHECK_EQ(LONG_BYTES, reader.bytes);
    }
    ends_close(&ends);
    close_both();
}

/* A send that ends before its time: what was not taken is not told as sent. */
STAGE_TEST(a_send_ends_at_its_deadline_and_when_canceled)
{
    for (int cancel = 0; cancel < 2; cancel++) {
        struct ends ends;
        struct scope scope;
        open_both(TLS_VERSION_1_3);
        if (ends_open(&ends, server, client, NULL, BELOW_PAIR)) {
            struct courier sender = {.stream = ends.client.stream};
            struct weir_slice all = slice_of(long_text, sizeof long_text);
            size_t sent = 0;
            if (cancel) {
                scope_init(&scope);
                CHECK_OK(scope_spawn(&scope, "send", send_long, &sender));
                stage_turns();
                scope_cancel(&scope);
                CHECK_OK(scope_join(&scope));
                CHECK_ERR(WEIR_E_CANCELED, sender.err);
            } else {
                CHECK_ERR(WEIR_E_TIMEOUT,
                          stream_send(ends.client.stream, &all, 1, in_ms(10), &sent));
                CHECK(sent > 0 && sent < sizeof long_text);
            }
        }
        ends_close(&ends);
        close_both();
    }
}

STAGE_TEST(a_receive_ends_at_its_deadline_and_goes_on)
{
    struct ends ends;
    struct iobuf *buf = NULL;
    open_both(TLS_VERSION_1_3);
    if (ends_open(&ends, server, client, NULL, BELOW_SOCKETS)) {
        CHECK_ERR(WEIR_E_TIMEOUT, stream_recv(ends.server.stream, in_ms(5), &buf));
        CHECK(!buf);
        talk_both_ways(&ends);
    }
    ends_close(&ends);
    close_both();
}

STAGE_TEST(it_has_the_address_of_what_lies_below)
{
    struct halves halves;
    struct addr addr;
    if (halves_open(&halves, false, TLS1_3_VERSION)) {
        CHECK_OK(stream_peer(halves.ours.stream, &addr));
        CHECK(addr_is_local(&addr));
        CHECK(stream_can_move(halves.ours.stream));
    }
    halves_fini(&halves);
}

/* What was received before TLS began is its beginning. */
STAGE_TEST(bytes_that_came_before_are_the_first)
{
    struct halves halves;
    halves_init(&halves, false, TLS1_3_VERSION);
    CHECK_EQ(-1, plain_step(&halves.theirs));
    struct iobuf *first = NULL;
    CHECK_OK(stream_recv(halves.ours.below, in_ms(5000), &first));
    CHECK(first && iobuf_slice(first).len > 100);
    struct opening *ours = &halves.ours;
    CHECK_ERR(WEIR_E_TIMEOUT, tls_open(&stage.streams.tls, ours->ssl, &ours->below, &first,
                                       in_ms(20), ours->why, &ours->stream));
    CHECK(!first && !ours->below && !ours->stream);
    CHECK(plain_pull(&halves.theirs) > 100); /* it was answered */
    halves_fini(&halves);
}

CHECK_MAIN
