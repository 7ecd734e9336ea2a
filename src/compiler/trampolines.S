// Ways in and out of compiled code, per processor. Layouts: RegisterFile and Entry of
// abi.h.

#include "runtime/saved_registers.inc"

#if defined(__x86_64__)

        .text
        .hidden wafer_uncaught_code
        .globl wafer_enter
        .type wafer_enter, @function
        .p2align 4
// uint32_t wafer_enter(void* native, RegisterFile* registers, Entry* entry)
wafer_enter:
        .cfi_startproc
        .cfi_personality 0x9b, DW.ref.wafer_enter_personality
        pushq %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq %rsp, %rbp
        .cfi_def_cfa_register %rbp
        push_saved_registers
        pushq %rdx
        cfi_saved_registers
        movq %rsp, (%rdx)
        movq %rsi, %rbx
        movq %rdi, %rax
        movdqu 48(%rbx), %xmm0
        movdqu 64(%rbx), %xmm1
        movdqu 80(%rbx), %xmm2
        movdqu 96(%rbx), %xmm3
        movdqu 112(%rbx), %xmm4
        movdqu 128(%rbx), %xmm5
        movdqu 144(%rbx), %xmm6
        movdqu 160(%rbx), %xmm7
        movq (%rbx), %rdi
        movq 8(%rbx), %rsi
        movq 16(%rbx), %rdx
        movq 24(%rbx), %rcx
        movq 32(%rbx), %r8
        movq 40(%rbx), %r9
        callq *%rax
        movq %rax, (%rbx)
        movdqu %xmm0, 48(%rbx)
        xorl %eax, %eax
.Lwafer_enter_out:
        leaq -40(%rbp), %rsp
        pop_saved_registers
        .cfi_remember_state
        .cfi_def_cfa %rsp, 8
        retq
        .cfi_restore_state
        .globl wafer_enter_catch
wafer_enter_catch:
        movl wafer_uncaught_code(%rip), %eax
        jmp .Lwafer_enter_out
        .globl wafer_leave
        .type wafer_leave, @function
// void wafer_leave(Entry* entry, uint32_t code)
wafer_leave:
        movq (%rdi), %rsp
        leaq 48(%rsp), %rbp
        movl %esi, %eax
        jmp .Lwafer_enter_out
        .cfi_endproc
        .size wafer_enter, .-wafer_enter

        .globl wafer_call_out_stub
        .type wafer_call_out_stub, @function
        .p2align 4
wafer_call_out_stub:
        .cfi_startproc
        subq $184, %rsp
        .cfi_def_cfa_offset 192
        movq %rdi, (%rsp)
        movq %rsi, 8(%rsp)
        movq %rdx, 16(%rsp)
        movq %rcx, 24(%rsp)
        movq %r8, 32(%rsp)
        movq %r9, 40(%rsp)
        movdqu %xmm0, 48(%rsp)
        movdqu %xmm1, 64(%rsp)
        movdqu %xmm2, 80(%rsp)
        movdqu %xmm3, 96(%rsp)
        movdqu %xmm4, 112(%rsp)
        movdqu %xmm5, 128(%rsp)
        movdqu %xmm6, 144(%rsp)
        movdqu %xmm7, 160(%rsp)
        movq %rsp, %rsi
        callq wafer_call_out@PLT
        movq (%rsp), %rax
        movdqu 48(%rsp), %xmm0
        addq $184, %rsp
        .cfi_def_cfa_offset 8
        retq
        .cfi_endproc
        .size wafer_call_out_stub, .-wafer_call_out_stub

        .globl wafer_call_out_integers_stub
        .type wafer_call_out_integers_stub, @function
        .p2align 4
wafer_call_out_integers_stub:
        .cfi_startproc
        subq $56, %rsp
        .cfi_def_cfa_offset 64
        movq %rsi, (%rsp)
        movq %rdx, 8(%rsp)
        movq %rcx, 16(%rsp)
        movq %r8, 24(%rsp)
        movq %r9, 32(%rsp)
        movq %rsp, %rsi
        callq wafer_call_out_integers@PLT
        addq $56, %rsp
        .cfi_def_cfa_offset 8
        retq
        .cfi_endproc
        .size wafer_call_out_integers_stub, .-wafer_call_out_integers_stub

        .hidden DW.ref.wafer_enter_personality
        .weak DW.ref.wafer_enter_personality
        .section .data.DW.ref.wafer_enter_personality,"awG",@progbits,DW.ref.wafer_enter_personality,comdat
        .p2align 3
        .type DW.ref.wafer_enter_personality, @object
        .size DW.ref.wafer_enter_personality, 8
