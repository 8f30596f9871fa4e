/* SPDX-License-Identifier: MIT */
/*
 * The switch for aarch64, after the AAPCS64 (IHI 0055), sections 6.1.1 and 6.1.2: x19 to x28, the
 * frame pointer x29 and the low halves of v8 to v15 belong to the caller; x30 is where it goes on.
 * FPCR is kept too, so that a rounding mode stays with the coroutine that set it.
 *
 * A context that does not run is the address of this on its stack:
 *
 *      0  x19 to x28
 *     80  x29, x30 (where it goes on)
 *     96  d8 to d15
 *    160  fpcr, 8 bytes unused
 *
 * tools/gdb/weir.py reads the same layout.
 *
 * Guarded control stacks (GCS) would fault at the first return after a switch; this object carries
 * no GCS property, so that they stay off. Branch targets (BTI) and signed return addresses (PAC) of
 * our callers work: the only indirect branches here are a call and a return, and sp is the same
 * when a caller checks its address as when it signed it.
 */

#define SAVED_BYTES 176

        .text

/* switch_point switch_make(void *base, size_t bytes, void (*entry)(void *), void *argument) */
        .globl  switch_make
        .hidden switch_make
        .type   switch_make, %function
        .p2align 4
switch_make:
        .cfi_startproc
        add     x0, x0, x1
        and     x0, x0, #-16
        sub     x0, x0, #SAVED_BYTES
        stp     x2, x3, [x0]                    /* x19: entry, x20: the argument */
        stp     xzr, xzr, [x0, #16]
        stp     xzr, xzr, [x0, #32]
        stp     xzr, xzr, [x0, #48]
        stp     xzr, xzr, [x0, #64]
        adrp    x4, .Lstart
        add     x4, x4, :lo12:.Lstart
        stp     xzr, x4, [x0, #80]              /* x29: walks over frame pointers end here */
        stp     xzr, xzr, [x0, #96]
        stp     xzr, xzr, [x0, #112]
        stp     xzr, xzr, [x0, #128]
        stp     xzr, xzr, [x0, #144]
        mrs     x5, fpcr
        stp     x5, xzr, [x0, #160]
        ret
        .cfi_endproc
        .size   switch_make, . - switch_make

/*
 * The outermost frame of a coroutine: nothing called it, and `entry` does not return. It begins
 * after the nop, since debuggers look for a caller at the address before the one it goes on at.
 */
        .type   switch_start, %function
        .p2align 4
switch_start:
        .cfi_startproc
        .cfi_undefined x30
        nop
.Lstart:
        mov     x0, x20
        blr     x19
        brk     #0
        .cfi_endproc
        .size   switch_start, . - switch_start

/* void switch_jump(switch_point *ret_from, switch_point to) */
        .globl  switch_jump
        .hidden switch_jump
        .type   switch_jump, %function
        .p2align 4
switch_jump:
        .cfi_startproc
        sub     sp, sp, #SAVED_BYTES
        .cfi_def_cfa_offset SAVED_BYTES
        stp     x19, x20, [sp]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mrs     x4, fpcr
        str     x4, [sp, #160]
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x20, 8
        .cfi_rel_offset x21, 16
        .cfi_rel_offset x22, 24
        .cfi_rel_offset x23, 32
        .cfi_rel_offset x24, 40
        .cfi_rel_offset x25, 48
        .cfi_rel_offset x26, 56
        .cfi_rel_offset x27, 64
        .cfi_rel_offset x28, 72
        .cfi_rel_offset x29, 80
        .cfi_rel_offset x30, 88

        mov     x5, sp
        str     x5, [x0]
        mov     sp, x1

        ldr     x5, [sp, #160]
        cmp     x4, x5
        b.eq    1f                              /* writing FPCR is slow, and it hardly differs */
        msr     fpcr, x5
1:      ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        ldp     x19, x20, [sp]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        add     sp, sp, #SAVED_BYTES
        .cfi_def_cfa_offset 0
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   switch_jump, . - switch_jump

        .section .note.GNU-stack, "", %progbits
