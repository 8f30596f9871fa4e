/* SPDX-License-Identifier: MIT */
/* What only the epoll backend has: flags and edges. */
#include "io/backend.h"

#include "base/slice.h"
#include "tests/unit/io/drive.h"

/* Asks only while something was announced, and a short receive ends that. */
static void follow_the_flags(struct drive *drive)
{
    struct sock sock;
    struct iobuf *buf = NULL;
    struct loop *loop = &drive->loop;
    int other = attach_one_end(drive, &sock);
    CHECK(!sock.readable && sock.writable); /* nothing is announced; sending may be tried */
    CHECK_EQ(IO_NOTHING, sock_look(&sock, LOOK_TOLD, &buf));
    write_text(other, "one");
    CHECK_EQ(IO_NOTHING, sock_look(&sock, LOOK_TOLD, &buf)); /* not announced yet */
    CHECK_EQ(IO_BYTES, sock_look(&sock, LOOK_WELL, &buf));   /* but there */
    CHECK_SLICE(iobuf_slice(buf), "one");
    iobuf_give(&loop->bufs, &buf);
    CHECK_ERR(WEIR_E_TIMEOUT, sock_recv(&sock, loop_now(loop), &buf));
    write_text(other, "two");
    CHECK_OK(sock_recv(&sock, within_s(drive, 5), &buf));
    CHECK_SLICE(iobuf_slice(buf), "two");
    CHECK(!sock.readable);
    iobuf_give(&loop->bufs, &buf);

    /* An end comes with no edge after it, so it keeps the flag up behind the bytes before it. */
    write_text(other, "three");
    close(other);
    CHECK_OK(sock_recv(&sock, within_s(drive, 5), &buf));
    CHECK_SLICE(iobuf_slice(buf), "three");
    iobuf_give(&loop->bufs, &buf);
    CHECK_ERR(WEIR_E_EOF, sock_recv(&sock, within_s(drive, 5), &buf));
    CHECK(sock.ended && sock.readable);
    sock_close(&sock, false);
}

TEST(a_receive_follows_the_announcements)
{
    drive(follow_the_flags);
}

/* A child has copies of all descriptors until it runs its program. */
static void close_what_a_child_has_too(struct drive *drive)
{
    struct sock sock;
    int other = attach_one_end(drive, &sock);
    int childs = dup(sock.descriptor);
    sock_close(&sock, false);
    write_text(other, "nobody gets it");
    let_turn(drive, 2);
    CHECK(!sock.readable);
    close(childs);
    close(other);
}

TEST(nothing_is_told_to_a_sock_that_is_closed)
{
    drive(close_what_a_child_has_too);
}

static void attach_nonsense(struct drive *drive)
{
    struct sock sock;
    int ends[2];
    must(pipe(ends) == 0);
    close(ends[1]);
    close(ends[0]);
    CHECK(sock_attach(&drive->loop, &sock, ends[0]) != WEIR_OK);
    sock_close(&sock, false); /* harmless */
}

TEST(attaching_fails_where_the_kernel_refuses)
{
    drive(attach_nonsense);
}

CHECK_MAIN
