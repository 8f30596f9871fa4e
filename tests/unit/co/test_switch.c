/* SPDX-License-Identifier: MIT */
#include "co/switch.h"

#include "co/san.h"
#include "co/stack.h"
#include "tests/check.h"

#include <fenv.h>
#include <stdalign.h>
#include <stdint.h>

/* Two contexts: this program's own, and one on a stack that a test made. */
struct pair {
    struct stacks stacks;
    void *base;
    switch_point here, there;
    void *here_fiber, *there_fiber, *here_fake, *there_fake;
    const void *here_base;
    size_t here_bytes;
    int64_t sum;
};

static struct pair pair;

static void jump_there(void)
{
    const void *base;
    size_t bytes;
    san_leave_stack(&pair.here_fake, pair.base, STACK_BYTES);
    san_leave_fiber(pair.there_fiber);
    switch_jump(&pair.here, pair.there);
    san_arrive_stack(pair.here_fake, &base, &bytes);
}

static void jump_here(void)
{
    san_leave_stack(&pair.there_fake, pair.here_base, pair.here_bytes);
    san_leave_fiber(pair.here_fiber);
    switch_jump(&pair.there, pair.here);
    san_arrive_stack(pair.there_fake, &pair.here_base, &pair.here_bytes);
}

static void arrive_first(void)
{
    san_arrive_stack(NULL, &pair.here_base, &pair.here_bytes);
}

static void pair_begin(void (*entry)(void *), void *argument)
{
    stacks_init(&pair.stacks, 1);
    CHECK_OK(stack_get(&pair.stacks, &pair.base));
    pair.here_fiber = san_fiber_here();
    pair.there_fiber = san_fiber_new("there");
    pair.there_fake = NULL;
    pair.sum = 0;
    pair.there = switch_make(pair.base, STACK_BYTES, entry, argument);
}

static void pair_end(void)
{
    san_fiber_free(pair.there_fiber);
    stack_release(&pair.stacks, pair.base);
    stacks_fini(&pair.stacks);
}

static void add_for_ever(void *argument)
{
    arrive_first();
    for (int64_t i = 0;; i++) {
        pair.sum += i * *(int *)argument;
        jump_here();
    }
}

TEST(jumps_to_and_fro)
{
    int factor = 3;
    pair_begin(add_for_ever, &factor);
    CHECK_EQ(0, pair.sum);
    for (int i = 0; i < 10000; i++)
        jump_there();
    CHECK_EQ((int64_t)3 * 9999 * 10000 / 2, pair.sum);
    pair_end();
}

/* More live values than there are registers that a call keeps, so that each of those is used. */
static int64_t mix(void (*jump)(void), int64_t seed)
{
    int64_t a = seed + 1, b = seed + 2, c = seed + 3, d = seed + 4, e = seed + 5, f = seed + 6;
    int64_t g = seed + 7, h = seed + 8, i = seed + 9, j = seed + 10, k = seed + 11, l = seed + 12;
    double x = (double)seed, y = x + 0.5, z = x + 0.25, w = x + 0.125;
    for (int round = 0; round < 50; round++) {
        jump();
        a += b, b ^= c, c += d, d ^= e, e += f, f ^= g;
        g += h, h ^= i, i += j, j ^= k, k += l, l ^= a;
        a &= 0xffffff, c &= 0xffffff, e &= 0xffffff, g &= 0xffffff, i &= 0xffffff, k &= 0xffffff;
        x += y, y = z, z = w, w = x / 3;
    }
    return a + b + c + d + e + f + g + h + i + j + k + l + (int64_t)(x + y + z + w);
}

static void do_nothing(void)
{
}

static void mix_there(void *argument)
{
    arrive_first();
    for (;;)
        *(int64_t *)argument = mix(jump_here, 77);
}

TEST(both_sides_keep_their_registers)
{
    int64_t there = 0;
    pair_begin(mix_there, &there);
    CHECK_EQ(mix(do_nothing, 5), mix(jump_there, 5));
    jump_there();
    CHECK_EQ(mix(do_nothing, 77), there);
    pair_end();
}

static void round_up_for_ever(void *argument)
{
    (void)argument;
    arrive_first();
    for (;;) {
        fesetround(FE_UPWARD);
        jump_here();
        CHECK_EQ(FE_UPWARD, fegetround());
    }
}

TEST(the_rounding_mode_stays_with_its_context)
{
    pair_begin(round_up_for_ever, NULL);
    CHECK_EQ(FE_TONEAREST, fegetround());
    for (int i = 0; i < 3; i++) {
        jump_there();
        CHECK_EQ(FE_TONEAREST, fegetround());
    }
    pair_end();
}

static void look_at_stack(void *argument)
{
    alignas(16) char local[16];
    arrive_first();
    for (;;) {
        /* vprintf with a double saves vector registers with aligned stores. */
        snprintf(argument, 32, "%.3f", 1.5);
        CHECK_EQ(0, (uintptr_t)local % 16);
        uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
        CHECK(frame > (uintptr_t)pair.base && frame < (uintptr_t)pair.base + STACK_BYTES);
        jump_here();
    }
}

TEST(the_stack_is_the_given_one_and_aligned)
{
    char text[32] = "";
    pair_begin(look_at_stack, text);
    jump_there();
    CHECK(strcmp(text, "1.500") == 0);
    pair_end();
}

CHECK_MAIN
