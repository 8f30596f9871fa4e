/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_IO_CROWD_H
#define TESTS_UNIT_IO_CROWD_H

/* Many connections of one loop, whose other ends are bare descriptors. */

#include "tests/unit/io/drive.h"

#include <stdlib.h>

enum { CROWD = 300, HEARD_MAX = 64 };

struct member {
    struct sock sock;
    int other;
    unsigned calls;        /* of its watch */
    char heard[HEARD_MAX]; /* what came, one after the other */
    size_t heard_bytes;
};

struct crowd {
    struct drive *drive;
    struct member *members;
    size_t heard_bytes; /* of all of them */
    unsigned calls;
};

static inline void crowd_open(struct crowd *crowd, struct drive *drive)
{
    *crowd = (struct crowd){.drive = drive, .members = calloc(CROWD, sizeof(struct member))};
    must(crowd->members);
    for (int i = 0; i < CROWD; i++)
        crowd->members[i].other = attach_one_end(drive, &crowd->members[i].sock);
}

static inline void crowd_close(struct crowd *crowd)
{
    for (int i = 0; i < CROWD; i++) {
        sock_close(&crowd->members[i].sock, i % 2);
        close(crowd->members[i].other);
    }
    free(crowd->members);
}

static inline void crowd_write(struct crowd *crowd, const char *text)
{
    for (int i = 0; i < CROWD; i++)
        write_text(crowd->members[i].other, text);
}

/* Notes what a look brings; false when there is nothing more. */
static inline bool crowd_look(struct crowd *crowd, struct member *member, enum look look)
{
    struct iobuf *buf = NULL;
    if (sock_look(&member->sock, look, &buf) != IO_BYTES)
        return false;
    struct weir_slice got = iobuf_slice(buf);
    if (CHECK(got.len <= HEARD_MAX - member->heard_bytes))
        memcpy(member->heard + member->heard_bytes, got.at, got.len);
    member->heard_bytes += got.len;
    crowd->heard_bytes += got.len;
    iobuf_give(&crowd->drive->loop.bufs, &buf);
    return true;
}

/* A watch that reads all there is. */
static inline void crowd_listen(struct sock *sock, void *owner)
{
    struct crowd *crowd = owner;
    struct member *member = container_of(sock, struct member, sock);
    member->calls++;
    crowd->calls++;
    while (crowd_look(crowd, member, LOOK_TOLD))
        ;
}

static inline void crowd_watch(struct crowd *crowd)
{
    for (int i = 0; i < CROWD; i++)
        sock_watch(&crowd->members[i].sock, crowd_listen, crowd);
}

/* Everyone has heard exactly this. */
static inline void crowd_check_heard(const struct crowd *crowd, const char *text)
{
    for (int i = 0; i < CROWD; i++)
        CHECK_SLICE(((struct weir_slice){crowd->members[i].heard, crowd->members[i].heard_bytes}),
                    text);
}

/* Turns until so many bytes were heard. */
WEIR_SUSPENDS static inline bool crowd_expect(struct crowd *crowd, size_t bytes)
{
    struct weir_time deadline = within_s(crowd->drive, 10);
    while (crowd->heard_bytes < bytes && weir_time_before(loop_now(&crowd->drive->loop), deadline))
        let_turn(crowd->drive, 1);
    return CHECK_EQ(bytes, crowd->heard_bytes);
}

static inline uint64_t shortages(const struct drive *drive, enum io_shortage kind)
{
    return stat_read(&drive->loop.stats.shortages[kind]);
}

#endif
