//! Every kernel by itself: instructions of the whole call, and whether its result is that of a plain loop.
//!
//! ```text
//! random matrices, in this core's packing ──► firmware::kernels ──► a line of JSON for `cargo xtask bench device`
//! ```
#![no_std]
#![no_main]

use firmware::{Line, Workspace, kernels};
use semihosting as _;

include!(concat!(env!("OUT_DIR"), "/cases.rs"));

/// Vectors at a time, as in prefill and encoders.
const BATCH: usize = 16;
/// The longest vector, and the most outputs of a batch.
const LONGEST: usize = 1040;
const ROWS: usize = 256;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut RAW: [i8; BATCH * LONGEST] = [0; BATCH * LONGEST];
    static mut VECTORS: [u32; Workspace::words(BATCH, LONGEST)] = [0; Workspace::words(BATCH, LONGEST)];
    static mut SUMS: [i32; BATCH * ROWS] = [0; BATCH * ROWS];
    let mut workspace = Workspace { raw: RAW, words: VECTORS, sums: SUMS, batch: BATCH };
    kernels(&mut bench::counter(), PACKING, CASES, &mut workspace, &mut |row| {
        semihosting::println!("{}", row.line(Line::new("kernels")).end().as_str());
    });
    semihosting::process::exit(0)
}
