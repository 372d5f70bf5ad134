//! The encoder block of the comparison with CMSIS-NN: 64 tokens, d_model 64, 4 heads, hidden 256, LayerNorm, GELU, biases.
//!
//! ```text
//! streams [64, 64] ──► Session::encode ──► instructions, whole; CRC-32 of the result, which is the same on every core
//! ```
#![no_std]
#![no_main]

use semihosting as _;
use thumbformer::LogitsCrc;
use thumbformer::bench::{ENCODER_TOKENS, encoder_streams};
use thumbformer::cycles::CycleCounter;

include!(concat!(env!("OUT_DIR"), "/encoder.rs"));

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: encoder::State = encoder::State::new();
    static mut STREAMS: [f32; ENCODER_TOKENS * encoder::MODEL.dims().d_model] =
        [0.0; ENCODER_TOKENS * encoder::MODEL.dims().d_model];
    let mut counter = bench::counter();
    let mut session = encoder::MODEL.session(STATE.memory());
    encoder_streams(STREAMS);
    let start = counter.now();
    if session.encode(STREAMS).is_err() {
        semihosting::process::exit(4);
    }
    let instructions = counter.since(start);
    let crc32 = LogitsCrc::new().update(STREAMS);
    semihosting::println!("{{\"instructions\":{instructions},\"crc32\":{crc32}}}");
    semihosting::process::exit(0)
}
