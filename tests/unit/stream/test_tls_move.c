/* SPDX-License-Identifier: MIT */
/* A TLS stream leaves one worker for another, or the same, in the middle of its session. */
#include "stream/tls.h"

#include "tests/unit/stream/tls_plain.h"

#include <pthread.h>

WEIR_SUSPENDS static void check_good(struct stream *ours, struct plain *theirs)
{
    CHECK_OK(say(ours, "still"));
    plain_hear(theirs, "still");
    plain_say(theirs, "here");
    hear(ours, "here");
}

/* Away and back; false, and it is dropped, when something came. */
WEIR_SUSPENDS static bool move(struct halves *halves, struct stream_parcel *ret_parcel)
{
    struct stream **ours = &halves->ours.stream;
    stream_detach(ours, ret_parcel);
    CHECK(!*ours);
    CHECK_EQ(0, stage.streams.tls.slab.used_count);
    CHECK_EQ(0, stage.streams.sockets.slab.used_count);
    CHECK_EQ(0, stage.loop.bufs.used_count);
    CHECK(ret_parcel->tls);
    if (ret_parcel->socket.received || ret_parcel->socket.end != IO_NOTHING)
        return false;
    return CHECK_OK(streams_adopt(&stage.streams, ret_parcel, ours));
}

/* Of what was received. */
static void check_parcel(struct stream_parcel *parcel, const char *text)
{
    if (!CHECK(parcel->socket.received))
        return;
    CHECK_SLICE(iobuf_slice(parcel->socket.received), text);
    CHECK(!parcel->socket.received->next);
}

STAGE_EACH(a_session_goes_on_elsewhere)
{
    for (unsigned i = 0; i < 4; i++) {
        struct halves halves;
        struct stream_parcel parcel;
        if (halves_open(&halves, i & 1, i & 2 ? TLS1_2_VERSION : TLS1_3_VERSION)) {
            for (int times = 0; times < 3; times++) {
                check_good(halves.ours.stream, &halves.theirs);
                if (!CHECK(move(&halves, &parcel)))
                    break;
                CHECK_SLICE(slice_str(tls_facts_of(halves.ours.stream).version),
                            i & 2 ? "TLSv1.2" : "TLSv1.3");
            }
            check_good(halves.ours.stream, &halves.theirs);
        }
        halves_fini(&halves);
    }
}

static void on_seen(struct stream *stream, void *owner)
{
    (void)stream;
    ++*(unsigned *)owner;
}

/* While it is watched, as an idle connection is: io_uring then has a receive under way. */
STAGE_EACH(a_ticket_under_way_is_nothing_against_it)
{
    for (int new_keys = 0; new_keys < 2; new_keys++) {
        struct halves halves;
        struct stream_parcel parcel;
        unsigned calls = 0;
        if (halves_open(&halves, true, TLS1_3_VERSION)) {
            check_good(halves.ours.stream, &halves.theirs);
            stream_watch(halves.ours.stream, on_seen, &calls);
            stage_turns();
            if (new_keys)
                must(SSL_key_update(halves.theirs.ssl, SSL_KEY_UPDATE_REQUESTED));
            else
                must(SSL_new_session_ticket(halves.theirs.ssl) == 1);
            must(SSL_do_handshake(halves.theirs.ssl) == 1);
            plain_push(&halves.theirs);
            if (CHECK(move(&halves, &parcel))) {
                check_good(halves.ours.stream, &halves.theirs);
                check_good(halves.ours.stream, &halves.theirs);
            }
            CHECK_EQ(new_keys, halves.theirs.new_keys);
            CHECK_EQ(0, calls);
        }
        halves_fini(&halves);
    }
}

/* Bytes that are under way come along, or lie in the socket still. */
STAGE_EACH(bytes_under_way_are_not_lost)
{
    struct halves halves;
    struct stream_parcel parcel;
    unsigned calls = 0;
    if (halves_open(&halves, true, TLS1_3_VERSION)) {
        check_good(halves.ours.stream, &halves.theirs);
        stream_watch(halves.ours.stream, on_seen, &calls);
        stage_turns();
        plain_say(&halves.theirs, "surprise");
        if (move(&halves, &parcel)) {
            hear(halves.ours.stream, "surprise");
        } else {
            check_parcel(&parcel, "surprise");
            streams_drop(&stage.loop, &parcel);
        }
        CHECK_EQ(0, calls);
    }
    halves_fini(&halves);
}

