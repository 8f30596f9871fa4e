/* SPDX-License-Identifier: MIT */
#ifndef CO_SAN_H
#define CO_SAN_H

/*
 * Tells the tools that watch memory about stacks and switches: AddressSanitizer keeps the bounds of
 * the running stack and a fake stack beside it, ThreadSanitizer a fiber for each coroutine,
 * valgrind a list of stacks. Only this file knows them; in a plain build nothing of it is left.
 */

#include "base/poison.h"

#include <stddef.h>

#if defined(__SANITIZE_THREAD__)
#define SAN_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SAN_TSAN 1
#endif
#endif

#ifdef WEIR_ASAN
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

/*
 * Right before a jump onto the stack [base, base + bytes). `fake_stack` is where the leaving
 * context keeps its fake stack; NULL when it will not come back.
 */
static inline void san_leave_stack(void **fake_stack, const void *base, size_t bytes)
{
    __sanitizer_start_switch_fiber(fake_stack, base, bytes);
}

/*
 * Right after a jump: the arrived context's fake stack, and the bounds of the stack it came from.
 */
static inline void san_arrive_stack(void *fake_stack, const void **ret_base, size_t *ret_bytes)
{
    __sanitizer_finish_switch_fiber(fake_stack, ret_base, ret_bytes);
}

/* What only a coroutine's stack points at has not leaked. */
static inline void san_add_root(void *base, size_t bytes)
{
    __lsan_register_root_region(base, bytes);
}

static inline void san_remove_root(void *base, size_t bytes)
{
    __lsan_unregister_root_region(base, bytes);
}
#else
static inline void san_leave_stack(void **fake_stack, const void *base, size_t bytes)
{
    (void)fake_stack, (void)base, (void)bytes;
}

static inline void san_arrive_stack(void *fake_stack, const void **ret_base, size_t *ret_bytes)
{
    (void)fake_stack, (void)ret_base, (void)ret_bytes;
}

static inline void san_add_root(void *base, size_t bytes)
{
    (void)base, (void)bytes;
}

static inline void san_remove_root(void *base, size_t bytes)
{
    (void)base, (void)bytes;
}
#endif

#ifdef SAN_TSAN
#include <sanitizer/tsan_interface.h>

/*
 * One for each coroutine, never reused: its record of calls still holds those that the ended
 * coroutine never returned from.
 */
static inline void *san_fiber_new(const char *name)
{
    void *fiber = __tsan_create_fiber(0);
    __tsan_set_fiber_name(fiber, name);
    return fiber;
}

static inline void san_fiber_free(void *fiber)
{
    __tsan_destroy_fiber(fiber);
}

/* The fiber of this thread's own stack. */
static inline void *san_fiber_here(void)
{
    return __tsan_get_current_fiber();
}

/* Right before a jump. */
static inline void san_leave_fiber(void *to)
{
    __tsan_switch_to_fiber(to, 0);
}
#else
static inline void *san_fiber_new(const char *name)
{
    (void)name;
    return NULL;
}

static inline void san_fiber_free(void *fiber)
{
    (void)fiber;
}

static inline void *san_fiber_here(void)
{
    return NULL;
}

static inline void san_leave_fiber(void *to)
{
    (void)to;
}
#endif

#ifdef HAVE_VALGRIND
#include <valgrind/valgrind.h>

/* valgrind's number of the stack [base, base + bytes). */
static inline unsigned san_stack_register(void *base, size_t bytes)
{
    return VALGRIND_STACK_REGISTER((char *)base, (char *)base + bytes);
}

static inline void san_stack_deregister(unsigned number)
{
    VALGRIND_STACK_DEREGISTER(number);
}
#else
static inline unsigned san_stack_register(void *base, size_t bytes)
{
    (void)base, (void)bytes;
    return 0;
}

static inline void san_stack_deregister(unsigned number)
{
    (void)number;
}
#endif

#endif
