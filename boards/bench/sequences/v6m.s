@ What every core has.
prepare
sequence alu, m0=4, m0plus=4, m3=4, m4=4, m33=4
    adds r2, r2, r3
    subs r2, #1
    ands r2, r3
    lsls r2, r2, #1
done alu

@ M33: a NOP is issued along with an instruction of 16 bits.
prepare
sequence nop, m0=2, m0plus=2, m3=2, m4=2, m33=1
    adds r2, #1
    nop
done nop

prepare
sequence extend, m0=2, m0plus=2, m3=2, m4=2, m33=2
    uxtb r2, r3
    sxth r4, r3
done extend

prepare
sequence reverse, m0=2, m0plus=2, m3=2, m4=2, m33=2
    rev r2, r3
    rev16 r4, r3
done reverse

@ M33: Arm KA001260, "muls stalls for an additional cycle".
prepare
sequence muls, m0=1, m0plus=1, m3=1, m4=1, m33=2
    muls r2, r3, r2
done muls

prepare
sequence load, m0=3, m0plus=3, m3=3, m4=3, m33=2
    ldr r4, [r0]
    adds r3, #1
done load

@ "LDR R0,[R1]; LDR R1,[R2] - normally three cycles total."
prepare
sequence load_load, m0=4, m0plus=4, m3=3, m4=3, m33=2
    ldr r4, [r0]
    ldr r5, [r1, #4]
done load_load

@ "LDR R0,[R1,R5]; LDR R1,[R2]; LDR R2,[R3,#4] - normally four cycles total."
prepare
sequence load_load_load, m0=6, m0plus=6, m3=4, m4=4, m33=3
    ldr r4, [r0, r3]
    ldr r5, [r1]
    ldr r6, [r1, #4]
done load_load_load

@ "LDR R0,[R1,R2]; STR R1,[R3,R2] - normally three cycles total."
prepare
sequence load_store_register, m0=4, m0plus=4, m3=3, m4=3, m33=2
    ldr r4, [r0, r3]
    str r2, [r1, r3]
done load_store_register

@ Silicon (M3, M4): the store takes the load's second cycle. The manual's example, "LDR R0,[R1,R2]; STR R0,[R3,#20]", has three.
prepare
sequence load_store, m0=4, m0plus=4, m3=2, m4=2, m33=2
    ldr r4, [r0, r3]
    str r4, [r1, #20]
done load_store
range m3, load_store, 2, 4
range m4, load_store, 2, 4

@ "The destination of the first LDR is not used to compute the address for the next": here it is.
prepare
sequence load_address, m0=4, m0plus=4, m3=4, m4=4, m33=3
    ldr r4, [r0, #32]
    ldr r5, [r4]
done load_address

@ M33: "load to use latency is 2 cycles".
prepare
sequence load_use, m0=3, m0plus=3, m3=3, m4=3, m33=3
    ldr r4, [r0]
    adds r4, r4, #1
done load_use

@ "STR Rx,[Ry,#imm] is always one cycle."
prepare
sequence store, m0=3, m0plus=3, m3=2, m4=2, m33=2
    str r2, [r0]
    adds r3, #1
done store

prepare
sequence store_register, m0=3, m0plus=3, m3=3, m4=3, m33=2
    str r2, [r0, r3]
    adds r3, #1
done store_register

@ Silicon (M3, M4): "stores cannot be pipelined with following load instructions (adds extra cycle to store)".
prepare
sequence store_load, m0=4, m0plus=4, m3=4, m4=4, m33=2
    str r2, [r0]
    ldr r4, [r1]
done store_load

@ "Any load or store that generates an address dependent on the result of a preceding data processing operation stalls."
prepare
sequence address_of_result, m0=3, m0plus=3, m3=4, m4=4, m33=2
    adds r4, r0, r3
    ldr r5, [r4]
done address_of_result

prepare
sequence store_at_result, m0=3, m0plus=3, m3=3, m4=3, m33=2
    adds r4, r0, r3
    str r2, [r4]
done store_at_result

prepare
sequence load_multiple, m0=4, m0plus=4, m3=4, m4=4, m33=3
    ldmia r0!, {r4, r5, r6}
done load_multiple

prepare
sequence store_multiple, m0=3, m0plus=3, m3=3, m4=3, m33=2
    stmia r0!, {r4, r5}
done store_multiple

prepare
sequence push_pop, m0=8, m0plus=8, m3=8, m4=8, m33=6
    push {r4, r5, r6}
    pop {r4, r5, r6}
done push_pop

@ P is taken as 1 behind B and BL, as 2 behind BX and POP.
prepare
sequence branch, m0=3, m0plus=2, m3=2, m4=2, m33=2
    b 1f
    nop
1:
done branch
range m3, branch, 2, 4
range m4, branch, 2, 4

prepare
sequence branch_not_taken, m0=2, m0plus=2, m3=2, m4=2, m33=1
    cmp r2, #0
    bne 1f
1:
done branch_not_taken

prepare
sequence branch_taken, m0=4, m0plus=3, m3=3, m4=3, m33=3
    cmp r2, #0
    beq 1f
    nop
1:
done branch_taken

@ M33: a taken branch is issued along with an instruction that sets no flags.
prepare
sequence branch_later, m0=5, m0plus=4, m3=4, m4=4, m33=3
    cmp r2, #0
    mov r4, r3
    beq 1f
    nop
1:
done branch_later

prepare
sequence loop, m0=11, m0plus=9, m3=9, m4=9, m33=8
    movs r4, #3
1:  subs r4, #1
    bne 1b
done loop

prepare
sequence call_return, m0=10, m0plus=7, m3=7, m4=7, m33=7
    bl 1f
    b 2f
1:  bx lr
2:
done call_return

prepare
    ldr r4, 3f
    b 4f
    .balign 4
3:  .word 1f + 1
4:
sequence call_register, m0=9, m0plus=6, m3=8, m4=8, m33=8
    blx r4
    b 2f
    .balign 4
1:  bx lr
2:
done call_register

prepare
sequence pop_pc, m0=14, m0plus=11, m3=10, m4=10, m33=8
    bl 1f
    b 2f
1:  push {lr}
    pop {pc}
2:
done pop_pc

prepare
    ldr r4, 3f
    b 4f
    .balign 4
3:  .word 1f + 1
4:
sequence move_pc, m0=3, m0plus=2, m3=3, m4=3, m33=3
    mov pc, r4
    nop
1:
done move_pc

@ M3, M4: "1 or 2". M33: not in the measurements, as M4.
prepare
sequence system_register, m0=4, m0plus=3, m3=2, m4=2, m33=2
    mrs r4, primask
done system_register
range m3, system_register, 1, 2
range m4, system_register, 1, 2

@ M3, M4: 1 + B, where B is at least 0.
prepare
sequence barrier, m0=4, m0plus=3, m3=1, m4=1, m33=1
    dmb
done barrier

@ M3, M4: "1 or 2".
prepare
sequence change_state, m0=2, m0plus=2, m3=2, m4=2, m33=2
    cpsid i
    cpsie i
done change_state
range m3, change_state, 2, 4
range m4, change_state, 2, 4
