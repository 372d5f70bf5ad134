//! A stack that overflows on purpose: the fault's handler says so, and what lies above the stack is as before.
//!
//! ```text
//! canary: its CRC-32 on the log ──► overflow ──► fault ──► the message ──► canary: its CRC-32 again, the same
//! ```

use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};
use thumbformer::LogitsCrc;

/// Words that an overflow into the variables would change.
static CANARY: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];

/// Fills the canary, and says its CRC-32.
fn fill_canary() {
    for (word, value) in CANARY.iter().zip(1_u32..) {
        word.store(value.wrapping_mul(0x9e37_79b9), Ordering::Relaxed);
    }
    say_canary();
}

/// Says the CRC-32 of the canary, if it is filled.
pub fn say_canary() {
    let mut crc = LogitsCrc::new();
    let mut filled = false;
    for word in &CANARY {
        let word = word.load(Ordering::Relaxed);
        filled |= word != 0;
        crc.update(&[f32::from_bits(word)]);
    }
    if filled {
        defmt::println!("canary crc32 {=u32:08x}", crc.total());
    }
}

/// Overflows by frames, one below the other.
pub fn by_recursion() {
    fill_canary();
    defmt::println!("depth {=u32}", deeper(1));
}

#[inline(never)]
fn deeper(depth: u32) -> u32 {
    let mut frame = [depth; 64];
    let below = if black_box(true) { deeper(depth + 1) } else { 0 };
    black_box(&mut frame)[0].wrapping_add(below)
}

/// Overflows by a frame that is larger than the stack.
pub fn by_one_frame() {
    fill_canary();
    large_frame();
}

#[inline(never)]
fn large_frame() {
    black_box(&mut [1_u32; 16 * 1024]);
}
