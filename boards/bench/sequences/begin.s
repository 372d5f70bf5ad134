@ Sequences of instructions whose cycles the manuals define, for `cargo xtask cycles --sequences`.
@
@     prepare                                       r0 = r1 = memory, r2 = 0, r3 = 4
@     …                                             what else it needs, not counted
@     sequence NAME, m0=…, m4=…                     cycles on each core that has the instructions
@     …                                             what is counted
@     done NAME
@
@ The figures become symbols of the ELF file, cycles.CORE.NAME, that the command reads; so do the ends of a range, low.CORE.NAME
@ and high.CORE.NAME. A sequence begins at a word's start and is reached by a jump, so that nothing stands before it.
@
@ Where a comment does not say otherwise: M0 by Arm DDI 0432C table 3-1, M0+ by DDI 0484C table 3-1, M3 by DDI 0337I table 3-1 and
@ its load/store timings, M4 by 100166. M33: Arm publishes none; the measurements that docs/cycles.md names.
.syntax unified
.thumb
.text
.macro prepare
    mov r0, r7
    mov r1, r7
    movs r2, #0
    movs r3, #4
.endm
.macro sequence name, m0, m0plus, m3, m4, m33
    b sequence.\name
    .balign 4
  sequence.\name:
    .ifnb \m0
    .set cycles.m0.\name, \m0
    .endif
    .ifnb \m0plus
    .set cycles.m0plus.\name, \m0plus
    .endif
    .ifnb \m3
    .set cycles.m3.\name, \m3
    .endif
    .ifnb \m4
    .set cycles.m4.\name, \m4
    .endif
    .ifnb \m33
    .set cycles.m33.\name, \m33
    .endif
.endm
.macro range core, name, low, high
    .set low.\core\().\name, \low
    .set high.\core\().\name, \high
.endm
.macro done name
  end.\name:
.endm
.globl sequences
.type sequences, %function
.thumb_func
sequences:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    push {r4-r6}
    mov r7, r0
