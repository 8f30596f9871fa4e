/* SPDX-License-Identifier: MIT */
/* When more comes at once than there are buffers to receive into. */
#include "io/uring_bufs.h"

#include "tests/unit/io/crowd.h"

enum { READY_MAX = 4 };

static void drive_with_buffers(unsigned first, unsigned max,
                               WEIR_SUSPENDS void (*body)(struct drive *drive))
{
    struct loop_options options = {.ops = &uring_ops,
                                   .sizes = {.buffers = first, .buffers_max = max}};
    if (kernel_offers(&uring_ops))
        drive_with(&options, body);
}

static void all_hear_at_once(struct drive *drive)
{
    struct crowd crowd;
    crowd_open(&crowd, drive);
    crowd_watch(&crowd);
    let_turn(drive, 64);
    CHECK(stat_read(&drive->loop.stats.buffers_ready) <= READY_MAX);
    for (unsigned round = 1; round <= 10; round++) {
        crowd_write(&crowd, "four");
        if (!crowd_expect(&crowd, round * 4 * CROWD))
            break;
        CHECK(stat_read(&drive->loop.stats.buffers_ready) <= READY_MAX);
    }
    crowd_check_heard(&crowd, "fourfourfourfourfourfourfourfourfourfour");
    CHECK(shortages(drive, SHORT_OF_BUFFERS) > 0);
    CHECK_EQ(READY_MAX, stat_read(&drive->loop.stats.buffers_ready)); /* it has grown */
    crowd_close(&crowd);
}

TEST(all_arrives_with_few_buffers)
{
    drive_with_buffers(2, READY_MAX, all_hear_at_once);
}

TEST(more_at_first_than_at_most_is_the_most)
{
    drive_with_buffers(64, READY_MAX, all_hear_at_once);
}

static void hear_with_three(struct drive *drive)
{
    struct crowd crowd;
    crowd_open(&crowd, drive);
    crowd_watch(&crowd);
    let_turn(drive, 64);
    crowd_write(&crowd, "x");
    crowd_expect(&crowd, CROWD);
    CHECK(stat_read(&drive->loop.stats.buffers_ready) <= 3);
    crowd_close(&crowd);
}

TEST(the_most_need_be_no_power_of_two)
{
    drive_with_buffers(1, 3, hear_with_three);
}

static void keep_calm(struct drive *drive)
{
    struct crowd crowd;
    crowd_open(&crowd, drive);
    crowd_watch(&crowd);
    let_turn(drive, 64);
    uint64_t ready = stat_read(&drive->loop.stats.buffers_ready);
    for (unsigned round = 1; round <= 5; round++)
        for (int i = 0; i < CROWD; i++) {
            write_text(crowd.members[i].other, "x");
            let_turn(drive, 1);
        }
    crowd_expect(&crowd, 5 * CROWD);
    CHECK_EQ(0, shortages(drive, SHORT_OF_BUFFERS));
    CHECK_EQ(ready, stat_read(&drive->loop.stats.buffers_ready));
    crowd_close(&crowd);
}

TEST(without_a_rush_nothing_grows)
{
    drive_with_buffers(2, 1024, keep_calm);
}

/* One keeps what he was lent; the others get theirs all the same. */
static void hold_on_to_them(struct drive *drive)
{
    enum { HELD = 40 };
    static const char piece[IOBUF_BYTES];
    struct crowd crowd;
    struct iobuf *held[HELD] = {NULL};
    struct sock greedy;
    int other = attach_one_end(drive, &greedy);
    crowd_open(&crowd, drive);
    crowd_watch(&crowd);
    for (int i = 0; i < HELD; i++) {
        CHECK_EQ(sizeof piece, write_some(other, piece, sizeof piece));
        CHECK_OK(sock_recv(&greedy, within_s(drive, 5), &held[i]));
    }
    CHECK(stat_read(&drive->loop.bufs.used_count) >= HELD);
    for (unsigned round = 1; round <= 3; round++) {
        crowd_write(&crowd, "x");
        crowd_expect(&crowd, round * CROWD);
    }
    for (int i = 0; i < HELD; i++)
        iobuf_give(&drive->loop.bufs, &held[i]);
    crowd_close(&crowd);
    sock_close(&greedy, false);
    close(other);
}

TEST(who_keeps_buffers_starves_nobody)
{
    drive_with_buffers(2, READY_MAX, hold_on_to_them);
}

CHECK_MAIN
