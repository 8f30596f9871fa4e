/* SPDX-License-Identifier: MIT */
/* What streams do over every kind of socket stands in tests/sim/contract.h; here is their memory.
 */
#include "stream/socket.h"

#include "base/slice.h"
#include "io/kernel.h"
#include "tests/unit/base/aborts.h"
#include "tests/unit/io/drive.h"

static void attach_and_close(struct drive *drive)
{
    struct socket_streams streams;
    struct stream *stream = NULL;
    struct iobuf *buf = NULL;
    struct weir_slice text = SLICE("a stream");
    char got[20];
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    socket_streams_init(&streams, &drive->loop);
    CHECK_OK(socket_stream_attach(&streams, ends[0], &stream));
    CHECK(stream->loop == &drive->loop);
    CHECK_EQ(1, streams.slab.used_count);
    CHECK_OK(stream_send(stream, &text, 1, WEIR_NEVER, NULL));
    CHECK_EQ(text.len, read(ends[1], got, sizeof got));
    CHECK_EQ(STREAM_QUIET, stream_look(stream, LOOK_WELL, &buf));
    write_text(ends[1], "hello");
    CHECK_EQ(STREAM_BYTES, stream_look(stream, LOOK_WELL, &buf));
    CHECK_SLICE(iobuf_slice(buf), "hello");
    iobuf_give(&drive->loop.bufs, &buf);
    close(ends[1]);
    CHECK_EQ(STREAM_ENDED, stream_look(stream, LOOK_WELL, &buf));
    stream_close(&stream, false);
    CHECK(!stream);
    CHECK_EQ(0, streams.slab.used_count);
    CHECK_EQ(-1, write(ends[0], "x", 1)); /* the descriptor is closed too */
    socket_streams_fini(&streams);
}

TEST(an_attached_descriptor_is_the_stream_s)
{
    drive(attach_and_close);
}

static void fail_to_open(struct drive *drive)
{
    struct socket_streams streams;
    struct stream *stream = NULL;
    struct dial_options options = {0};
    struct addr addr;
    int listener;
    socket_streams_init(&streams, &drive->loop);
    CHECK_OK(addr_parse(SLICE("127.0.0.1:0"), &addr));
    CHECK_OK(kernel_listen(&addr, &(struct listen_options){.backlog = 1}, &listener));
    CHECK_OK(kernel_bound(listener, &addr));
    close(listener);
    CHECK_ERR(WEIR_E_REFUSED,
              socket_stream_dial(&streams, &addr, &options, within_s(drive, 5), &stream));
    CHECK(socket_stream_attach(&streams, listener, &stream) != WEIR_OK);
    CHECK(!stream);
    CHECK_EQ(0, streams.slab.used_count);
    socket_streams_fini(&streams);
}

TEST(what_fails_to_open_leaves_nothing)
{
    drive(fail_to_open);
}

static void forget_a_stream(void)
{
    struct loop loop;
    struct socket_streams streams;
    struct stream *stream;
    int ends[2];
    must(loop_init(&loop, &(struct loop_options){.ops = &epoll_ops}) == WEIR_OK);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    socket_streams_init(&streams, &loop);
    must(socket_stream_attach(&streams, ends[0], &stream) == WEIR_OK);
    socket_streams_fini(&streams);
}

TEST(a_stream_that_was_not_closed_is_found)
{
    CHECK(aborts(forget_a_stream));
}

CHECK_MAIN
