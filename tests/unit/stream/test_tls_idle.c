/* SPDX-License-Identifier: MIT */
/* A TLS stream that nobody reads from: what is worth a call, and what it costs to wait. */
#include "stream/tls.h"

#include "tests/unit/stream/tls_plain.h"

struct seen {
    unsigned calls;
    bool closes, reads;
};

static void on_seen(struct stream *stream, void *owner)
{
    struct seen *seen = owner;
    struct iobuf *buf = NULL;
    CHECK(!co_self());
    seen->calls++;
    if (seen->reads && CHECK_EQ(STREAM_BYTES, stream_look(stream, LOOK_TOLD, &buf)))
        iobuf_give(&stage.loop.bufs, &buf);
    if (seen->closes)
        stream_close(&stream, false);
}

/* Open, and behind all that belongs to the handshake. */
WEIR_SUSPENDS static bool open_quiet(struct halves *halves, bool they_serve, int version)
{
    if (!halves_open(halves, they_serve, version))
        return false;
    CHECK_OK(say(halves->ours.stream, "hello"));
    plain_hear(&halves->theirs, "hello");
    plain_say(&halves->theirs, "hello");
    hear(halves->ours.stream, "hello");
    return true;
}

WEIR_SUSPENDS static void check_good(struct halves *halves)
{
    CHECK_OK(say(halves->ours.stream, "still"));
    plain_hear(&halves->theirs, "still");
    plain_say(&halves->theirs, "here");
    hear(halves->ours.stream, "here");
}

STAGE_EACH(tickets_are_no_bytes_to_anyone)
{
    struct halves halves;
    struct seen seen = {0};
    struct iobuf *buf = NULL;
    if (open_quiet(&halves, true, TLS1_3_VERSION)) {
        struct stream *ours = halves.ours.stream;
        stream_watch(ours, on_seen, &seen);
        CHECK_EQ(0, stage.loop.bufs.used_count);
        for (int i = 0; i < 3; i++) {
            must(SSL_new_session_ticket(halves.theirs.ssl) == 1);
            must(SSL_do_handshake(halves.theirs.ssl) == 1);
            CHECK(BIO_pending(halves.theirs.out) > 50);
            plain_push(&halves.theirs);
            if (i < 2) { /* found by the watch; the last one by the look */
                stage_turns();
                CHECK_EQ(0, seen.calls);
                CHECK_EQ(0, stage.loop.bufs.used_count);
            }
        }
        CHECK_EQ(STREAM_QUIET, stream_look(ours, LOOK_WELL, &buf));
        CHECK(!buf);
        stage_turns();
        CHECK_EQ(0, seen.calls);
        CHECK_EQ(0, stage.loop.bufs.used_count);
        plain_say(&halves.theirs, "bytes");
        STAGE_UNTIL(seen.calls > 0);
        hear(ours, "bytes");
        check_good(&halves);
    }
    halves_fini(&halves);
}

STAGE_EACH(new_keys_are_no_bytes_to_anyone)
{
    for (int request = 0; request < 2; request++) {
        for (int they_serve = 0; they_serve < 2; they_serve++) {
            struct halves halves;
            struct seen seen = {0};
            if (open_quiet(&halves, they_serve, TLS1_3_VERSION)) {
                stream_watch(halves.ours.stream, on_seen, &seen);
                must(SSL_key_update(halves.theirs.ssl, request ? SSL_KEY_UPDATE_REQUESTED
                                                               : SSL_KEY_UPDATE_NOT_REQUESTED));
                must(SSL_do_handshake(halves.theirs.ssl) == 1);
                CHECK(BIO_pending(halves.theirs.out) > 0);
                plain_push(&halves.theirs);
                stage_turns();
                CHECK_EQ(0, seen.calls);
                CHECK_EQ(0, stage.loop.bufs.used_count);
                check_good(&halves);
                CHECK_EQ(request, halves.theirs.new_keys); /* answered before the next bytes */
                CHECK(seen.calls <= 1);
            }
            halves_fini(&halves);
        }
    }
}

STAGE_EACH(bytes_that_a_watch_found_come_once)
{
    struct halves halves;
    struct seen seen = {0};
    struct iobuf *buf = NULL;
    for (int by_look = 0; by_look < 2; by_look++) {
        seen.calls = 0;
        if (open_quiet(&halves, by_look, TLS1_3_VERSION)) {
            struct stream *ours = halves.ours.stream;
            stream_watch(ours, on_seen, &seen);
            plain_say(&halves.theirs, "found");
            STAGE_UNTIL(seen.calls > 0);
            if (by_look) {
                CHECK_EQ(STREAM_BYTES, stream_look(ours, LOOK_TOLD, &buf));
                CHECK_SLICE(iobuf_slice(buf), "found");
                iobuf_give(&stage.loop.bufs, &buf);
            } else {
                hear(ours, "found");
            }
            CHECK_EQ(STREAM_QUIET, stream_look(ours, LOOK_WELL, &buf));
            CHECK_EQ(0, stage.loop.bufs.used_count);
            /* And what comes after that is found again, if nobody takes it at once: twice. */
            unsigned calls = seen.calls;
            plain_say(&halves.theirs, "one ");
            STAGE_UNTIL(seen.calls > calls);
            plain_say(&halves.theirs, "two");
            stage_turns();
            hear(ours, "one two");
        }
        halves_fini(&halves);
    }
}

