//! Spoken digits with their front end and nothing else, for `cargo xtask bench size`.
#![no_std]
#![no_main]

use semihosting as _;
use thumbformer::audio::FrontEnd;

#[path = "../minimal.rs"]
#[allow(dead_code)]
mod minimal;

include!(concat!(env!("OUT_DIR"), "/clip.rs"));

const FRONT_END: FrontEnd<'static> = clip::MODEL.front_end().expect("a model that hears");
/// Numbers of a clip's frames.
const CLIP: usize = clip::MODEL.dims().max_seq * clip::MODEL.dims().n_features;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: clip::State = clip::State::new();
    static mut BUFFERS: clip::AudioBuffers = clip::AudioBuffers::new();
    static mut FRAMES: [f32; CLIP] = [0.0; CLIP];
    let mut session = clip::MODEL.session(STATE.memory());
    bench::measure_stack(|| minimal::digits(&mut session, &mut FRONT_END.extractor(BUFFERS.memory())?, FRAMES))
}
