/* SPDX-License-Identifier: MIT */
#include "io/poller.h"

#include "tests/unit/io/drive.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

/* A poller on one end of a pair; the test writes to the other and reads past it. */
struct watched {
    struct poller poller;
    struct drive *drive;
    int other;
    unsigned calls, readable, writable;
    bool happened, read_all, stop;
    struct weir_time told;
};

static void read_all(int descriptor)
{
    char bytes[256];
    while (read(descriptor, bytes, sizeof bytes) > 0)
        ;
}

static void note(struct poller *poller, bool readable, bool writable)
{
    struct watched *watched = container_of(poller, struct watched, poller);
    CHECK(loop_here() == poller->loop && !co_self());
    watched->calls++;
    watched->told = loop_now(poller->loop);
    watched->readable += readable;
    watched->writable += writable;
    watched->happened = true;
    if (watched->read_all)
        read_all(poller->descriptor);
    if (watched->stop)
        poller_stop(poller);
    co_wake(watched->drive->waiting);
}

static void open_pair(int ends[2])
{
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
}

static void watch_one(struct watched *watched, struct drive *drive, bool want_read, bool want_write)
{
    int ends[2];
    open_pair(ends);
    *watched = (struct watched){.drive = drive, .other = ends[1]};
    CHECK_OK(poller_start(&drive->loop, &watched->poller, ends[0], want_read, want_write, note));
}

static void end_one(struct watched *watched)
{
    poller_stop(&watched->poller);
    close(watched->poller.descriptor);
    close(watched->other);
}

WEIR_SUSPENDS static bool expect_call(struct watched *watched)
{
    watched->happened = false;
    return CHECK(expect_soon(watched->drive, &watched->happened));
}

/* Turns in which something may come of what was done before. */
WEIR_SUSPENDS static void settle(struct drive *drive)
{
    let_turn(drive, 5);
}

static void tell_of_bytes(struct drive *drive)
{
    struct watched watched;
    watch_one(&watched, drive, true, false);
    watched.read_all = true;
    settle(drive);
    CHECK_EQ(0, watched.calls);
    for (unsigned i = 1; i <= 3; i++) {
        write_text(watched.other, "something");
        expect_call(&watched);
        settle(drive);
        CHECK_EQ(i, watched.calls);
        CHECK_EQ(i, watched.readable);
    }
    CHECK_EQ(0, watched.writable);
    end_one(&watched);
}

DRIVE_EACH(bytes_are_told, tell_of_bytes)

static void *write_later(void *argument)
{
    poll(NULL, 0, 50);
    write_text(*(int *)argument, "something");
    return NULL;
}

/* The loop waits for long; what comes then has not come when the waiting began. */
static void tell_in_time(struct drive *drive)
{
    struct watched watched;
    pthread_t writer;
    watch_one(&watched, drive, true, false);
    settle(drive);
    struct weir_time began = loop_now(&drive->loop);
    must(pthread_create(&writer, NULL, write_later, &watched.other) == 0);
    expect_call(&watched);
    CHECK(weir_time_between(began, watched.told).ns >= weir_span_ms(45).ns);
    CHECK_EQ(0, pthread_join(writer, NULL));
    end_one(&watched);
}

DRIVE_EACH(what_is_told_is_told_at_its_time, tell_in_time)

static void tell_the_level(struct drive *drive)
{
    struct watched watched;
    watch_one(&watched, drive, true, false);
    write_text(watched.other, "something");
    for (int i = 0; i < 10; i++)
        expect_call(&watched);
    read_all(watched.poller.descriptor);
    settle(drive);
    unsigned calls = watched.calls;
    settle(drive);
    CHECK_EQ(calls, watched.calls);
    end_one(&watched);
}

DRIVE_EACH(it_is_told_again_while_nobody_reads, tell_the_level)

static void tell_what_was_there(struct drive *drive)
{
    struct watched watched;
    watch_one(&watched, drive, false, false);
    write_text(watched.other, "something");
    settle(drive);
    CHECK_EQ(0, watched.calls);
    CHECK_OK(poller_want(&watched.poller, true, false));
    expect_call(&watched);
    end_one(&watched);
}

