@ What Armv7-M adds to Armv6-M.
prepare
sequence alu_wide, m3=4, m4=4, m33=4
    add.w r4, r0, r1
    movw r5, #1234
    movt r5, #1
    mvn.w r6, r4
done alu_wide

prepare
sequence shifted, m3=2, m4=2, m33=2
    add.w r4, r0, r1, lsl #3
    eor.w r5, r2, r3
done shifted

@ M33: "result latency of operand2 shifted reg/constant, instructions is 2 cycles".
prepare
sequence shifted_use, m3=2, m4=2, m33=3
    add.w r4, r0, r1, lsl #3
    add.w r5, r4, r2
done shifted_use

prepare
sequence shifted_constant_use, m3=2, m4=2, m33=3
    and r4, r0, #0x1fc0
    add.w r5, r4, r2
done shifted_constant_use

@ M33: one that sets flags takes both cycles itself.
prepare
sequence shifted_constant_flags, m3=1, m4=1, m33=2
    adds.w r4, r0, #0x1fc0
done shifted_constant_flags

prepare
sequence bit_field, m3=5, m4=5, m33=5
    ubfx r4, r0, #3, #5
    bfi r5, r2, #2, #4
    clz r6, r3
    rbit r4, r3
    ssat r5, #8, r3
done bit_field

prepare
sequence extend_wide, m3=1, m4=1, m33=1
    uxtb.w r4, r3, ror #8
done extend_wide

prepare
sequence multiply, m3=2, m4=2, m33=2
    mul r4, r2, r3
    add.w r5, r2, r3
done multiply

prepare
sequence multiply_use, m3=2, m4=2, m33=3
    mul r4, r2, r3
    add.w r5, r4, r2
done multiply_use

prepare
sequence multiply_accumulate, m3=2, m4=1, m33=1
    mla r4, r2, r3, r0
done multiply_accumulate

@ M33: "accumulate dependency can be chained".
prepare
sequence multiply_accumulate_chain, m3=4, m4=2, m33=2
    mla r4, r2, r3, r4
    mls r4, r2, r3, r4
done multiply_accumulate_chain

prepare
sequence multiply_long, m3=4, m4=1, m33=1
    smull r4, r5, r2, r3
done multiply_long
range m3, multiply_long, 3, 5

prepare
sequence multiply_accumulate_long, m3=5, m4=1, m33=1
    umlal r4, r5, r2, r3
done multiply_accumulate_long
range m3, multiply_accumulate_long, 4, 7

@ M33: not in the measurements, as M4.
prepare
sequence divide, m3=7, m4=7, m33=7
    udiv r4, r0, r3
done divide
range m3, divide, 2, 12
range m4, divide, 2, 12
range m33, divide, 2, 12

prepare
sequence load_pair, m3=3, m4=3, m33=2
    ldrd r4, r5, [r0]
done load_pair

prepare
sequence store_pair, m3=3, m4=3, m33=2
    strd r4, r5, [r0]
done store_pair

prepare
sequence load_multiple_wide, m3=5, m4=5, m33=4
    ldmia.w r0, {r4, r5, r6, r8}
done load_multiple_wide

prepare
sequence store_multiple_wide, m3=5, m4=5, m33=4
    stmia.w r0, {r4, r5, r6, r8}
done store_multiple_wide

@ "At least two cycles for the load, and three cycles for the pipeline reload." M33: not in the measurements.
prepare
    adr.w r4, 1f
    orr r4, r4, #1
    str r4, [r0, #36]
sequence load_pc, m3=5, m4=5, m33=4
    ldr.w pc, [r0, #36]
    nop
    .balign 4
1:
done load_pc

prepare
sequence literals, m3=3, m4=3, m33=2
    ldr.w r4, 1f
    ldr.w r5, 1f
done literals
    b 2f
    .balign 4
1:  .word 1
2:

@ Silicon (M3, M4): a literal does not chain with other data.
prepare
sequence literal_after_load, m3=4, m4=4, m33=2
    ldr.w r4, [r0]
    ldr.w r5, 1f
done literal_after_load
range m3, literal_after_load, 3, 4
range m4, literal_after_load, 3, 4
    b 2f
    .balign 4
1:  .word 1
2:

@ Silicon: "post and pre indexed loads cannot be chained back to back at all" (M3), "on same register base address" (M4).
prepare
sequence loads_write_back, m3=4, m4=3, m33=2
    ldr r4, [r0], #4
    ldr r5, [r1], #4
done loads_write_back

prepare
sequence loads_write_back_same, m3=4, m4=4, m33=2
    ldr r4, [r0], #4
    ldr r5, [r0], #4
done loads_write_back_same

@ "Can be pipelined exactly as LDR": so they are here.
prepare
sequence exclusive, m3=3, m4=3, m33=2
    ldrex r4, [r0]
    strex r5, r3, [r0]
done exclusive

@ M33: not in the measurements.
prepare
sequence preload, m3=2, m4=2, m33=1
    pld [r0]
done preload

@ The table has 2 + P, the text at least six. M33: not in the measurements.
prepare
sequence table_branch, m3=5, m4=5, m33=5
    tbb [pc, r2]
2:  .byte (1f - 2b) / 2
    .byte 0
    .balign 4
1:
done table_branch
range m3, table_branch, 3, 6
range m4, table_branch, 3, 6

prepare
sequence compare_branch_taken, m3=2, m4=2, m33=2
    cbz r2, 1f
    nop
1:
done compare_branch_taken

prepare
sequence compare_branch_not_taken, m3=1, m4=1, m33=1
    cbnz r2, 1f
1:
done compare_branch_not_taken

@ "IT can be folded" into an instruction of 16 bits. M33: into any.
prepare
sequence it, m3=2, m4=2, m33=2
    cmp r2, #0
    it eq
    addeq r4, r3
done it

prepare
sequence it_after_wide, m3=3, m4=3, m33=2
    cmp.w r2, #0
    it eq
    addeq r4, r3
done it_after_wide

@ An instruction whose condition fails takes one cycle; QEMU counts it as executed, but it makes no access.
prepare
sequence it_skipped_load, m3=2, m4=2, m33=2
    cmp r2, #0
    it ne
    ldrne r4, [r0]
done it_skipped_load

@ P "depending on the alignment and width of the target": 1 more where the target crosses a word's end.
prepare
sequence branch_to_unaligned, m3=4, m4=4, m33=3
    b 1f
    nop
    nop
1:  add.w r4, r2, r3
done branch_to_unaligned
