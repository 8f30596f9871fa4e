/* SPDX-License-Identifier: MIT */
/*
 * The switch for CPUs that have no file of their own: correct and slow, since each switch asks the
 * kernel for the signal mask.
 */
#include "co/switch.h"

#include "base/check.h"

#include <stdint.h>
#include <ucontext.h>

/* makecontext() passes ints: a pointer comes in two halves. */
static void start(unsigned entry_high, unsigned entry_low, unsigned argument_high,
                  unsigned argument_low)
{
    uintptr_t entry = (uintptr_t)((uint64_t)entry_high << 32 | entry_low);
    uintptr_t argument = (uintptr_t)((uint64_t)argument_high << 32 | argument_low);
    ((void (*)(void *))entry)((void *)argument);
    check_fail("the entry of a context does not return", __FILE__, __LINE__);
}

switch_point switch_make(void *base, size_t bytes, void (*entry)(void *argument), void *argument)
{
    uintptr_t top = (uintptr_t)base + bytes - sizeof(ucontext_t);
    ucontext_t *point = (ucontext_t *)(top & ~(uintptr_t)63);
    must(getcontext(point) == 0);
    point->uc_link = NULL;
    point->uc_stack.ss_sp = base;
    point->uc_stack.ss_size = (uintptr_t)point - (uintptr_t)base;
    uint64_t entry_bits = (uintptr_t)entry, argument_bits = (uintptr_t)argument;
    makecontext(point, (void (*)(void))start, 4, (unsigned)(entry_bits >> 32), (unsigned)entry_bits,
                (unsigned)(argument_bits >> 32), (unsigned)argument_bits);
    return point;
}

void switch_jump(switch_point *ret_from, switch_point to)
{
    /* Zeroed, since AddressSanitizer reads the stack's bounds from it. */
    ucontext_t here = {0};
    *ret_from = &here;
    must(swapcontext(&here, to) == 0);
}
