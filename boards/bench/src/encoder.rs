//! The encoder block of the comparison with CMSIS-NN: 64 tokens, d_model 64, 4 heads, hidden 256, LayerNorm, GELU, biases.
//!
//! ```text
//! streams [64, 64] ──► Session::encode ──► instructions, whole; CRC-32 of the result, which is the same on every core
//! its image, as it comes at run time ──► Model::parse ──► instructions, whole; CRC-32 of the image
//! ```
#![no_std]
#![no_main]

use core::hint::black_box;
use semihosting as _;
use thumbformer::bench::{ENCODER_TOKENS, encoder_streams};
use thumbformer::cycles::CycleCounter;
use thumbformer::image::Aligned;
use thumbformer::{LogitsCrc, Model};

include!(concat!(env!("OUT_DIR"), "/encoder.rs"));

/// The block's image once more.
static IMAGE: Aligned<{ encoder::IMAGE_BYTES }> = Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/encoder.tbf")));

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
    semihosting::println!("{{\"what\":\"encoder block\",\"instructions\":{instructions},\"crc32\":{crc32}}}");
    let start = counter.now();
    let Ok(model) = black_box(Model::parse(black_box(IMAGE.words()))) else { semihosting::process::exit(5) };
    let (instructions, crc32) = (counter.since(start), model.image().crc32());
    semihosting::println!("{{\"what\":\"parse\",\"instructions\":{instructions},\"crc32\":{crc32}}}");
    semihosting::process::exit(0)
}
