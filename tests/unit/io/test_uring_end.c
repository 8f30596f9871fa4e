/* SPDX-License-Identifier: MIT */
/* When the queues are too short: for what is submitted, and for what comes back. */
#include "io/uring_end.h"

#include "base/slice.h"
#include "tests/unit/io/crowd.h"

static const struct loop_options short_queues = {.ops = &uring_ops,
                                                 .sizes = {.submissions = 4, .completions = 8}};

#define SHORT_TEST(test_name, body)                                                                \
    TEST(test_name)                                                                                \
    {                                                                                              \
        if (kernel_offers(&uring_ops))                                                             \
            drive_with(&short_queues, body);                                                       \
    }

static void talk(void *argument)
{
    struct member *self = argument;
    struct weir_slice slices[2] = {SLICE("how do "), SLICE("you do")};
    struct iobuf *buf = NULL;
    CHECK_OK(sock_send(&self->sock, slices, 2, WEIR_NEVER, NULL));
    CHECK_OK(sock_recv(&self->sock, WEIR_NEVER, &buf));
    CHECK_SLICE(iobuf_slice(buf), "fine");
    iobuf_give(&self->sock.loop->bufs, &buf);
    sock_close(&self->sock, false);
}

/* Hundreds of sends, receives and closes are wanted in one turn. */
static void all_talk_at_once(struct drive *drive)
{
    struct crowd crowd;
    struct scope scope;
    char got[64];
    crowd_open(&crowd, drive);
    crowd_write(&crowd, "fine");
    scope_init(&scope);
    for (int i = 0; i < CROWD; i++)
        CHECK_OK(scope_spawn(&scope, "talk", talk, &crowd.members[i]));
    CHECK_OK(scope_join(&scope));
    let_turn(drive, 64); /* for the closes */
    for (int i = 0; i < CROWD; i++) {
        ssize_t count = read(crowd.members[i].other, got, sizeof got);
        CHECK_SLICE(slice_of(got, count > 0 ? (size_t)count : 0), "how do you do");
        CHECK_EQ(0, read(crowd.members[i].other, got, sizeof got));
    }
    CHECK(shortages(drive, SHORT_OF_SUBMISSIONS) > 0);
    crowd_close(&crowd);
}

SHORT_TEST(more_is_submitted_than_the_queue_takes, all_talk_at_once)

/* Dials, watches and their ends, without a turn between. */
static void come_and_go(struct drive *drive)
{
    for (int round = 0; round < 3; round++) {
        struct crowd crowd;
        crowd_open(&crowd, drive);
        crowd_watch(&crowd);
        if (round > 0)
            crowd_write(&crowd, "too late");
        if (round > 1)
            let_turn(drive, 1);
        crowd_close(&crowd);
    }
}

SHORT_TEST(sockets_come_and_go_within_a_turn, come_and_go)

/* What the queue of completions cannot take waits in the kernel, and every receive goes on. */
static void all_hear_at_once(struct drive *drive)
{
    enum { ROUNDS = 10 };
    static const char text[] = "abcdefghij";
    struct crowd crowd;
    crowd_open(&crowd, drive);
    crowd_watch(&crowd);
    let_turn(drive, 64);
    for (unsigned round = 0; round < ROUNDS; round++) {
        crowd_write(&crowd, (char[]){text[round], '\0'});
        if (round % 2 && !crowd_expect(&crowd, (round + 1) * CROWD))
            break;
    }
    crowd_check_heard(&crowd, text);
    CHECK(shortages(drive, SHORT_OF_COMPLETIONS) > 0);
    crowd_close(&crowd);
}

SHORT_TEST(more_comes_back_than_the_queue_takes, all_hear_at_once)

/* Who looks past the queue must not overtake what the kernel keeps beyond it. */
static void look_while_it_overflows(struct drive *drive)
{
    struct crowd crowd;
    crowd_open(&crowd, drive);
    let_turn(drive, 64);
    crowd_write(&crowd, "1");
    let_turn(drive, 1);
    CHECK(shortages(drive, SHORT_OF_COMPLETIONS) > 0);
    crowd_write(&crowd, "2");
    for (int i = 0; i < CROWD; i++)
        while (crowd_look(&crowd, &crowd.members[i], LOOK_SURELY))
            ;
    crowd_watch(&crowd);
    let_turn(drive, 64);
    for (int i = 0; i < CROWD; i++)
        while (crowd_look(&crowd, &crowd.members[i], LOOK_SURELY))
            ;
    crowd_check_heard(&crowd, "12");
    crowd_close(&crowd);
}

