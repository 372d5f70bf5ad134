//! The audio front end: a second of sound, frame by frame.
//!
//! ```text
//! samples [8000] ──► Extractor::push ──► instructions, whole; CRC-32 of all frames, which is the same on every core
//! ```
#![no_std]
#![no_main]

use semihosting as _;
use thumbformer::LogitsCrc;
use thumbformer::audio::FrontEnd;
use thumbformer::bench::sound;
use thumbformer::cycles::CycleCounter;

include!(concat!(env!("OUT_DIR"), "/clip.rs"));

const FRONT_END: FrontEnd<'static> = clip::MODEL.front_end().expect("a model that hears");

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut BUFFERS: clip::AudioBuffers = clip::AudioBuffers::new();
    static mut SAMPLES: [i16; 8000] = [0; 8000];
    let mut counter = bench::counter();
    sound(SAMPLES);
    let Ok(mut extractor) = FRONT_END.extractor(BUFFERS.memory()) else { semihosting::process::exit(1) };
    let start = counter.now();
    let mut sum = 0.0;
    let whole = extractor.push(SAMPLES, |frame| sum += frame.first().unwrap_or(&0.0));
    let instructions = counter.since(start);
    core::hint::black_box((sum, whole.is_ok()));
    let mut crc = LogitsCrc::new();
    extractor.reset();
    let again = extractor.push(SAMPLES, |frame| _ = crc.update(frame));
    core::hint::black_box(again.is_ok());
    semihosting::println!("{{\"instructions\":{instructions},\"crc32\":{}}}", crc.total());
    semihosting::process::exit(0)
}
