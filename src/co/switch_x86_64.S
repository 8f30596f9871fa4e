/* SPDX-License-Identifier: MIT */
/*
 * The switch for x86-64, after the System V ABI, processor supplement 1.0, section 3.2.1: rbx, rbp,
 * r12 to r15, the control bits of mxcsr and the x87 control word belong to the caller; rsp is kept
 * by the switch itself.
 *
 * A context that does not run is the address of this on its stack:
 *
 *      0  mxcsr (4 bytes), x87 control word (2 bytes), 2 bytes unused
 *      8  r15, r14, r13, r12, rbx, rbp
 *     56  where it goes on
 *
 * tools/gdb/weir.py reads the same layout.
 *
 * CET: the return addresses of a coroutine are on no shadow stack, so the first return after a
 * switch would fault under user shadow stacks. Therefore this object carries no SHSTK property; the
 * linker then leaves it off the program, and the C library does not turn shadow stacks on for it.
 */

#define SAVED_BYTES 56

        .text

/* switch_point switch_make(void *base, size_t bytes, void (*entry)(void *), void *argument) */
        .globl  switch_make
        .hidden switch_make
        .type   switch_make, @function
        .p2align 4
switch_make:
        .cfi_startproc
        lea     (%rdi, %rsi), %rax
        and     $-16, %rax
        /* switch_start begins with rsp at a multiple of 16, as its own call needs it. */
        sub     $(SAVED_BYTES + 8 + 16), %rax
        stmxcsr (%rax)
        fnstcw  4(%rax)
        movq    $0, 8(%rax)
        movq    $0, 16(%rax)
        mov     %rcx, 24(%rax)          /* r13: the argument */
        mov     %rdx, 32(%rax)          /* r12: entry */
        movq    $0, 40(%rax)
        movq    $0, 48(%rax)            /* rbp: walks over frame pointers end here */
        lea     .Lstart(%rip), %rdx
        mov     %rdx, SAVED_BYTES(%rax)
        ret
        .cfi_endproc
        .size   switch_make, . - switch_make

/*
 * The outermost frame of a coroutine: nothing called it, and `entry` does not return. It begins
 * after the nop, since debuggers look for a caller at the address before the one it goes on at.
 */
        .type   switch_start, @function
        .p2align 4
switch_start:
        .cfi_startproc
        .cfi_undefined rip
        nop
.Lstart:
        mov     %r13, %rdi
        call    *%r12
        ud2
        .cfi_endproc
        .size   switch_start, . - switch_start

/* void switch_jump(switch_point *ret_from, switch_point to) */
        .globl  switch_jump
        .hidden switch_jump
        .type   switch_jump, @function
        .p2align 4
switch_jump:
        .cfi_startproc
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        push    %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        push    %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        push    %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        push    %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        push    %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)

        mov     %rsp, (%rdi)
        mov     %rsi, %rsp

        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        pop     %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore r15
        pop     %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore r14
        pop     %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        pop     %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        pop     %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        pop     %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        /*
         * A jump, not a return: the processor's stack of return addresses would predict this
         * function's own caller, which is never right; a jump is predicted by its history.
         */
        pop     %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        jmp     *%rcx
        .cfi_endproc
        .size   switch_jump, . - switch_jump

        .section .note.GNU-stack, "", @progbits
