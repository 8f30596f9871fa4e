/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_HTTP_STAGE_H
#define TESTS_UNIT_HTTP_STAGE_H

/*
 * A loop for one test, over epoll unless STAGE_EACH says otherwise, and a way to wait in it that
 * ends: STAGE_TEST's body runs in a coroutine, a plain TEST between stage_open() and stage_close()
 * turns the loop itself, and stage_breathe() does for both. When the stage closes nothing may be
 * left open: the loop checks it.
 */

#include "base/check.h"
#include "base/slice.h"
#include "co/wait.h"
#include "stream/pair.h"
#include "stream/streams.h"
#include "tests/check.h"
#include "tests/unit/io/kernels.h"

enum { STAGE_PATIENCE_MS = 10000 };

struct stage {
    struct loop loop;
    struct streams streams;
    WEIR_SUSPENDS void (*play)(void);
    bool over;
    struct weir_time patient_until;
};

static struct stage stage;
static const struct backend_ops *stage_ops = &epoll_ops;

static inline void stage_open(void)
{
    struct loop_options options = {.ops = stage_ops};
    /* A check that aborts must not take the words before it along. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    must(loop_init(&stage.loop, &options) == WEIR_OK);
    streams_init(&stage.streams, &stage.loop);
    stage.over = false;
    stage.patient_until = loop_deadline(&stage.loop, weir_span_ms(STAGE_PATIENCE_MS));
}

static inline void stage_close(void)
{
    streams_fini(&stage.streams);
    loop_fini(&stage.loop);
}

/* Lets the world go on for a moment; false, and a failed check, when the test takes too long. */
WEIR_SUSPENDS static inline bool stage_breathe(void)
{
    if (co_self())
        (void)!co_sleep(weir_span_ms(1));
    else
        loop_turn(&stage.loop, loop_deadline(&stage.loop, weir_span_ms(1)));
    return CHECK(weir_time_before(loop_now(&stage.loop), stage.patient_until));
}

/* Waits until `condition` holds; gives whether it does. */
#define STAGE_UNTIL(condition)                                                                     \
    ({                                                                                             \
        while (!(condition) && stage_breathe())                                                    \
            ;                                                                                      \
        CHECK(condition);                                                                          \
    })

/* One whole turn of the loop and more, in which what has come by now is noticed. */
WEIR_SUSPENDS static inline void stage_turns(void)
{
    uint64_t turn = stage.loop.turn;
    while (stage.loop.turn < turn + 3 && stage_breathe())
        ;
}

WEIR_SUSPENDS static inline void stage_main(void *unused)
{
    (void)unused;
    stage.play();
    stage.over = true;
    stage.loop.ops->interrupt(stage.loop.backend);
}

/* Runs `play` in a coroutine to its end, for which one that has run out of patience has time left.
 */
static inline void stage_play(WEIR_SUSPENDS void (*play)(void))
{
    stage_open();
    stage.play = play;
    CHECK_OK(co_spawn(&stage.loop.sched, NULL, "test", stage_main, NULL, NULL));
    struct weir_time limit = loop_deadline(&stage.loop, weir_span_ms(2 * STAGE_PATIENCE_MS));
    while (!stage.over && weir_time_before(loop_now(&stage.loop), limit))
        loop_turn(&stage.loop, limit);
    must(stage.over);
    stage_close();
}

#define STAGE_TEST(test_name)                                                                      \
    WEIR_SUSPENDS static void play_##test_name(void);                                              \
    TEST(test_name)                                                                                \
    {                                                                                              \
        stage_play(play_##test_name);                                                              \
    }                                                                                              \
    WEIR_SUSPENDS static void play_##test_name(void)

/* The same over each backend of a kernel. */
#define STAGE_EACH(test_name)                                                                      \
    WEIR_SUSPENDS static void play_##test_name(void);                                              \
    static void over_##test_name(const struct backend_ops *ops)                                    \
    {                                                                                              \
        stage_ops = ops;                                                                           \
        stage_play(play_##test_name);                                                              \
        stage_ops = &epoll_ops;                                                                    \
    }                                                                                              \
    TEST_EACH_KERNEL(test_name, over_##test_name)                                                  \
    WEIR_SUSPENDS static void play_##test_name(void)

static inline struct weir_time in_ms(int64_t ms)
{
    return loop_deadline(&stage.loop, weir_span_ms(ms));
}

#endif
