/* SPDX-License-Identifier: MIT */
/* What comes and is not read: how much memory it takes, and what is noticed meanwhile. */
#include "io/sock.h"

#include "tests/unit/io/drive.h"

#include <stdlib.h>

/* Buffers that may lie unread at one sock: what is kept, and what one turn still brings. */
enum { UNREAD_BUFFERS_MAX = 64 };

static char byte_at(size_t at)
{
    return (char)(at * 7 + at / 251);
}

/* Writes the stream on from byte *at until the other side takes no more for some turns. */
WEIR_SUSPENDS static void flood(struct drive *drive, int descriptor, size_t *at)
{
    enum { PIECE = 8192, MUCH = 64 << 20 };
    char piece[PIECE];
    for (int idle = 0; idle < 20 && *at < MUCH; idle++) {
        size_t count;
        do {
            for (size_t i = 0; i < PIECE; i++)
                piece[i] = byte_at(*at + i);
            count = write_some(descriptor, piece, PIECE);
            *at += count;
            if (count > 0)
                idle = 0;
        } while (count > 0 && *at < MUCH);
        let_turn(drive, 1);
    }
    CHECK(*at < MUCH);
}

WEIR_SUSPENDS static void read_all(struct drive *drive, struct sock *sock, size_t len)
{
    size_t at = 0;
    bool same = true;
    struct iobuf *buf;
    while (at < len && CHECK_OK(sock_recv(sock, within_s(drive, 5), &buf))) {
        struct weir_slice got = iobuf_slice(buf);
        for (size_t i = 0; i < got.len; i++)
            same &= got.at[i] == byte_at(at + i);
        at += got.len;
        iobuf_give(&drive->loop.bufs, &buf);
    }
    CHECK(same);
    CHECK_EQ(len, at);
}

struct notice {
    struct drive *drive;
    bool ended;
};

static void notice_end(struct sock *sock, void *owner)
{
    struct notice *notice = owner;
    notice->ended |= sock->ended;
    if (notice->ended)
        co_wake(notice->drive->waiting);
}

static void be_flooded(struct drive *drive)
{
    struct sock sock;
    struct notice notice = {.drive = drive};
    struct iobuf *buf = NULL;
    size_t sent = 0;
    int other = attach_one_end(drive, &sock);
    sock_watch(&sock, notice_end, &notice);
    flood(drive, other, &sent);
    CHECK(stat_read(&drive->loop.bufs.used_count) <= UNREAD_BUFFERS_MAX);
    CHECK(!notice.ended && !sock.ended);
    close(other);
    CHECK(expect_soon(drive, &notice.ended)); /* without reading */
    CHECK(sock.ended);
    CHECK(stat_read(&drive->loop.bufs.used_count) <= UNREAD_BUFFERS_MAX);
    read_all(drive, &sock, sent);
    CHECK_ERR(WEIR_E_EOF, sock_recv(&sock, within_s(drive, 5), &buf));
    sock_close(&sock, false);
}

DRIVE_EACH(a_flood_that_nobody_reads_is_stopped, be_flooded)

/* Reads a part, is flooded again, and so on: stopping and going on loses nothing. */
static void read_in_parts(struct drive *drive)
{
    struct sock sock;
    size_t sent = 0, at = 0;
    bool same = true;
    int other = attach_one_end(drive, &sock);
    for (int round = 0; round < 30; round++) {
        flood(drive, other, &sent);
        for (int i = 0; i < round % 7; i++) {
            struct iobuf *buf;
            if (!CHECK_OK(sock_recv(&sock, within_s(drive, 5), &buf)))
                break;
            struct weir_slice got = iobuf_slice(buf);
            for (size_t j = 0; j < got.len; j++)
                same &= got.at[j] == byte_at(at + j);
            at += got.len;
            iobuf_give(&drive->loop.bufs, &buf);
        }
        CHECK(stat_read(&drive->loop.bufs.used_count) <= UNREAD_BUFFERS_MAX);
    }
    CHECK(same && at > 0);
    sock_close(&sock, true);
    close(other);
}

DRIVE_EACH(reading_in_parts_keeps_the_order, read_in_parts)

/* One byte after the other, each in a turn of its own; as many as the kernel takes, with epoll. */
static void be_trickled(struct drive *drive)
{
    enum { BYTES = 5000 };
    struct sock sock;
    int other = attach_one_end(drive, &sock);
    size_t sent = 0;
    for (size_t count = 1; sent < BYTES && count > 0; sent += count) {
        char byte = byte_at(sent);
        count = write_some(other, &byte, 1);
        let_turn(drive, 1);
    }
    CHECK(sent == BYTES || (sent > 100 && !over_uring(drive)));
    CHECK(stat_read(&drive->loop.bufs.used_count) <= 2);
    read_all(drive, &sock, sent);
    close(other);
    sock_close(&sock, false);
}

DRIVE_EACH(a_trickle_that_nobody_reads_takes_little, be_trickled)

/* The same, at many that take turns: none has the last buffer for itself. */
static void all_be_trickled(struct drive *drive)
{
    enum { SOCKS = 20, BYTES = 200 };
    struct sock *socks = calloc(SOCKS, sizeof *socks);
    int others[SOCKS];
    must(socks);
    for (int i = 0; i < SOCKS; i++)
        others[i] = attach_one_end(drive, &socks[i]);
    for (size_t at = 0; at < BYTES; at++) {
        char byte = byte_at(at);
        for (int i = 0; i < SOCKS; i++)
            CHECK_EQ(1, write_some(others[i], &byte, 1));
        let_turn(drive, 1);
    }
    CHECK(stat_read(&drive->loop.bufs.used_count) <= 2 * SOCKS);
    for (int i = 0; i < SOCKS; i++) {
        read_all(drive, &socks[i], BYTES);
        sock_close(&socks[i], false);
        close(others[i]);
    }
    free(socks);
}

DRIVE_EACH(many_trickles_take_little, all_be_trickled)

/* Ended long ago, and closed with all of it unread. */
static void close_unread(struct drive *drive)
{
    for (int i = 0; i < 8; i++) {
        struct sock sock;
        size_t sent = 0;
        int other = attach_one_end(drive, &sock);
        if (i & 1)
            flood(drive, other, &sent);
        else
            write_text(other, "unread");
        if (i & 2)
            shutdown(other, SHUT_WR);
        let_turn(drive, 3);
        sock_close(&sock, i & 4);
        close(other);
        CHECK_EQ(0, stat_read(&drive->loop.bufs.used_count));
    }
}

DRIVE_EACH(closing_gives_back_what_was_unread, close_unread)

CHECK_MAIN
