//! Spoken digits with their front end and nothing else, for `cargo xtask bench size`.
#![no_std]
#![no_main]

use semihosting as _;
use thumbformer::audio::{LogMel, LogMelConfig, MelBank};

#[path = "../minimal.rs"]
#[allow(dead_code)]
mod minimal;

include!(concat!(env!("OUT_DIR"), "/clip.rs"));

static SPEECH: MelBank<256, { firmware::MELS }> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);

/// Numbers of a clip's frames.
const CLIP: usize = clip::MODEL.dims().max_seq * clip::MODEL.dims().n_features;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: clip::State = clip::State::new();
    static mut FRONT_END: LogMel<'static, 256, { firmware::MELS }> = LogMel::new(&SPEECH);
    static mut FRAMES: [f32; CLIP] = [0.0; CLIP];
    let mut session = clip::MODEL.session(STATE.memory());
    bench::measure_stack(|| minimal::digits(&mut session, FRONT_END, FRAMES))
}