/* So that the receives which an overflow has ended can be prepared without a submission. */
TEST(a_look_keeps_the_order_while_the_queue_overflows)
{
    struct loop_options options = {.ops = &uring_ops,
                                   .sizes = {.submissions = 16, .completions = 16}};
    if (kernel_offers(&uring_ops))
        drive_with(&options, look_while_it_overflows);
}

/* Ends come through an overflow too. */
static void note_end(struct sock *sock, void *owner)
{
    struct crowd *crowd = owner;
    struct member *member = container_of(sock, struct member, sock);
    struct iobuf *buf = NULL;
    enum io_got got = sock_look(sock, LOOK_TOLD, &buf);
    CHECK(got == IO_EOF || got == IO_NOTHING);
    if (got != IO_EOF)
        return;
    CHECK_EQ(1, ++member->calls);
    crowd->calls++;
    sock_close(sock, false);
}

static void all_end_at_once(struct drive *drive)
{
    struct crowd crowd;
    struct weir_time deadline = within_s(drive, 10);
    crowd_open(&crowd, drive);
    let_turn(drive, 64);
    for (int i = 0; i < CROWD; i++) {
        sock_watch(&crowd.members[i].sock, note_end, &crowd);
        CHECK_EQ(0, shutdown(crowd.members[i].other, SHUT_WR));
    }
    while (crowd.calls < CROWD && weir_time_before(loop_now(&drive->loop), deadline))
        let_turn(drive, 1);
    CHECK_EQ(CROWD, crowd.calls);
    crowd_close(&crowd);
}

SHORT_TEST(every_end_is_told_when_the_queue_overflows, all_end_at_once)

static void detach_one(void *argument)
{
    struct member *self = argument;
    struct loop *loop = self->sock.loop;
    struct detached detached;
    sock_detach(&self->sock, &detached);
    CHECK_OK(sock_adopt(loop, &self->sock, &detached));
}

/* With cancels that find no room, and what they bring back neither. */
static void all_detach_at_once(struct drive *drive)
{
    struct crowd crowd;
    struct scope scope;
    crowd_open(&crowd, drive);
    let_turn(drive, 64);
    crowd_write(&crowd, "1");
    let_turn(drive, 1);
    crowd_write(&crowd, "2");
    scope_init(&scope);
    for (int i = 0; i < CROWD; i++)
        CHECK_OK(scope_spawn(&scope, "detach", detach_one, &crowd.members[i]));
    crowd_write(&crowd, "3");
    CHECK_OK(scope_join(&scope));
    crowd_write(&crowd, "4");
    for (int i = 0; i < CROWD; i++)
        while (crowd_look(&crowd, &crowd.members[i], LOOK_TOLD))
            ;
    crowd_watch(&crowd);
    crowd_expect(&crowd, 4 * CROWD);
    crowd_check_heard(&crowd, "1234");
    crowd_close(&crowd);
}

SHORT_TEST(all_are_detached_at_once, all_detach_at_once)

static void end_all_detached(struct drive *drive)
{
    struct crowd crowd;
    struct scope scope;
    struct weir_time deadline = within_s(drive, 10);
    crowd_open(&crowd, drive);
    let_turn(drive, 64);
    for (int i = 0; i < CROWD; i++)
        CHECK_EQ(0, shutdown(crowd.members[i].other, SHUT_WR));
    let_turn(drive, 1);
    scope_init(&scope);
    for (int i = 0; i < CROWD; i++)
        CHECK_OK(scope_spawn(&scope, "detach", detach_one, &crowd.members[i]));
    CHECK_OK(scope_join(&scope));
    for (int i = 0; i < CROWD; i++) {
        struct iobuf *buf;
        CHECK_ERR(WEIR_E_EOF, sock_recv(&crowd.members[i].sock, deadline, &buf));
    }
    crowd_close(&crowd);
}

SHORT_TEST(every_end_is_told_after_a_detach, end_all_detached)

CHECK_MAIN