STAGE_EACH(a_watch_is_called_for_every_kind_of_end)
{
    static const enum stream_state want[] = {STREAM_ENDED, STREAM_ENDED, STREAM_BROKEN};
    for (int way = 0; way < 3; way++) {
        struct halves halves;
        struct seen seen = {0};
        struct iobuf *buf = NULL;
        if (open_quiet(&halves, way & 1, TLS1_3_VERSION)) {
            stream_watch(halves.ours.stream, on_seen, &seen);
            if (way == 0) {
                (void)SSL_shutdown(halves.theirs.ssl);
                plain_push(&halves.theirs);
            } else if (way == 1) {
                must(shutdown(halves.theirs.descriptor, SHUT_WR) == 0);
            } else {
                raw_send(halves.theirs.descriptor, "no record at all");
            }
            STAGE_UNTIL(seen.calls > 0);
            CHECK_EQ(want[way], stream_look(halves.ours.stream, LOOK_TOLD, &buf));
            CHECK(stream_peer_ended(halves.ours.stream));
        }
        halves_fini(&halves);
    }
}

STAGE_EACH(no_watch_is_called_when_there_is_none_any_more)
{
    struct halves halves;
    struct seen seen = {0};
    if (open_quiet(&halves, true, TLS1_3_VERSION)) {
        stream_watch(halves.ours.stream, on_seen, &seen);
        stream_watch(halves.ours.stream, NULL, NULL);
        plain_say(&halves.theirs, "unseen");
        stage_turns();
        CHECK_EQ(0, seen.calls);
        hear(halves.ours.stream, "unseen");
    }
    halves_fini(&halves);
}

STAGE_EACH(a_watch_may_read_and_close)
{
    struct halves halves;
    struct seen seen = {.closes = true, .reads = true};
    if (open_quiet(&halves, false, TLS1_3_VERSION)) {
        stream_watch(halves.ours.stream, on_seen, &seen);
        plain_say(&halves.theirs, "the end");
        STAGE_UNTIL(seen.calls > 0);
        CHECK_EQ(SSL_ERROR_ZERO_RETURN, plain_read(&halves.theirs, 0));
        halves.ours.stream = NULL;
        CHECK_EQ(0, stage.streams.tls.slab.used_count);
    }
    halves_fini(&halves);
}

/* More than one buffer of plain bytes: the look gives them one after another. */
STAGE_EACH(a_look_goes_on_where_the_last_one_ended)
{
    static char text[100001];
    struct halves halves;
    struct iobuf *buf = NULL;
    size_t got = 0;
    memset(text, 'y', sizeof text - 1);
    if (open_quiet(&halves, false, TLS1_3_VERSION)) {
        plain_say(&halves.theirs, text);
        while (got < sizeof text - 1 && stage_breathe())
            while (stream_look(halves.ours.stream, LOOK_WELL, &buf) == STREAM_BYTES) {
                CHECK(iobuf_slice(buf).len > 0);
                got += iobuf_slice(buf).len;
                iobuf_give(&stage.loop.bufs, &buf);
            }
        CHECK_EQ(sizeof text - 1, got);
    }
    halves_fini(&halves);
}

STAGE_EACH(a_few_words_go_at_once)
{
    static char text[20001];
    struct halves halves;
    memset(text, 'z', sizeof text - 1);
    if (open_quiet(&halves, false, TLS1_3_VERSION)) {
        struct stream *ours = halves.ours.stream;
        CHECK_EQ(5, stream_send_now(ours, SLICE("words")));
        plain_hear(&halves.theirs, "words");
        CHECK_EQ(16384, stream_send_now(ours, slice_str(text))); /* a record, and not more */
        CHECK_EQ(SSL_ERROR_NONE, plain_read(&halves.theirs, 16384));
        CHECK_EQ(0, stage.loop.bufs.used_count);
        check_good(&halves);
    }
    halves_fini(&halves);
}

struct flood {
    struct stream *stream;
    enum weir_err err;
};

static void flood_run(void *argument)
{
    static char text[1 << 20];
    struct flood *self = argument;
    struct weir_slice all = slice_of(text, sizeof text);
    self->err = stream_send(self->stream, &all, 1, in_ms(8000), NULL);
}

/* Between the records of somebody's send no others may go. */
STAGE_TEST(no_words_go_while_somebody_sends)
{
    struct halves halves;
    struct scope scope;
    if (open_quiet(&halves, false, TLS1_3_VERSION)) {
        struct flood flood = {.stream = halves.ours.stream};
        scope_init(&scope);
        CHECK_OK(scope_spawn(&scope, "flood", flood_run, &flood));
        stage_turns();
        CHECK(!scope_is_empty(&scope));
        CHECK_EQ(0, stream_send_now(halves.ours.stream, SLICE("words")));
        /* New keys are asked for meanwhile: the answer goes between two records. */
        must(SSL_key_update(halves.theirs.ssl, SSL_KEY_UPDATE_REQUESTED));
        must(SSL_do_handshake(halves.theirs.ssl) == 1);
        plain_push(&halves.theirs);
        struct iobuf *buf = NULL;
        stage_turns();
        CHECK_EQ(STREAM_QUIET, stream_look(halves.ours.stream, LOOK_WELL, &buf));
        for (unsigned i = 0; i < 32; i++)
            if (!CHECK_EQ(SSL_ERROR_NONE, plain_read(&halves.theirs, 32768)))
                break;
        CHECK_OK(scope_join(&scope));
        CHECK_OK(flood.err);
        check_good(&halves);
    }
    halves_fini(&halves);
}

CHECK_MAIN
