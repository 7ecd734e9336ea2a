// Switches between stacks; see fiber.cc.

#include "runtime/saved_registers.inc"

#if defined(__x86_64__)

        .text
        .globl wafer_fiber_switch
        .hidden wafer_fiber_switch
        .type wafer_fiber_switch, @function
        .p2align 4
// void wafer_fiber_switch(void** save, void* to): keeps the state of this stack below its
// pointer, which goes to *save, and goes on in the one kept at `to`.
wafer_fiber_switch:
        .cfi_startproc
        pushq %rbp
        push_saved_registers
        .cfi_def_cfa_offset 56
        .cfi_offset %rbp, -16
        cfi_saved_registers
        movq %rsp, (%rdi)
        movq %rsi, %rsp
        pop_saved_registers
        .cfi_def_cfa_offset 8
        .cfi_restore %rbp
        .cfi_restore %rbx
        .cfi_restore %r12
        .cfi_restore %r13
        .cfi_restore %r14
        .cfi_restore %r15
        popq %rcx
        .cfi_def_cfa_offset 0
        .cfi_register %rip, %rcx
        jmpq *%rcx
        .cfi_endproc
        .size wafer_fiber_switch, .-wafer_fiber_switch

        .globl wafer_fiber_start
        .hidden wafer_fiber_start
        .type wafer_fiber_start, @function
        .p2align 4
        nop
// The outermost frame of a fiber. Above it lies the address of StackSide::sp of who resumed
// it, so that an unwinder goes on in the frame that called wafer_fiber_switch to come here.
wafer_fiber_start:
        .cfi_startproc
        // CFA = **rsp + 56
        .cfi_escape 0x0f, 0x06, 0x77, 0x00, 0x06, 0x06, 0x23, 0x38
        .cfi_offset %rip, -8
        .cfi_offset %rbp, -16
        cfi_saved_registers
        movq %r12, %rdi
        callq wafer_fiber_main
        ud2
        .cfi_endproc
        .size wafer_fiber_start, .-wafer_fiber_start

        .globl wafer_call_on_stack
        .hidden wafer_call_on_stack
        .type wafer_call_on_stack, @function
        .p2align 4
// void wafer_call_on_stack(void (*run)(void*), void* argument, void* stack, void** save):
// registers that calls preserve go to this stack first, where the collector looks.
wafer_call_on_stack:
        .cfi_startproc
        pushq %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq %rsp, %rbp
        .cfi_def_cfa_register %rbp
        push_saved_registers
        cfi_saved_registers
        movq %rsp, (%rcx)
        movq %rdx, %rsp
        movq %rdi, %rax
        movq %rsi, %rdi
        callq *%rax
        leaq -40(%rbp), %rsp
        pop_saved_registers
        .cfi_def_cfa %rsp, 8
        retq
        .cfi_endproc
        .size wafer_call_on_stack, .-wafer_call_on_stack

#elif defined(__aarch64__)

        .text
        .globl wafer_fiber_switch
        .hidden wafer_fiber_switch
        .type wafer_fiber_switch, %function
        .p2align 4
// What is kept: x19..x28, x29, x30, d8..d15.
wafer_fiber_switch:
        .cfi_startproc
        stp x29, x30, [sp, #-160]!
        .cfi_def_cfa_offset 160
        store_saved_registers
        store_saved_vectors
        cfi_saved_registers 160
        mov x9, sp
        str x9, [x0]
        mov sp, x1
        load_saved_registers
        load_saved_vectors
        ldp x29, x30, [sp], #160
        .cfi_def_cfa_offset 0
        .cfi_restore x29
        .cfi_restore x30
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
        ret
        .cfi_endproc
        .size wafer_fiber_switch, .-wafer_fiber_switch

        .globl wafer_fiber_start
        .hidden wafer_fiber_start
        .type wafer_fiber_start, %function
        .p2align 4
        nop
wafer_fiber_start:
        .cfi_startproc
        // CFA = **sp + 160
        .cfi_escape 0x0f, 0x07, 0x8f, 0x00, 0x06, 0x06, 0x23, 0xa0, 0x01
        cfi_saved_registers 160
        mov x0, x19
        bl wafer_fiber_main
        udf #0
        .cfi_endproc
        .size wafer_fiber_start, .-wafer_fiber_start

        .globl wafer_call_on_stack
        .hidden wafer_call_on_stack
        .type wafer_call_on_stack, %function
        .p2align 4
wafer_call_on_stack:
        .cfi_startproc
        stp x29, x30, [sp, #-96]!
        .cfi_def_cfa_offset 96
        mov x29, sp
        .cfi_def_cfa x29, 96
        store_saved_registers
        cfi_saved_registers 96
        mov x9, sp
        str x9, [x3]
        mov sp, x2
        mov x9, x0
        mov x0, x1
        blr x9
        mov sp, x29
        load_saved_registers
        ldp x29, x30, [sp], #96
        .cfi_def_cfa sp, 0
        ret
        .cfi_endproc
        .size wafer_call_on_stack, .-wafer_call_on_stack

#endif

        .section .note.GNU-stack,"",%progbits
