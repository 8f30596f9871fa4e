/* SPDX-License-Identifier: MIT */
#ifndef CO_STACK_H
#define CO_STACK_H

/*
 * Stacks of one worker: a growing slab of equal slots, each with a guard below, reused last in,
 * first out so that few pages stay warm. Guards are made with MADV_GUARD_INSTALL where the kernel
 * has it (6.13), else with mprotect, which costs a mapping each and limits how many there can be.
 */

#include <weir/err.h>

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES (256 * 1024)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_BYTES (256 * 1024)
#endif
#endif
#ifndef STACK_BYTES
#define STACK_BYTES (64 * 1024)
#endif

struct stacks {
    struct stack_slab *slabs;
    struct stack_slab *cold_slabs; /* those with free stacks that hold no memory */
    void *free; /* the last freed stack; the links are kept at the stacks' tops */
    size_t used_count, free_count, total_count;
    size_t limit; /* how many there may be in use */
    size_t page_bytes;
    bool kernel_guards; /* MADV_GUARD_INSTALL works here */
};

void stacks_init(struct stacks *stacks, size_t limit);
/* No stack may be in use (checked). */
void stacks_fini(struct stacks *stacks);

/* *ret_base is the lowest usable byte of STACK_BYTES. WEIR_E_LIMIT or WEIR_E_NO_MEMORY. */
enum weir_err stack_get(struct stacks *stacks, void **ret_base);
/* Never called on the stack that is being released. */
void stack_release(struct stacks *stacks, void *base);

/*
 * Gives the memory of stacks that have been free for long back to the kernel: all but `keep` free
 * ones. For the loop to call when it has nothing else to do.
 */
void stacks_trim(struct stacks *stacks, size_t keep);

/* "guarded by MADV_GUARD_INSTALL, at most N" or the like, for the log line at the start. */
const char *stacks_guard_name(void);

#endif
