//! Encodings from code of GCC and rustc, as `llvm-objdump` prints them.

use super::{Class, FLAGS, Op, Registers};

fn cores(registers: &[u32]) -> Registers {
    registers.iter().fold(0, |set, register| set | 1 << register)
}

fn floats(registers: &[u32]) -> Registers {
    registers.iter().fold(0, |set, register| set | 1 << (32 + register))
}

#[test]
fn classes_are_those_of_the_assembler() {
    use Class::*;
    let table = [
        (0x18d2, 2, Alu, "adds r2, r2, r3"),
        (0x4362, 2, MultiplyFlags, "muls r2, r4, r2"),
        (0x46a7, 2, MoveToPc, "mov pc, r4"),
        (0x4790, 2, BranchLinkRegister, "blx r2"),
        (0x480e, 2, Load, "ldr r0, [pc, #56]"),
        (0xbdf0, 2, PopPc, "pop {r4-r7, pc}"),
        (0xbf18, 2, It, "it ne"),
        (0xbf00, 2, Nop, "nop"),
        (0xb35b, 2, CompareBranch, "cbz r3, #80"),
        (0xdefe, 2, Exception, "udf #254"),
        (0xea4f_3b2b, 4, Alu, "asr.w r11, r11, #12"),
        (0xeb02_0484, 4, AluShifted, "add.w r4, r2, r4, lsl #2"),
        (0xf400_0400, 4, ShiftedConstant, "and r4, r0, #8388608"),
        (0xf04f_0c00, 4, Alu, "mov.w r12, #0"),
        (0xf365_240f, 4, BitField, "bfi r4, r5, #8, #8"),
        (0xeac3_4303, 4, Simd, "pkhbt r3, r3, r3, lsl #16"),
        (0xfa83_f582, 4, Simd, "qadd r5, r2, r3"),
        (0xfab6_f686, 4, BitField, "clz r6, r6"),
        (0xfa2f_fa88, 4, Extend, "sxtb16 r10, r8"),
        (0xfb9a_f7f8, 4, Divide, "sdiv r7, r10, r8"),
        (0xfb86_6405, 4, MultiplyLong, "smull r6, r4, r6, r5"),
        (0xfbc2_45c3, 4, MultiplyAccumulateDsp, "smlald r4, r5, r2, r3"),
        (0xfb24_fc03, 4, MultiplyDsp, "smuad r12, r4, r3"),
        (0xe8df_f004, 4, TableBranch, "tbb [pc, r4]"),
        (0xf85d_fb04, 4, LoadPc, "ldr pc, [sp], #4"),
        (0xf890_f000, 4, Preload, "pld [r0]"),
        (0xf3bf_8f5f, 4, Barrier, "dmb sy"),
        (0xf3ef_8010, 4, SystemRegister, "mrs r0, primask"),
        (0xf007_fc26, 4, BranchLink, "bl #30796"),
        (0xf7ff_bd96, 4, Branch, "b.w #-1236"),
        (0xf47f_ae40, 4, BranchConditional, "bne.w #-896"),
        (0xee32_0a41, 4, FpAdd, "vsub.f32 s0, s4, s2"),
        (0xee8d_1a01, 4, FpDivide, "vdiv.f32 s2, s26, s2"),
        (0xeeb1_0ae0, 4, FpSquareRoot, "vsqrt.f32 s0, s1"),
        (0xeeb8_1ac1, 4, FpConvert, "vcvt.f32.s32 s2, s2"),
        (0xeef1_fa10, 4, FpStatus, "vmrs APSR_nzcv, fpscr"),
        (0xec55_4a10, 4, FpPairToCore, "vmov r4, r5, s0, s1"),
        (0xf04e_e001, 4, LoopStart, "dls lr, lr"),
        (0xf00f_c009, 4, LoopEnd, "le lr, #-16"),
        (0xea50_90d0, 4, Alu, "cinc r0, r0, gt"),
        (0xed93_7e80, 4, VectorLoad, "vldrh.u16 q3, [r3]"),
        (0xeca2_7f04, 4, VectorStore, "vstrw.32 q3, [r2], #16"),
        (0xef16_6844, 4, VectorAlu, "vadd.i16 q3, q3, q2"),
        (0xeef2_0f20, 4, VectorMultiply, "vmlava.s8 r0, q1, q0"),
        (0xeea4_6b30, 4, VectorMove, "vdup.16 q2, r6"),
    ];
    for (code, size, class, text) in table {
        assert_eq!(Op::decode(code, size).class, class, "{text}");
    }
}

#[test]
fn registers_are_those_of_the_operands() {
    let add = Op::decode(0x18d2, 2); // adds r2, r2, r3
    assert_eq!((add.reads, add.writes), (cores(&[2, 3]), cores(&[2]) | FLAGS));
    let load = Op::decode(0xf834_7017, 4); // ldrh.w r7, [r4, r7, lsl #1]
    assert_eq!((load.address, load.writes, load.base, load.narrow_load), (cores(&[4, 7]), cores(&[7]), 0, true));
    let back = Op::decode(0xf915_4b01, 4); // ldrsb r4, [r5], #1
    assert_eq!((back.address, back.base), (cores(&[5]), cores(&[5])));
    let smlad = Op::decode(0xfb22_770c, 4); // smlad r7, r2, r12, r7
    assert_eq!((smlad.reads, smlad.addend, smlad.writes), (cores(&[2, 12]), cores(&[7]), cores(&[7])));
    let ldm = Op::decode(0xe892_00f0, 4); // ldm.w r2, {r4, r5, r6, r7}
    assert_eq!((ldm.writes, ldm.transfers, ldm.address), (cores(&[4, 5, 6, 7]), 4, cores(&[2])));
    let vmla = Op::decode(0xee0a_3a01, 4); // vmla.f32 s6, s20, s2
    assert_eq!((vmla.reads, vmla.addend, vmla.writes), (floats(&[20, 2]), floats(&[6]), floats(&[6])));
    let vpop = Op::decode(0xecbd_8b06, 4); // vpop {d8, d9, d10}
    assert_eq!((vpop.writes, vpop.transfers), (floats(&[16, 17, 18, 19, 20, 21]), 6));
    let literal = Op::decode(0x480e, 2);
    assert!(literal.literal && literal.address == 0);
}
