//! The minimal classifier of a stream, without audio, for `cargo xtask bench size`.
#![no_std]
#![no_main]

use semihosting as _;

#[path = "../minimal.rs"]
#[allow(dead_code)]
mod minimal;

include!(concat!(env!("OUT_DIR"), "/motion.rs"));

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut STATE: motion::State = motion::State::new();
    static mut FRAME: [f32; motion::MODEL.dims().n_features] = [0.0; motion::MODEL.dims().n_features];
    let mut session = motion::MODEL.session(STATE.memory());
    bench::measure_stack(|| minimal::stream(&mut session, FRAME))
}
