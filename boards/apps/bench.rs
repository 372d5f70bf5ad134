//! Cost of kernels and models on this board.
#![no_std]
#![no_main]

use board::ThisBoard;
use firmware::{Bench, Board, Workspace};

// Matrices and models that the build script chose: `PACKING`, `CASES`, `MODELS`, `WORDS`, `ears()`.
include!(concat!(env!("OUT_DIR"), "/bench.rs"));

/// Vectors at a time, where kernels take several.
const BATCH: usize = 4;
/// The longest of them, and the most outputs.
const LONGEST: usize = 256;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; WORDS] = [0; WORDS];
    static mut FRAMES: [f32; NUMBERS] = [0.0; NUMBERS];
    static mut BUFFERS: AudioBuffers = AudioBuffers::new();
    static mut RAW: [i8; BATCH * LONGEST] = [0; BATCH * LONGEST];
    static mut VECTORS: [u32; Workspace::words(BATCH, LONGEST)] = [0; Workspace::words(BATCH, LONGEST)];
    static mut SUMS: [i32; BATCH * LONGEST] = [0; BATCH * LONGEST];
    let mut ears = ears(BUFFERS);
    let bench = Bench {
        packing: PACKING,
        cases: CASES,
        workspace: Workspace { raw: RAW, words: VECTORS, sums: SUMS, batch: BATCH },
        test_models: MODELS,
        words: MEMORY,
        ears: ears.as_mut(),
        frames: FRAMES,
    };
    firmware::bench(ThisBoard::take(), bench)
}
