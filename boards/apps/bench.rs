//! What kernels and models take on this board.
#![no_std]
#![no_main]

use board::Here;
use firmware::{Bench, Board, Workspace};

// Matrices and models that the build script chose: `PACKING`, `CASES`, `SUBJECTS`, `WORDS`, `ear()`.
include!(concat!(env!("OUT_DIR"), "/bench.rs"));

/// Vectors at a time, where kernels take several.
const BATCH: usize = 4;
/// The longest of them, and the most outputs.
const LONGEST: usize = 256;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; WORDS] = [0; WORDS];
    static mut FRAMES: [f32; CLIP] = [0.0; CLIP];
    static mut RAW: [i8; BATCH * LONGEST] = [0; BATCH * LONGEST];
    static mut VECTORS: [u32; Workspace::words(BATCH, LONGEST)] = [0; Workspace::words(BATCH, LONGEST)];
    static mut SUMS: [i32; BATCH * LONGEST] = [0; BATCH * LONGEST];
    let bench = Bench {
        packing: PACKING,
        cases: CASES,
        workspace: Workspace { raw: RAW, words: VECTORS, sums: SUMS, batch: BATCH },
        subjects: SUBJECTS,
        words: MEMORY,
        ear: ear(FRAMES),
    };
    firmware::bench(Here::take(), bench)
}