DRIVE_EACH(what_was_there_before_counts, tell_what_was_there)

static void tell_of_room(struct drive *drive)
{
    static const char many[4096];
    struct watched watched;
    watch_one(&watched, drive, false, true);
    expect_call(&watched);
    CHECK(watched.writable > 0 && watched.readable == 0);
    while (write_some(watched.poller.descriptor, many, sizeof many) > 0)
        ;
    settle(drive);
    unsigned calls = watched.calls;
    settle(drive);
    CHECK_EQ(calls, watched.calls);
    read_all(watched.other);
    expect_call(&watched);
    end_one(&watched);
}

DRIVE_EACH(room_to_write_is_told, tell_of_room)

static void change_wants(struct drive *drive)
{
    struct watched watched;
    watch_one(&watched, drive, true, false);
    settle(drive);
    CHECK_EQ(0, watched.calls);
    CHECK_OK(poller_want(&watched.poller, true, true));
    expect_call(&watched);
    CHECK(watched.writable > 0);
    write_text(watched.other, "something");
    while (watched.readable == 0 && expect_call(&watched))
        ;
    CHECK_OK(poller_want(&watched.poller, true, false));
    unsigned writable = watched.writable;
    expect_call(&watched);
    CHECK_EQ(writable, watched.writable);
    CHECK_OK(poller_want(&watched.poller, false, false));
    unsigned calls = watched.calls;
    settle(drive);
    CHECK_EQ(calls, watched.calls);
    CHECK_OK(poller_want(&watched.poller, false, true));
    CHECK_OK(poller_want(&watched.poller, true, false));
    expect_call(&watched);
    CHECK_EQ(writable, watched.writable);
    end_one(&watched);
}

DRIVE_EACH(what_is_wanted_may_change, change_wants)

static void tell_of_ends(struct drive *drive)
{
    struct watched watched;
    watch_one(&watched, drive, true, false);
    settle(drive);
    CHECK_EQ(0, shutdown(watched.other, SHUT_RDWR));
    expect_call(&watched);
    CHECK(watched.readable > 0);
    CHECK_OK(poller_want(&watched.poller, false, false));
    unsigned calls = watched.calls;
    settle(drive);
    CHECK_EQ(calls, watched.calls); /* the end is not told to who rests */
    end_one(&watched);
}

DRIVE_EACH(an_end_is_told, tell_of_ends)