STAGE_EACH(bytes_that_a_watch_has_found_come_along)
{
    struct halves halves;
    struct stream_parcel parcel;
    unsigned calls = 0;
    if (halves_open(&halves, false, TLS1_3_VERSION)) {
        check_good(halves.ours.stream, &halves.theirs);
        stream_watch(halves.ours.stream, on_seen, &calls);
        plain_say(&halves.theirs, "surprise");
        STAGE_UNTIL(calls > 0);
        if (!CHECK(!move(&halves, &parcel)))
            return;
        check_parcel(&parcel, "surprise");
        CHECK_EQ(IO_NOTHING, parcel.socket.end);
        streams_drop(&stage.loop, &parcel);
        CHECK(!parcel.tls);
        CHECK_EQ(SSL_ERROR_SYSCALL, plain_read(&halves.theirs, 0)); /* without a goodbye */
    }
    halves_fini(&halves);
}

/* Its own end, its cut and its break are told as a socket's would be. */
STAGE_EACH(ends_are_told)
{
    for (int way = 0; way < 3; way++) {
        struct halves halves;
        struct stream_parcel parcel;
        unsigned calls = 0;
        if (halves_open(&halves, false, TLS1_3_VERSION)) {
            check_good(halves.ours.stream, &halves.theirs);
            stream_watch(halves.ours.stream, on_seen, &calls);
            if (way == 0) {
                (void)SSL_shutdown(halves.theirs.ssl);
                plain_push(&halves.theirs);
            } else if (way == 1) {
                must(shutdown(halves.theirs.descriptor, SHUT_WR) == 0);
            } else {
                raw_send(halves.theirs.descriptor, "this is no record");
            }
            STAGE_UNTIL(calls > 0);
            if (move(&halves, &parcel)) {
                /* Who adopts it finds the end where it lay. */
                CHECK_ERR(WEIR_E_RESET, hear_end(halves.ours.stream));
                CHECK_EQ(1, way);
            } else {
                CHECK(!parcel.socket.received);
                CHECK_EQ(way == 2 ? IO_RESET : IO_EOF, parcel.socket.end);
                streams_drop(&stage.loop, &parcel);
            }
        }
        halves_fini(&halves);
    }
}

/* --- To another thread ----------------------------------------------------------------------- */

static struct halves travelling;
static struct stream_parcel travels;

WEIR_SUSPENDS static void leave(void)
{
    if (halves_open(&travelling, true, TLS1_3_VERSION)) {
        check_good(travelling.ours.stream, &travelling.theirs);
        stream_detach(&travelling.ours.stream, &travels);
        CHECK(!travels.socket.received);
        must(SSL_new_session_ticket(travelling.theirs.ssl) == 1);
        must(SSL_do_handshake(travelling.theirs.ssl) == 1);
        plain_push(&travelling.theirs);
    }
}

WEIR_SUSPENDS static void arrive(void)
{
    if (CHECK_OK(streams_adopt(&stage.streams, &travels, &travelling.ours.stream))) {
        check_good(travelling.ours.stream, &travelling.theirs);
        CHECK_SLICE(slice_str(tls_facts_of(travelling.ours.stream).version), "TLSv1.3");
    }
    halves_fini(&travelling);
}

static void *arrive_there(void *unused)
{
    stage_play(arrive);
    return unused;
}

static void travel(const struct backend_ops *ops)
{
    pthread_t thread;
    stage_ops = ops;
    stage_play(leave);
    must(pthread_create(&thread, NULL, arrive_there, NULL) == 0);
    must(pthread_join(thread, NULL) == 0);
    stage_ops = &epoll_ops;
}

TEST_EACH_KERNEL(another_thread_takes_it_over, travel)

CHECK_MAIN