DW.ref.wafer_enter_personality:
        .quad wafer_enter_personality

#elif defined(__aarch64__)

        .text
        .hidden wafer_uncaught_code
        .globl wafer_enter
        .type wafer_enter, %function
        .p2align 4
wafer_enter:
        .cfi_startproc
        .cfi_personality 0x9b, DW.ref.wafer_enter_personality
        stp x29, x30, [sp, #-176]!
        .cfi_def_cfa_offset 176
        .cfi_offset x29, -176
        .cfi_offset x30, -168
        mov x29, sp
        .cfi_def_cfa x29, 176
        store_saved_registers
        store_saved_vectors
        cfi_saved_registers 176
        mov x9, sp
        str x9, [x2]
        mov x19, x1
        mov x9, x0
        ldp q0, q1, [x19, #48]
        ldp q2, q3, [x19, #80]
        ldp q4, q5, [x19, #112]
        ldp q6, q7, [x19, #144]
        ldp x0, x1, [x19]
        ldp x2, x3, [x19, #16]
        ldp x4, x5, [x19, #32]
        blr x9
        str x0, [x19]
        str q0, [x19, #48]
        mov w0, #0
.Lwafer_enter_out:
        mov sp, x29
        load_saved_registers
        load_saved_vectors
        ldp x29, x30, [sp], #176
        .cfi_remember_state
        .cfi_def_cfa sp, 0
        ret
        .cfi_restore_state
        .globl wafer_enter_catch
wafer_enter_catch:
        adrp x0, wafer_uncaught_code
        ldr w0, [x0, :lo12:wafer_uncaught_code]
        b .Lwafer_enter_out
        .globl wafer_leave
        .type wafer_leave, %function
wafer_leave:
        ldr x29, [x0]
        mov w0, w1
        b .Lwafer_enter_out
        .cfi_endproc
        .size wafer_enter, .-wafer_enter

        .globl wafer_call_out_stub
        .type wafer_call_out_stub, %function
        .p2align 4
wafer_call_out_stub:
        .cfi_startproc
        stp x29, x30, [sp, #-192]!
        .cfi_def_cfa_offset 192
        .cfi_offset x29, -192
        .cfi_offset x30, -184
        mov x29, sp
        stp x0, x1, [sp, #16]
        stp x2, x3, [sp, #32]
        stp x4, x5, [sp, #48]
        stp q0, q1, [sp, #64]
        stp q2, q3, [sp, #96]
        stp q4, q5, [sp, #128]
        stp q6, q7, [sp, #160]
        add x1, sp, #16
        bl wafer_call_out
        ldr x0, [sp, #16]
        ldr q0, [sp, #64]
        ldp x29, x30, [sp], #192
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size wafer_call_out_stub, .-wafer_call_out_stub

        .globl wafer_call_out_integers_stub
        .type wafer_call_out_integers_stub, %function
        .p2align 4
wafer_call_out_integers_stub:
        .cfi_startproc
        stp x29, x30, [sp, #-64]!
        .cfi_def_cfa_offset 64
        .cfi_offset x29, -64
        .cfi_offset x30, -56
        mov x29, sp
        stp x1, x2, [sp, #16]
        stp x3, x4, [sp, #32]
        str x5, [sp, #48]
        add x1, sp, #16
        bl wafer_call_out_integers
        ldp x29, x30, [sp], #64
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size wafer_call_out_integers_stub, .-wafer_call_out_integers_stub

        .hidden DW.ref.wafer_enter_personality
        .weak DW.ref.wafer_enter_personality
        .section .data.DW.ref.wafer_enter_personality,"awG",%progbits,DW.ref.wafer_enter_personality,comdat
        .p2align 3
        .type DW.ref.wafer_enter_personality, %object
        .size DW.ref.wafer_enter_personality, 8
DW.ref.wafer_enter_personality:
        .quad wafer_enter_personality

#endif

        .section .note.GNU-stack,"",%progbits
