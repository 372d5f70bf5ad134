@ The DSP extension.
prepare
sequence simd, m4=4, m33=4
    uadd8 r4, r2, r3
    qadd r5, r2, r3
    sel r6, r2, r3
    pkhbt r4, r2, r3
done simd

@ M33: "DSP and SIMD instructions have 2 cycle result latency".
prepare
sequence simd_use, m4=2, m33=3
    qadd r4, r2, r3
    add.w r5, r4, r2
done simd_use

prepare
sequence dsp_multiply, m4=4, m33=4
    smulbb r4, r2, r3
    smuad r5, r2, r3
    smmul r6, r2, r3
    smulwb r4, r2, r3
done dsp_multiply

@ M33: "multiply accumulates … can be chained from previous MAC".
prepare
sequence smlad, m4=2, m33=2
    smlad r4, r2, r3, r4
    smlad r4, r2, r3, r4
done smlad

prepare
sequence smlad_use, m4=2, m33=3
    smlad r4, r2, r3, r4
    smlad r5, r4, r3, r5
done smlad_use

prepare
sequence dsp_long, m4=3, m33=3
    smlald r4, r5, r2, r3
    umaal r4, r5, r2, r3
    smlalbb r4, r5, r2, r3
done dsp_long

prepare
sequence extend_add, m4=2, m33=2
    sxtb16 r4, r3
    sxtab16 r5, r2, r3
done extend_add

@ M33: "{u,x}xta{b,h,b16} have 2 cycle result latency".
prepare
sequence extend_add_use, m4=2, m33=3
    sxtab16 r5, r2, r3
    add.w r4, r5, r2
done extend_add_use

@ M33: "load result can be consumed as MAC accumulate dependency in 1 cycle".
prepare
sequence load_accumulate, m4=3, m33=2
    ldr r4, [r0]
    smlad r4, r2, r3, r4
done load_accumulate

@ The matrix kernels' loop in small: a multiple load, two extensions, two products.
prepare
sequence dsp_loop, m4=7, m33=6
    ldmia.w r0!, {r4, r5}
    sxtb16 r6, r4
    sxtb16 r4, r4, ror #8
    smlad r2, r6, r5, r2
    smlad r2, r4, r5, r2
done dsp_loop
