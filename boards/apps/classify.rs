//! Classes of stored recordings, by the encoders that the board has room for.
#![no_std]
#![no_main]

use board::ThisBoard;
use firmware::Board;

// The models, their recordings and the front end that the build script chose: `MODELS`, `WORDS`, `audio_input()`.
include!(concat!(env!("OUT_DIR"), "/classify.rs"));

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; WORDS] = [0; WORDS];
    static mut FRAMES: [f32; HEARD] = [0.0; HEARD];
    static mut BUFFERS: AudioBuffers = AudioBuffers::new();
    firmware::classify(ThisBoard::take(), MODELS, MEMORY, audio_input(FRAMES, BUFFERS))
}
