//! Estimates of hand-made parts.

use super::{Flash, estimate};
use crate::Core;
use crate::cores::Cost;
use crate::trace::{Executed, Part};

/// A part of consecutive instructions of 16 or 32 bits, each with its number of executions.
fn part(start: u32, codes: &[(u32, u64)], jumps: &[(u32, u32, u64)]) -> Part {
    let mut part = Part::default();
    let mut address = start;
    for &(code, count) in codes {
        let size = if code > 0xffff { 4 } else { 2 };
        part.instructions.insert(address, Executed { code, size, count, accesses: None });
        address += size;
    }
    part.jumps = jumps.iter().map(|&(from, to, count)| ((from, to), count)).collect();
    part
}

fn cycles(part: &Part, core: Core, flash: Flash) -> Cost {
    estimate(part, core.table(), flash).sum(|_| true).1
}

/// `1: adds r2, r2, r3; bne 1b`, ten iterations, the loop across two lines of 16 bytes.
fn a_loop() -> Part {
    part(0x10e, &[(0x18d2, 10), (0xd1fd, 10)], &[(0x110, 0x10e, 9)])
}

#[test]
fn flash_without_wait_states_is_the_table() {
    let flash = |wait_states| Flash { wait_states, line: 16 };
    let none = cycles(&a_loop(), Core::M4, Flash::NONE);
    assert_eq!(none.est, 10 + 10 + 9);
    for core in Core::ALL {
        assert_eq!(cycles(&a_loop(), core, flash(0)), cycles(&a_loop(), core, Flash::NONE));
    }
    // Nine jumps to the other line; up to ten times the second line is also entered in sequence.
    let slow = cycles(&a_loop(), Core::M4, flash(5));
    assert_eq!((slow.low, slow.est, slow.high), (none.low, none.est + 9 * 5, none.high + 19 * 5));
    // In one line the jumps are free.
    let near = part(0x100, &[(0x18d2, 10), (0xd1fd, 10)], &[(0x102, 0x100, 9)]);
    assert_eq!(cycles(&near, Core::M4, flash(5)).est, none.est);
}

#[test]
fn instructions_that_wait_for_no_condition_are_counted_by_their_accesses() {
    // it ne; ldrne r4, [r0]: four times, of which one load.
    let mut it = part(0x100, &[(0xbf18, 4), (0x6804, 4)], &[]);
    it.instructions.get_mut(&0x102).expect("the load").accesses = Some(1);
    assert_eq!(cycles(&it, Core::M4, Flash::NONE).est, 4 + 2 + 3);
}

#[test]
fn the_m7_issues_two_at_a_time_where_neither_needs_the_other() {
    // adds r2, r2, r3 twice, then an independent instruction: ldr r4, [r0].
    let chain = part(0x100, &[(0x18d2, 1), (0x18d2, 1), (0x6804, 1), (0x18d2, 1)], &[]);
    // The result of an addition is available to the next one in the same cycle.
    assert_eq!(cycles(&chain, Core::M7, Flash::NONE).est, 2);
    // mul r7, r7, r8 twice: one multiplier, and the result comes a cycle late.
    let products = part(0x100, &[(0xfb07_f708, 1), (0xfb07_f708, 1)], &[]);
    assert_eq!(cycles(&products, Core::M7, Flash::NONE).est, 3);
    // A branch that goes the other way once is mispredicted once.
    assert_eq!(
        cycles(&a_loop(), Core::M7, Flash::NONE).est
            - cycles(&part(0x10e, &[(0x18d2, 10), (0xd1fd, 10)], &[]), Core::M7, Flash::NONE).est,
        6
    );
}

#[test]
fn the_m55_overlaps_vectors_of_two_pipelines_also_over_a_loops_end() {
    // vldrh.u16 q3, [r3]; vmlava.s8 r0, q1, q0; le: four iterations. Two cycles each at first, then one each.
    let codes = [(0xed93_7e80, 4), (0xeef2_0f20, 4), (0xf00f_c009, 4)];
    let part = part(0x100, &codes, &[(0x108, 0x100, 3)]);
    assert_eq!(cycles(&part, Core::M55, Flash::NONE).est, (2 + 1) + 3 * (1 + 1));
}

#[test]
fn what_has_no_row_is_told() {
    let simd = part(0x100, &[(0xfa83_f582, 7)], &[]);
    let table = Core::M3.table();
    let found = estimate(&simd, table, Flash::NONE);
    assert_eq!((found.without_row(table), found.sum(|_| true).1), (7, Cost::exactly(7)));
}
