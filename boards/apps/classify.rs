//! Classes of stored recordings, by the encoders that the board has room for.
#![no_std]
#![no_main]

use board::ThisBoard;
use firmware::{Board, InputBuffers};

// The models, their recordings and the front end that the build script chose: `MODELS`, `WORDS`, `ears()`.
include!(concat!(env!("OUT_DIR"), "/classify.rs"));

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; WORDS] = [0; WORDS];
    static mut FRAMES: [f32; NUMBERS] = [0.0; NUMBERS];
    static mut SOUND: [i16; SAMPLES] = [0; SAMPLES];
    static mut BUFFERS: AudioBuffers = AudioBuffers::new();
    let buffers = InputBuffers { frames: FRAMES, samples: SOUND };
    firmware::classify(ThisBoard::take(), MODELS, MEMORY, ears(BUFFERS).as_mut(), buffers)
}
