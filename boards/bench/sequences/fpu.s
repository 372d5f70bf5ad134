@ The FPU, single precision. M4: 100166, the table of its FPU instructions.
prepare
sequence vadd, m4=2, m33=2
    vadd.f32 s0, s1, s2
    vsub.f32 s3, s1, s2
done vadd

@ M4: "take one cycle longer if their result is consumed by the following instruction". M33: "result latency … is 2 cycles".
prepare
sequence vadd_use, m4=3, m33=3
    vadd.f32 s0, s1, s2
    vadd.f32 s3, s0, s2
done vadd_use

prepare
sequence vmul, m4=2, m33=2
    vmul.f32 s0, s1, s2
    vnmul.f32 s3, s1, s2
done vmul

prepare
sequence vmul_use, m4=3, m33=3
    vmul.f32 s0, s1, s2
    vadd.f32 s3, s0, s2
done vmul_use

prepare
sequence vmla, m4=4, m33=2
    vmla.f32 s0, s1, s2
    add.w r4, r2, r3
done vmla

prepare
sequence vfma, m4=4, m33=2
    vfma.f32 s0, s1, s2
    add.w r4, r2, r3
done vfma

@ M33: "no other floating point instruction can be issued in the following 2 cycles".
prepare
sequence vfma_chain, m4=7, m33=4
    vfma.f32 s0, s1, s2
    vfma.f32 s0, s3, s4
done vfma_chain

prepare
sequence vfma_apart, m4=7, m33=4
    vfma.f32 s0, s1, s2
    mov.w r4, r3
    vfma.f32 s0, s3, s4
done vfma_apart

@ M33: not in the measurements, as M4.
prepare
sequence vdiv, m4=14, m33=14
    vdiv.f32 s0, s1, s2
done vdiv

prepare
sequence vsqrt, m4=14, m33=14
    vsqrt.f32 s0, s1
done vsqrt

prepare
sequence vcvt, m4=2, m33=2
    vcvt.s32.f32 s0, s1
    vcvt.f32.s32 s2, s3
done vcvt

prepare
sequence vcmp, m4=2, m33=2
    vcmp.f32 s0, s1
    vmrs APSR_nzcv, fpscr
done vcmp

prepare
sequence vmov, m4=4, m33=4
    vmov.f32 s0, s1
    vabs.f32 s2, s3
    vneg.f32 s4, s5
    vmov.f32 s6, #1.0
done vmov

@ M33: "vmov of one S register to one GPR takes 1 cycle, it has 2 cycles of result latency".
prepare
sequence vmov_to_core, m4=2, m33=3
    vmov r4, s0
    add.w r5, r4, r3
done vmov_to_core

prepare
sequence vmov_from_core, m4=2, m33=2
    vmov s0, r2
    vadd.f32 s1, s0, s2
done vmov_from_core

prepare
sequence vmov_pair_to_core, m4=2, m33=2
    vmov r4, r5, s0, s1
done vmov_pair_to_core

prepare
sequence vmov_pair_from_core, m4=2, m33=1
    vmov s0, s1, r2, r3
done vmov_pair_from_core

@ M33: "load/store multiple of x registers execute in exactly x cycles (also applies to FPU)".
prepare
sequence vldr, m4=2, m33=1
    vldr s0, [r0]
done vldr

prepare
sequence vldr_double, m4=3, m33=2
    vldr d0, [r0]
done vldr_double

prepare
sequence vstr, m4=2, m33=1
    vstr s0, [r0]
done vstr

prepare
sequence vstr_double, m4=3, m33=2
    vstr d0, [r0]
done vstr_double

prepare
sequence vldm, m4=5, m33=4
    vldmia r0, {s0-s3}
done vldm

prepare
sequence vstm, m4=5, m33=4
    vstmia r0, {s0-s3}
done vstm

prepare
sequence vpush_vpop, m4=6, m33=4
    vpush {s0-s1}
    vpop {s0-s1}
done vpush_vpop

@ "Any load or store that generates an address dependent on the result of a preceding data processing operation stalls."
prepare
sequence vldr_at_result, m4=4, m33=2
    adds r4, r0, r3
    vldr s0, [r4]
done vldr_at_result