static void watch_a_pipe(struct drive *drive)
{
    struct watched watched = {.drive = drive};
    int ends[2];
    must(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    CHECK_OK(poller_start(&drive->loop, &watched.poller, ends[0], true, false, note));
    watched.read_all = true;
    write_text(ends[1], "something");
    expect_call(&watched);
    CHECK_EQ(1, watched.calls);
    watched.stop = true;
    close(ends[1]);
    expect_call(&watched);
    close(ends[0]);
}

DRIVE_EACH(a_pipe_and_its_end_are_told, watch_a_pipe)

static void stop_inside(struct drive *drive)
{
    struct watched watched;
    watch_one(&watched, drive, true, true);
    watched.stop = true;
    write_text(watched.other, "something");
    expect_call(&watched);
    settle(drive);
    CHECK_EQ(1, watched.calls);
    CHECK(watched.readable <= 1);
    end_one(&watched);
}

DRIVE_EACH(it_may_be_stopped_when_it_is_called, stop_inside)

/* Each stops the other, so that of two that are ready in a turn one is called. */
struct rival {
    struct poller poller;
    struct rival *other, **winner;
};

static void stop_both(struct poller *poller, bool readable, bool writable)
{
    struct rival *rival = container_of(poller, struct rival, poller);
    CHECK(readable && !writable && !*rival->winner);
    *rival->winner = rival;
    poller_stop(&rival->other->poller);
    close(rival->other->poller.descriptor);
    free(rival->other);
    poller_stop(poller);
    close(poller->descriptor);
}

static void stop_each_other(struct drive *drive)
{
    struct rival *rivals[2], *winner = NULL;
    int others[2];
    for (int i = 0; i < 2; i++) {
        int ends[2];
        open_pair(ends);
        others[i] = ends[1];
        rivals[i] = calloc(1, sizeof *rivals[i]);
        must(rivals[i]);
        rivals[i]->winner = &winner;
        CHECK_OK(poller_start(&drive->loop, &rivals[i]->poller, ends[0], true, false, stop_both));
    }
    rivals[0]->other = rivals[1];
    rivals[1]->other = rivals[0];
    settle(drive);
    write_text(others[0], "one");
    write_text(others[1], "two");
    settle(drive);
    CHECK(winner != NULL);
    free(winner);
    close(others[0]);
    close(others[1]);
}

DRIVE_EACH(the_first_may_stop_the_second, stop_each_other)

/* Started, changed and stopped within a turn, with descriptors whose numbers come again. */
static void come_and_go(struct drive *drive)
{
    for (int i = 0; i < 100; i++) {
        struct watched *watched = calloc(1, sizeof *watched);
        must(watched);
        watch_one(watched, drive, i & 1, i & 2);
        if (i & 4)
            write_text(watched->other, "something");
        if (i & 8)
            settle(drive);
        if (i & 16)
            CHECK_OK(poller_want(&watched->poller, i & 2, i & 1));
        if (i & 32)
            CHECK_OK(co_yield ());
        end_one(watched);
        free(watched); /* whoever still used it would be seen under a sanitizer */
    }
    settle(drive);
}

DRIVE_EACH(pollers_come_and_go, come_and_go)

static void use_the_memory_again(struct drive *drive)
{
    struct watched watched;
    for (int i = 0; i < 10; i++) {
        watch_one(&watched, drive, true, false);
        if (i % 2)
            settle(drive);
        write_text(watched.other, "for the one before");
        end_one(&watched);
        watch_one(&watched, drive, true, false);
        settle(drive);
        CHECK_EQ(0, watched.calls);
        write_text(watched.other, "something");
        expect_call(&watched);
        end_one(&watched);
    }
}

DRIVE_EACH(a_new_poller_hears_nothing_of_the_old, use_the_memory_again)

static void stop_twice(struct drive *drive)
{
    struct watched watched;
    watch_one(&watched, drive, true, false);
    poller_stop(&watched.poller);
    poller_stop(&watched.poller);
    settle(drive);
    end_one(&watched);
}

DRIVE_EACH(stopping_twice_is_harmless, stop_twice)

/* More is armed, changed and given up in a turn than the queue of submissions takes. */
static void crowd_the_queue(struct drive *drive)
{
    enum { CROWD = 200 };
    struct watched *crowd = calloc(CROWD, sizeof *crowd);
    must(crowd);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CROWD; i++)
            watch_one(&crowd[i], drive, true, false);
        for (int i = 0; i < CROWD; i++)
            CHECK_OK(poller_want(&crowd[i].poller, true, i % 2));
        if (round > 0)
            let_turn(drive, 1);
        for (int i = 0; i < CROWD; i++)
            CHECK_OK(poller_want(&crowd[i].poller, i % 3, false));
        for (int i = 0; i < CROWD; i++)
            write_text(crowd[i].other, "something");
        for (int i = 0; i < CROWD; i++)
            while (i % 3 && crowd[i].readable == 0 && expect_call(&crowd[i]))
                ;
        for (int i = 0; i < CROWD; i++) {
            CHECK_EQ(i % 3 != 0, crowd[i].readable > 0);
            end_one(&crowd[i]);
        }
    }
    CHECK(stat_read(&drive->loop.stats.shortages[SHORT_OF_SUBMISSIONS]) > 0);
    free(crowd);
}

TEST(more_pollers_than_the_queue_takes)
{
    static const struct loop_options short_queues = {.ops = &uring_ops,
                                                     .sizes = {.submissions = 4, .completions = 8}};
    if (kernel_offers(&uring_ops))
        drive_with(&short_queues, crowd_the_queue);
}

CHECK_MAIN
