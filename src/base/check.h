/* SPDX-License-Identifier: MIT */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/*
 * Checks find our own mistakes; what peers send is never checked but returned as an error.
 *
 * must()   always on, in release too: cheap, and a broken invariant must not run on.
 * audit()  costly ones (walks over whole lists): on when built with -Daudit=true.
 * TRY()    the one control-flow macro: returns from the function when a call fails.
 */

#include <weir/err.h>

#include <stdbool.h>

#define must(condition)                                                                            \
    (__builtin_expect(!!(condition), 1) ? (void)0 : check_fail(#condition, __FILE__, __LINE__))

#ifdef WEIR_AUDIT
#define audit(condition) must(condition)
#else
#define audit(condition) ((void)sizeof(condition))
#endif

#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum weir_err try_err_ = (call);                                                           \
        if (__builtin_expect(try_err_ != WEIR_OK, 0))                                              \
            return try_err_;                                                                       \
    } while (0)

/* For a variable that is released at the end of its block, by `fn`, which gets its address. */
#define AUTO(fn) __attribute__((cleanup(fn)))

/*
 * Says which condition broke and where, lets the registered reporter add what it knows (the running
 * coroutine), and aborts.
 */
_Noreturn void check_fail(const char *condition, const char *file, int line);

/* Sets what check_fail calls before it aborts; one per process. It must not fail or allocate. */
void check_set_reporter(void (*reporter)(void));

/* The object of type `type` whose member `member` is at `pointer`. */
#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer) - __builtin_offsetof(type, member)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
