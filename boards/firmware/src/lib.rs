//! Everything that a board does, but for its pins and clocks.
//!
//! ```text
//!            ┌───────────── Board: print, count ─────────────┐
//! prompt ──► tokenizer ──► Session ──► logits ──► sampler ──► piece ──► board.print (the story, as it comes)
//!                             │           │
//!                     instructions      CRC-32 ───────────────────────► defmt log (a line for every step, then the sums)
//! ```
//! The log is what `cargo xtask` reads: it computes the same steps on the host and compares every CRC.
#![no_std]
#![deny(unsafe_code)]

mod demo;

pub use demo::{Demo, demo};

use thumbformer::cycles::CycleCounter;

/// What differs between boards.
pub trait Board {
    /// The board's name, as in its folder.
    const NAME: &'static str;
    /// The backend that this board is built for; a mismatch stops the build.
    const BACKEND: &'static str;
    /// What the counter counts: `"instructions"` in emulation, `"cycles"` on hardware.
    const UNIT: &'static str;

    /// Prints text for people, apart from the log.
    fn print(&mut self, text: &[u8]);

    /// The counter.
    fn counter(&mut self) -> &mut impl CycleCounter;
}

/// Whether a board's backend is the one that it was built with; for a `const` assertion.
pub const fn has_backend(expected: &str) -> bool {
    let (found, expected) = (thumbformer::BACKEND.as_bytes(), expected.as_bytes());
    let mut same = found.len() == expected.len();
    let mut i = 0;
    while same && i < found.len() {
        same = found[i] == expected[i];
        i += 1;
    }
    same
}
