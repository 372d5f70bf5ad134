//! The audio front end: a second of sound, frame by frame.
//!
//! ```text
//! samples [8000] ──► LogMel::push ──► instructions, whole; CRC-32 of all frames, which is the same on every core
//! ```
#![no_std]
#![no_main]

use semihosting as _;
use thumbformer::LogitsCrc;
use thumbformer::audio::LogMel;
use thumbformer::bench::{SOUND_BANK, sound};
use thumbformer::cycles::CycleCounter;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut SAMPLES: [i16; 8000] = [0; 8000];
    let mut counter = bench::counter();
    sound(SAMPLES);
    let mut front_end = LogMel::new(&SOUND_BANK);
    let start = counter.now();
    let mut sum = 0.0;
    front_end.push(SAMPLES, |frame| sum += frame[0]);
    let instructions = counter.since(start);
    core::hint::black_box(sum);
    let mut crc = LogitsCrc::new();
    front_end.reset();
    front_end.push(SAMPLES, |frame| _ = crc.update(frame));
    semihosting::println!("{{\"instructions\":{instructions},\"crc32\":{}}}", crc.total());
    semihosting::process::exit(0)
}
