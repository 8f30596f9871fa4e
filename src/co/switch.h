/* SPDX-License-Identifier: MIT */
#ifndef CO_SWITCH_H
#define CO_SWITCH_H

/*
 * Two functions: make a context on a stack, jump from one to another. The variants are files,
 * chosen by Meson: switch_x86_64.S (System V ABI), switch_aarch64.S (AAPCS64), switch_ucontext.c
 * elsewhere.
 */

#include <stddef.h>

/* Where a context that does not run was left: opaque, valid until it is jumped to. */
typedef void *switch_point;

/*
 * A context on the stack [base, base + bytes) that calls entry(argument) when first jumped to.
 * `entry` must not return. A debugger's walk of the stack ends at `entry`.
 */
switch_point switch_make(void *base, size_t bytes, void (*entry)(void *argument), void *argument);

/*
 * Leaves the running context, whose point goes to *ret_from, and goes on at `to`. Returns when
 * someone jumps to that point. Callee-saved registers and floating-point control words are kept.
 */
void switch_jump(switch_point *ret_from, switch_point to);

#endif
